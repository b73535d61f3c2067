import { type ServerResponse } from 'node:http';
import { onResponseClose } from './response-close.js';

/**
 * The answers that are being delivered, so that an application that ends does not wait for them without end.
 */
export class RunningDeliveries {
  private readonly running = new Set<ServerResponse>();
  private over = false;

  add(response: ServerResponse): void {
    if (this.over) {
      cut(response);
      return;
    }
    this.running.add(response);
    onResponseClose(response, () => this.running.delete(response));
  }

  /**
   * Breaks off what still runs after so many milliseconds, and what begins later. The server can close then,
   * even where a client has stopped reading.
   */
  endWithin(milliseconds: number): void {
    setTimeout(() => {
      this.over = true;
      this.running.forEach(cut);
    }, milliseconds).unref();
  }
}

/** The connection, and not only the response: one that waits for its turn has no socket of its own. */
function cut(response: ServerResponse): void {
  response.req?.socket?.destroy();
}
