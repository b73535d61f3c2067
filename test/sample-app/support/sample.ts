import type { INestApplication } from '@nestjs/common';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { createSampleApp } from '../../../sample-app/demo/create-sample-app.js';
import type { HttpAdapterName } from '../../../sample-app/demo/settings.js';
import type { Storage } from '../../../sample-app/demo/storage.js';
import { ADAPTERS, bearer } from '../../support/test-app.js';
import { send } from '../../support/http-client.js';
import type { Answer, RequestOptions } from '../../support/http-client.js';

export const REPORT = Buffer.alloc(300_000, 'report ');

/** A name that is hard to spell in a URL and in a header. */
export const HARD_NAME = 'Grüße & mehr, 100% 🏔.txt';

/** What a caller may ask of a link; `bytesPerSecond` makes it one in slow motion. */
interface LinkWish {
  readonly expiresIn?: unknown;
  readonly maxDownloads?: unknown;
  readonly password?: string;
  readonly bytesPerSecond?: number;
}

export class RunningSample {
  /** Access tokens of the demo users. */
  ada = '';
  grace = '';

  private constructor(
    readonly app: INestApplication,
    readonly port: number,
  ) {}

  /** Starts the application on a free port of the loopback interface. */
  static async start(
    adapter: HttpAdapterName,
    filesDir: string,
    storage: Storage = { kind: 'memory' },
  ): Promise<RunningSample> {
    const jwtSecret = 'a secret for the tests of the sample application';
    const mediaDir = join(filesDir, 'media');
    const settings = { adapter, filesDir, mediaDir, jwtSecret, storage, hostNames: ['files.example'] };
    const app = await createSampleApp(settings, false);
    await app.listen(0, '127.0.0.1');
    const sample = new RunningSample(app, (app.getHttpServer() as { address(): AddressInfo }).address().port);
    sample.ada = await sample.login('ada');
    sample.grace = await sample.login('grace');
    return sample;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  request(path: string, options?: RequestOptions): Promise<Answer> {
    return send(this.url + path, options);
  }

  /** Sends JSON. */
  post(path: string, body?: unknown, token?: string): Promise<Answer> {
    return this.request(path, {
      method: 'POST',
      headers: {
        ...(token && bearer(token)),
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  }

  async login(username: string): Promise<string> {
    return (await this.post('/auth/login', { username, password: 'demo' })).json.accessToken;
  }

  async mint(wish: LinkWish = {}, token = this.ada, file = 'report.pdf'): Promise<any> {
    const { bytesPerSecond, ...limits } = wish;
    const path = encodeURIComponent(file);
    const answer =
      bytesPerSecond === undefined
        ? await this.post(`/files/${path}/links`, limits, token)
        : await this.post(`/slow/${path}/links?bytesPerSecond=${bytesPerSecond}`, limits, token);
    expect(answer.status).toBe(201);
    return answer.json;
  }

  async links(token = this.ada): Promise<any[]> {
    return (await this.request('/links', { headers: bearer(token) })).json;
  }

  /** A link of Ada's as the list shows it. */
  async link(id: string): Promise<any> {
    return (await this.links()).find((link) => link.id === id);
  }

  revoke(id: string, token = this.ada): Promise<Answer> {
    return this.request(`/links/${id}`, { method: 'DELETE', headers: bearer(token) });
  }

  /** Begins a download, and says how the rest of it went. */
  async beginDownload(path: string): Promise<{ rest: Promise<void> }> {
    const body = (await fetch(this.url + path)).body!.getReader();
    await body.read();
    const rest = (async () => {
      let done = false;
      while (!done) {
        ({ done } = await body.read());
      }
    })();
    rest.catch(() => undefined);
    return { rest };
  }

  /** Listens to what the application says about Ada's links. */
  async follow(): Promise<LiveStream> {
    const abort = new AbortController();
    const response = await fetch(`${this.url}/links/events`, {
      headers: bearer(this.ada),
      signal: abort.signal,
    });
    expect(response.headers.get('content-type')).toBe('text/event-stream');
    return new LiveStream(response.body!, abort);
  }

  close(): Promise<void> {
    return this.app.close();
  }
}

class LiveStream {
  /** Everything that was said so far. */
  readonly seen: any[] = [];
  private heard: () => void = () => undefined;

  constructor(
    body: ReadableStream<Uint8Array>,
    private readonly abort: AbortController,
  ) {
    this.listen(body).catch(() => undefined);
  }

  /** Waits until something is said about a link, or was before. */
  async until(isIt: (link: any) => unknown): Promise<any> {
    for (;;) {
      const found = this.seen.find(isIt);
      if (found) {
        return found;
      }
      await new Promise<void>((resolve) => (this.heard = resolve));
    }
  }

  close(): void {
    this.abort.abort();
  }

  private async listen(body: ReadableStream<Uint8Array>): Promise<void> {
    let text = '';
    for await (const piece of body.pipeThrough(new TextDecoderStream())) {
      text += piece;
      const messages = text.split('\n\n');
      text = messages.pop()!;
      for (const message of messages) {
        const data = /^data: (.*)$/m.exec(message)?.[1];
        if (message.includes('event: link') && data) {
          this.seen.push(JSON.parse(data));
        }
      }
      this.heard();
    }
  }
}

/** A folder that is removed after the tests of the file. */
export function temporaryFolder(files: Record<string, string | Buffer> = {}): string {
  const folder = mkdtempSync(join(tmpdir(), 'sample-'));
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(join(folder, name), content);
  }
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Tests that run on both adapters, each with one running application. */
export function describeSample(
  folder: string,
  define: (sample: RunningSample, adapter: HttpAdapterName) => void,
): void {
  describe.each(ADAPTERS)('the sample application on %s', (adapter) => {
    const sample = Object.create(RunningSample.prototype) as RunningSample;
    beforeAll(async () => void Object.assign(sample, await RunningSample.start(adapter, folder)));
    afterAll(() => sample.close());
    define(sample, adapter);
  });
}
