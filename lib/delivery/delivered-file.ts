import { StreamableFile } from '@nestjs/common';
import { Readable } from 'node:stream';

/**
 * What Nest sends: the body with its headers already set, but for the type, which Express would add a charset to
 * if it went the other way.
 */
export class DeliveredFile extends StreamableFile {
  readonly #type: string | undefined;

  /**
   * @param body undefined: none, as for HEAD and 304
   * @param type undefined: no `Content-Type`
   */
  constructor(body: Readable | undefined, type: string | undefined) {
    super(body ?? empty());
    this.#type = type;
    // A body that fails destroys the response itself, and has said why: there is nothing to add or to answer
    this.setErrorHandler((_error, response) => response.destroy?.());
    this.setErrorLogger(() => {});
  }

  override getHeaders(): ReturnType<StreamableFile['getHeaders']> {
    return { type: this.#type as string, disposition: undefined, length: undefined };
  }
}

function empty(): Readable {
  return new Readable({
    read() {
      this.push(null);
    },
  });
}
