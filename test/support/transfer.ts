import http from 'node:http';
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http';

export interface Asking {
  readonly method?: string;
  readonly headers?: OutgoingHttpHeaders;
  readonly body?: string;
}

/** One request on a connection of its own that can be watched while it runs, left, and found broken. */
export class Transfer {
  private readonly chunks: Buffer[] = [];
  private arrived?: () => void;
  private over = false;
  received = 0;
  /** The connection ended before what was announced had come; defined once {@link ended}. */
  broken?: boolean;
  readonly ended: Promise<this>;

  private constructor(private readonly response: http.IncomingMessage) {
    this.ended = new Promise((resolve) => {
      const end = (broken: boolean) => {
        this.over = true;
        this.broken ??= broken;
        this.arrived?.();
        resolve(this);
      };
      response.on('data', (chunk: Buffer) => {
        this.chunks.push(chunk);
        this.received += chunk.length;
        this.arrived?.();
      });
      response.on('end', () => end(!response.complete));
      response.on('error', () => end(true));
      response.on('close', () => end(!response.complete));
    });
  }

  /** Answers when status and headers are there. */
  static start(url: string, { method = 'GET', headers = {}, body }: Asking = {}): Promise<Transfer> {
    return new Promise((resolve, reject) => {
      const request = http.request(url, { method, headers, agent: false }, (response) =>
        resolve(new Transfer(response)),
      );
      request.on('error', reject);
      request.end(body);
    });
  }

  get status(): number {
    return this.response.statusCode ?? 0;
  }

  get headers(): IncomingHttpHeaders {
    return this.response.headers;
  }

  get body(): Buffer {
    return Buffer.concat(this.chunks);
  }

  /** The code of a refusal, undefined for any other answer. */
  get code(): string | undefined {
    if (!String(this.headers['content-type']).startsWith('application/json')) {
      return undefined;
    }
    return (JSON.parse(this.body.toString()) as { code?: string }).code;
  }

  /** The lease cookie that came with the answer, as a client sends it back. */
  get cookie(): string | undefined {
    return this.headers['set-cookie']?.find((field) => field.startsWith('ss-lease-'))?.split(';', 1)[0];
  }

  /** Waits until so many bytes of the body are here. */
  async until(bytes: number): Promise<this> {
    while (this.received < bytes && !this.over) {
      await new Promise<void>((resolve) => (this.arrived = resolve));
    }
    if (this.received < bytes) {
      throw new Error(`${this.received} of ${bytes} bytes came`);
    }
    return this;
  }

  /** The client goes away. */
  leave(): void {
    this.response.destroy();
  }
}

/** One request to its end. */
export async function fetchAll(url: string, asking?: Asking): Promise<Transfer> {
  return (await Transfer.start(url, asking)).ended;
}
