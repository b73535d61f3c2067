import http from 'node:http';
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http';

export interface RequestOptions {
  readonly method?: string;
  /** A flat list of names and values is sent as it is, repeated names included. */
  readonly headers?: OutgoingHttpHeaders | string[];
  readonly body?: string | Buffer;
  /** The address to send from, such as 127.0.0.2. */
  readonly localAddress?: string;
}

/** An answer that can be watched while it arrives, left half way, and found broken. */
export class Answer {
  /** Bytes of the body that are here. */
  received = 0;
  /** The connection ended before everything that was announced had come; undefined until {@link ended}. */
  broken?: boolean;
  readonly ended: Promise<this>;
  private readonly chunks: Buffer[] = [];
  private arrived?: () => void;

  /** @param response undefined where the connection broke before there was one */
  constructor(private readonly response?: http.IncomingMessage) {
    this.ended = new Promise((resolve) => {
      const end = () => {
        this.broken ??= !response?.complete;
        this.arrived?.();
        resolve(this);
      };
      response?.on('data', (chunk: Buffer) => {
        this.chunks.push(chunk);
        this.received += chunk.length;
        this.arrived?.();
      });
      response?.on('error', end).on('end', end).on('close', end);
      if (!response) {
        end();
      }
    });
  }

  get status(): number {
    return this.response?.statusCode ?? 0;
  }

  get headers(): IncomingHttpHeaders {
    return this.response?.headers ?? {};
  }

  get body(): Buffer {
    return Buffer.concat(this.chunks);
  }

  get text(): string {
    return this.body.toString();
  }

  get json(): any {
    return JSON.parse(this.text);
  }

  /** The code of a refusal; undefined for any other answer. */
  get code(): string | undefined {
    const isJson = this.headers['content-type']?.startsWith('application/json');
    return isJson ? this.json.code : undefined;
  }

  /** The lease cookie that came with the answer, as a client sends it back. */
  get cookie(): string | undefined {
    return this.headers['set-cookie']?.find((field) => field.startsWith('ss-lease-'))?.split(';', 1)[0];
  }

  /** Waits until so many bytes of the body are here. */
  async until(bytes: number): Promise<this> {
    while (this.received < bytes && this.broken === undefined) {
      await new Promise<void>((resolve) => (this.arrived = resolve));
    }
    if (this.received < bytes) {
      throw new Error(`${this.received} of ${bytes} bytes came`);
    }
    return this;
  }

  /** The client goes away. */
  leave(): void {
    this.response?.destroy();
  }
}

/** Sends a request on a connection of its own; resolves when the headers are there. */
export function start(
  url: string,
  { method, headers, body, localAddress }: RequestOptions = {},
): Promise<Answer> {
  // the path goes out as it is spelled: a URL object would resolve its dots
  const [, host, port, path] = /^http:\/\/([^:/]+):(\d+)(.*)$/.exec(url) ?? [];
  const all = Array.isArray(headers) ? ['host', `${host}:${port}`, ...headers] : headers;
  return new Promise((resolve, reject) => {
    const request = http.request(
      { host, port, path, method, headers: all, localAddress, agent: false },
      (response) => resolve(new Answer(response)),
    );
    request.on('error', (error: NodeJS.ErrnoException) =>
      error.code === 'ECONNRESET' ? resolve(new Answer()) : reject(error),
    );
    request.end(body);
  });
}

/** Sends a request and waits for the end of the answer, broken or not. */
export async function receive(url: string, options?: RequestOptions): Promise<Answer> {
  return (await start(url, options)).ended;
}

/** Sends a request and waits for the whole answer; rejects if it breaks off. */
export async function send(url: string, options?: RequestOptions): Promise<Answer> {
  const answer = await receive(url, options);
  if (answer.broken) {
    throw new Error(`the answer broke off after ${answer.received} bytes`);
  }
  return answer;
}
