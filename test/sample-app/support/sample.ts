import type { INestApplication } from '@nestjs/common';
import type { AddressInfo } from 'node:net';
import { createSampleApp } from '../../../sample-app/create-sample-app.js';
import type { HttpAdapterName } from '../../../sample-app/settings/sample-settings.js';
import type { Storage } from '../../../sample-app/storage/storage.js';
import { type Answer, bearer, type RequestOptions, send } from '../../support/test-app.js';

export interface RunningSample {
  readonly app: INestApplication;
  readonly url: string;
  request(path: string, options?: RequestOptions): Promise<Answer>;
  /** Sends JSON. */
  post(path: string, body?: unknown, token?: string): Promise<Answer>;
  /** An access token, got as everybody gets one. */
  login(username?: string): Promise<string>;
  close(): Promise<void>;
}

/** The sample application on a free port of the loopback interface. */
export async function startSample(
  adapter: HttpAdapterName,
  filesDir: string,
  storage: Storage = { kind: 'memory' },
): Promise<RunningSample> {
  const jwtSecret = 'a secret for the tests of the sample application';
  const settings = { adapter, filesDir, jwtSecret, storage, hostNames: ['files.example'] };
  const app = await createSampleApp(settings, false);
  await app.listen(0, '127.0.0.1');
  const { port } = (app.getHttpServer() as { address(): AddressInfo }).address();
  const post = (path: string, body?: unknown, token?: string): Promise<Answer> =>
    send(port, path, {
      method: 'POST',
      headers: {
        ...(token && bearer(token)),
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  return {
    app,
    url: `http://127.0.0.1:${port}`,
    request: (path, options) => send(port, path, options),
    post,
    login: async (username = 'ada') => {
      const { json } = await post('/auth/login', { username, password: 'demo' });
      return json.accessToken;
    },
    close: () => app.close(),
  };
}
