import { resolveTransports } from '../tokens/token-options.js';
import { resolveDelivery } from '../delivery/delivery-options.js';
import { DownloadAuthConfigurationError } from './configuration-error.js';
import type { StreamDownloadOptions } from './download-auth-options.js';
import { checkTypes } from './option-types.js';
import { refuseUnknown } from './unknown-option.js';

/**
 * Checks what can be checked of a decorator's options before the module's are known.
 * @throws DownloadAuthConfigurationError that says what to write instead
 */
export function checkRouteOptions(options: StreamDownloadOptions): void {
  refuseUnknown(options, ['name', 'transports', 'requireSecureConnection', 'delivery'], '@StreamDownload()');
  const { name } = options as { name?: unknown };
  if (name !== undefined && (typeof name !== 'string' || name === '')) {
    throw new DownloadAuthConfigurationError("@StreamDownload() name: give a text, such as 'file'.");
  }
  checkTypes(options, { requireSecureConnection: 'boolean' }, '@StreamDownload() ');
  resolveTransports(options.transports, { header: true, query: true, cookie: true, form: true });
  resolveDelivery(options.delivery);
}
