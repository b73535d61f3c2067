import 'reflect-metadata';
import { createClient } from '@hey-api/openapi-ts';
import { DocumentBuilder, SwaggerModule } from '@nestjs/swagger';
import { mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import openapiTS, { astToString } from 'openapi-typescript';
import ts from 'typescript';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeDownloads } from '../../lib/swagger/index.js';
import { accessToken } from '../support/access-token.js';
import { ADAPTERS, startApp } from '../support/test-app.js';
import type { AdapterName } from '../support/test-app.js';
import { BYTES, FilesController } from './controllers.js';

/** What a user writes with clients that openapi-typescript and @hey-api/openapi-ts generate. */
const CLIENT = `
  import createClient from 'openapi-fetch';
  import type { paths } from './schema.js';
  import { client as heyClient } from './hey/client.gen.js';
  import { filesControllerToken, type FilesControllerTokenErrors } from './hey/index.js';

  export async function withOpenapiFetch(baseUrl: string, token: string) {
    const headers = { authorization: 'Bearer ' + token };
    const client = createClient<paths>({ baseUrl, headers });
    const path = { id: '1' };
    const whole = await client.GET('/files/token/{id}', { params: { path }, parseAs: 'blob' });
    const header = { Range: 'bytes=10-19' };
    const part = await client.GET('/files/token/{id}', { params: { path, header }, parseAs: 'blob' });
    const { error } = await createClient<paths>({ baseUrl }).GET('/files/token/{id}', { params: { path } });
    // @ts-expect-error not a code
    error?.code === 'NO_SUCH_CODE';
    const code: 'TOKEN_MISSING' | undefined = error?.code === 'TOKEN_MISSING' ? error.code : undefined;
    return { whole: await whole.data?.text(), part: await part.data?.text(), status: part.response.status, code };
  }

  export async function withHeyApi(baseUrl: string, token: string) {
    const path = { id: '1' };
    heyClient.setConfig({ baseUrl, auth: ({ scheme }) => (scheme === 'bearer' ? token : undefined), parseAs: 'blob' });
    const whole = await filesControllerToken({ path });
    const part = await filesControllerToken({ path, headers: { Range: 'bytes=10-19' } });
    heyClient.setConfig({ auth: undefined });
    const error = (await filesControllerToken({ path })).error as FilesControllerTokenErrors[401];
    // @ts-expect-error not a code
    error.code === 'LINK_EXPIRED';
    const code: 'TOKEN_MISSING' | undefined = error.code === 'TOKEN_MISSING' ? error.code : undefined;
    return { whole: await whole.data?.text(), part: await part.data?.text(), status: part.response?.status, code };
  }
`;

interface Clients {
  withOpenapiFetch: (baseUrl: string, token: string) => Promise<unknown>;
  withHeyApi: (baseUrl: string, token: string) => Promise<unknown>;
}

const MODULES = fileURLToPath(new URL('../../node_modules', import.meta.url));
let folder: string;
let problems: string[];

const start = (adapter: AdapterName) => startApp({ adapter, controllers: [FilesController] });

beforeAll(async () => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'clients-')));
  symlinkSync(MODULES, join(folder, 'node_modules'));
  const app = await start('express');
  const config = new DocumentBuilder().setOpenAPIVersion('3.1.0').build();
  const document = describeDownloads(app.app, SwaggerModule.createDocument(app.app, config));
  await app.close();
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  writeFileSync(join(folder, 'schema.d.ts'), astToString(await openapiTS(document as never)));
  await createClient({
    input: document as never,
    output: join(folder, 'hey'),
    logs: { level: 'silent', file: false },
  });
  writeFileSync(join(folder, 'client.ts'), CLIENT);
  problems = compile(join(folder, 'client.ts'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Compiles a file and what it imports, beside their sources; the problems that the compiler sees. */
function compile(file: string): string[] {
  const program = ts.createProgram([file], {
    module: ts.ModuleKind.NodeNext,
    target: ts.ScriptTarget.ES2022,
    lib: ['lib.es2023.d.ts', 'lib.dom.d.ts', 'lib.dom.iterable.d.ts'],
    types: [],
    strict: true,
    skipLibCheck: true,
  });
  program.emit();
  return ts
    .getPreEmitDiagnostics(program)
    .map(
      ({ file, messageText }) => `${file?.fileName}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`,
    );
}

it('generated clients compile, and know the codes', () => expect(problems).toEqual([]));

it.each(ADAPTERS)('generated clients download from an application on %s', async (adapter) => {
  const app = await start(adapter);
  const clients = (await import(pathToFileURL(join(folder, 'client.js')).href)) as Clients;
  const whole = BYTES.toString();
  const expected = { whole, part: whole.slice(10, 20), status: 206, code: 'TOKEN_MISSING' };
  expect(await clients.withOpenapiFetch(app.url, accessToken())).toEqual(expected);
  expect(await clients.withHeyApi(app.url, accessToken())).toEqual(expected);
  await app.close();
});
