import { StreamableFile } from '@nestjs/common';
import { Readable } from 'node:stream';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';

/**
 * What Nest sends: the body, and the headers, which are set when Nest asks for them. The type is left to
 * Nest: set on Express' own response, it would get a charset.
 */
export class DeliveredFile extends StreamableFile {
  readonly #type: string | undefined;
  #writeHeaders: (() => void) | undefined;

  /**
   * @param body undefined: none, as for HEAD and 304
   * @param type undefined: no `Content-Type`
   * @param writeHeaders sets status and headers; called once, and not where something else is sent
   */
  constructor(body: Readable | undefined, type: string | undefined, writeHeaders: () => void) {
    super(body ?? empty());
    this.#type = type;
    this.#writeHeaders = writeHeaders;
    // A body that fails destroys the response itself and logs why
    this.setErrorHandler((_error, response) => response.destroy?.());
    this.setErrorLogger(() => {});
  }

  override getHeaders(): ReturnType<StreamableFile['getHeaders']> {
    const writeHeaders = this.#writeHeaders;
    this.#writeHeaders = undefined;
    writeHeaders?.();
    return { type: this.#type as string, disposition: undefined, length: undefined };
  }

  /** @throws DownloadAuthConfigurationError a file that became part of something else cannot be sent */
  toJSON(): never {
    throw wrappedFile();
  }
}

/** What is wrong where an interceptor made a file part of an object. */
export function wrappedFile(): DownloadAuthConfigurationError {
  return new DownloadAuthConfigurationError(
    'A download was put into another object, most likely by an interceptor that wraps every answer, such as ' +
      'map((data) => ({ data })). Let it return files as they are: if (data instanceof StreamableFile) return data.',
  );
}

function empty(): Readable {
  return new Readable({
    read() {
      this.push(null);
    },
  });
}
