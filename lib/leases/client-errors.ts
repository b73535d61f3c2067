import type { EventEmitter } from 'node:events';
import { errorReason } from '../shared/error-reason.js';
import { ThrottledLogger } from '../shared/throttled-logger.js';

/** Logs the errors of a client that nothing listens to: they would end the process otherwise. */
export function logErrors(client: EventEmitter, server: string): void {
  if (client.listenerCount('error') === 0) {
    const logger = new ThrottledLogger('DownloadAuth');
    client.on('error', (error) => {
      logger.error(server, `A connection to ${server} fails: ${errorReason(error)}`);
    });
  }
}
