import 'reflect-metadata';
import { Controller, Get, Module, VersioningType } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { DocumentBuilder, SwaggerModule } from '@nestjs/swagger';
import type { OpenAPIObject } from '@nestjs/swagger';
import { Validator } from '@seriousme/openapi-schema-validator';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  DownloadAuthConfigurationError,
  DownloadAuthModule,
  DownloadLinks,
  StreamDownload,
} from '../../lib/index.js';
import { describeDownloads } from '../../lib/swagger/index.js';
import { accessToken } from '../support/access-token.js';
import type { Answer, RequestOptions } from '../support/http-client.js';
import { ADAPTERS, bearer, SECRET, startApp } from '../support/test-app.js';
import type { TestApp } from '../support/test-app.js';
import { FilesController } from './controllers.js';

const TOKEN_CODES = [
  'TOKEN_MISSING',
  'TOKEN_INVALID',
  'TOKEN_EXPIRED',
  'TOKEN_NOT_YET_VALID',
  'TOKEN_CUT_OFF',
];
const VERSIONS = ['3.0.0', '3.1.0'];
const TOKEN_WAYS = [{ bearer: [] }, { 'ss-tok-query': [] }, { 'ss-tok-cookie': [] }];

function documentOf({ app }: Pick<TestApp, 'app'>, version = '3.0.0', options = {}): OpenAPIObject {
  const config = new DocumentBuilder().setOpenAPIVersion(version).build();
  return describeDownloads(app, SwaggerModule.createDocument(app, config, options));
}

/** The codes of a documented response. */
function codesOf(operation: any, status: number): string[] {
  return operation.responses[status]?.content['application/json'].schema.allOf[1].properties.code.enum;
}

describe.each(ADAPTERS)('the document of an application on %s', (adapter) => {
  let app: TestApp;
  let document: OpenAPIObject;
  let early: OpenAPIObject;
  const operation = (path: string, method = 'get'): any =>
    (document.paths[`/api/files/${path}`] as any)[method];
  beforeAll(async () => {
    app = await startApp({
      adapter,
      controllers: [FilesController],
      options: { secret: SECRET, links: { maxAge: '7d' } },
      configure: (app) => {
        app.setGlobalPrefix('api');
        early = documentOf({ app });
      },
    });
    document = documentOf(app);
  });
  afterAll(() => app.close());

  it.each(VERSIONS)('is valid OpenAPI %s', async (version) => {
    const { valid, errors } = await new Validator().validate(documentOf(app, version) as never);
    expect(errors ?? []).toEqual([]);
    expect(valid).toBe(true);
  });

  it.each([
    ['token/{id}', 'get', [200, 206, 304, 400, 401, 403, 410, 412, 416, 503], TOKEN_WAYS],
    ['asking/{id}', 'get', [200, 206, 304, 400, 401, 403, 410, 412, 416, 429, 503], TOKEN_WAYS],
    ['asking/{id}', 'post', [303, 400, 401, 403, 410, 429, 503], [{ 'ss-tok-query': [] }]],
    ['links/{id}', 'get', [200, 206, 304, 400, 403, 410, 412, 416, 503], TOKEN_WAYS],
    ['public', 'get', [200, 304, 400, 403, 410, 412, 503], []],
    [
      'guarded',
      'get',
      [200, 206, 304, 400, 403, 410, 412, 416, 503],
      [{ session: [] }, { 'ss-tok-query': [] }],
    ],
    ['delivery', 'get', [200, 206, 304, 412, 416], undefined],
    [
      'own',
      'get',
      [200, 206, 304, 400, 401, 403, 410, 412, 416, 503],
      [{ bearer: [] }, { 'ss-tok-query': [] }],
    ],
    ['form', 'post', [200, 400, 401, 403, 410, 503], [{ bearer: [] }, {}]],
    ['tree/{path}', 'get', [200, 206, 304, 400, 401, 403, 410, 412, 416, 503], TOKEN_WAYS],
    ['itself', 'get', [200, 400, 401, 403, 410, 503], TOKEN_WAYS],
    ['plain', 'get', [200], undefined],
  ])('has the statuses and the ways in of %s', (path, method, statuses, security) => {
    const { responses, security: ways } = operation(path, method);
    expect(Object.keys(responses).map(Number)).toEqual(statuses);
    expect(ways).toEqual(security);
  });

  it('has the codes of each status, as far as they can happen on the route', () => {
    expect(codesOf(operation('token/{id}'), 401)).toEqual(TOKEN_CODES);
    expect(codesOf(operation('token/{id}'), 410)).toEqual(['LINK_EXPIRED', 'LINK_REVOKED', 'LINK_USED_UP']);
    expect(codesOf(operation('token/{id}'), 503)).toContain('KEY_UNAVAILABLE');
    expect(codesOf(operation('links/{id}'), 503)).not.toContain('KEY_UNAVAILABLE');
    expect(codesOf(operation('links/{id}'), 403)).toContain('LINK_MISSING');
    expect(codesOf(operation('token/{id}'), 403)).not.toContain('LINK_MISSING');
    expect(codesOf(operation('token/{id}'), 403)).not.toContain('INSECURE_CONNECTION');
    expect(codesOf(operation('token/{id}'), 403)).not.toContain('CHALLENGE_FAILED');
    expect(operation('token/{id}', 'post')).toBeUndefined();
  });

  it('names the parameters of conditions and of ranges that a route takes', () => {
    const names = (path: string, method?: string) =>
      operation(path, method).parameters.map((one: any) => one.name);
    expect(names('token/{id}')).toEqual(['id', 'If-None-Match', 'Range', 'If-Range']);
    expect(names('public')).toEqual(['If-None-Match']);
    expect(names('form', 'post')).toEqual([]);
  });

  it('lets what the application says stand', () => {
    const { responses } = operation('own');
    const bytes = { schema: { type: 'string', format: 'binary' } };
    expect(responses[200]).toMatchObject({ description: 'A report', content: { 'application/pdf': bytes } });
    expect(responses[206].content).toEqual({ 'application/pdf': bytes });
    expect(responses[401].description).toBe('Sign in');
    expect(operation('class').responses[200].content).toEqual({ '*/*': bytes });
    expect(operation('form', 'post').requestBody.content).toEqual({
      'application/x-www-form-urlencoded': {
        schema: { type: 'object', properties: { 'ss-tok': { type: 'string' } } },
      },
    });
  });

  it('describes HEAD as GET without bodies', () => {
    const { responses, operationId, security } = operation('token/{id}', 'head');
    expect({ operationId, security }).toEqual({
      operationId: 'FilesController_token_head',
      security: TOKEN_WAYS,
    });
    expect(Object.values(responses).filter((response: any) => response.content)).toEqual([]);
    expect(responses[200].headers).toEqual(operation('token/{id}').responses[200].headers);
    expect(Object.keys(responses)).not.toContain('206');
    expect(operation('token/{id}', 'head').parameters.map((one: any) => one.name)).toEqual([
      'id',
      'If-None-Match',
    ]);
    expect(operation('plain', 'head')).toBeUndefined();
  });

  it('tells the truth: every answer has the documented status, code and headers', async () => {
    const { url, token: link } = app
      .get(DownloadLinks)
      .create(FilesController, 'token', { params: { id: '1' } });
    const revoked = app.get(DownloadLinks).create(FilesController, 'token', { params: { id: '1' } });
    await app.get(DownloadLinks).revoke({ link: revoked.id });
    const good = bearer(accessToken());
    const etag = (await app.request(url)).headers.etag!;
    const requests: [status: number, path: string, options?: RequestOptions][] = [
      [200, '/api/files/token/1', { headers: good }],
      [200, url],
      [206, url, { headers: { range: 'bytes=0-9' } }],
      [304, url, { headers: { 'if-none-match': etag } }],
      [412, url, { headers: { 'if-match': '"other"' } }],
      [416, url, { headers: { range: 'bytes=500-' } }],
      [400, `/api/files/token/1?ss-tok=${link}&ss-tok=${link}`],
      [401, '/api/files/token/1'],
      [401, '/api/files/token/1?ss-tok=x'],
      [403, `/api/files/token/2?ss-tok=${link}`],
      [410, revoked.url],
    ];
    const answers: Answer[] = [];
    for (const [status, path, options] of requests) {
      for (const method of status === 206 || status === 416 ? ['GET'] : ['GET', 'HEAD']) {
        const answer = await app.request(path, { method, ...options });
        const documented = operation('token/{id}', method.toLowerCase()).responses[status];
        expect({ path, status: answer.status }).toEqual({ path, status });
        const always = Object.keys(documented.headers ?? {}).filter((name) => name !== 'Retry-After');
        expect(Object.keys(answer.headers)).toEqual(
          expect.arrayContaining(always.map((name) => name.toLowerCase())),
        );
        answers.push(answer);
        if (method === 'GET' && answer.code !== undefined) {
          expect(codesOf(operation('token/{id}'), status)).toContain(answer.code);
        }
      }
    }
    expect(answers).toHaveLength(2 * requests.length - 2);
  });

  it('tells the truth about a link with a challenge', async () => {
    const { url } = app
      .get(DownloadLinks)
      .create(FilesController, 'asking', { params: { id: '1' }, challenge: true });
    const { requestBody, responses } = operation('asking/{id}', 'post');
    const [type = ''] = Object.keys(requestBody.content);
    const post = (answer: string) =>
      app.request(url, { method: 'POST', headers: { 'content-type': type }, body: `answer=${answer}` });
    const unanswered = await app.request(url);
    expect(codesOf(operation('asking/{id}'), unanswered.status)).toContain(unanswered.code);
    for (const answer of ['', '1']) {
      const refused = await post(answer);
      expect(codesOf(operation('asking/{id}', 'post'), refused.status)).toContain(refused.code);
    }
    const answered = await post('4711');
    const documented = Object.keys(responses[answered.status].headers).map((name) => name.toLowerCase());
    expect(Object.keys(answered.headers)).toEqual(expect.arrayContaining(documented));
    const cookie = answered.headers['set-cookie']!.map((line) => line.split(';', 1)[0]).join('; ');
    const whole = await app.request(url, { headers: { cookie } });
    expect([answered.status, whole.status]).toEqual([303, 200]);
    expect(requestBody.content[type].schema.required).toEqual(['answer']);
  });

  it('is the same before the application listens', () => expect(early).toEqual(document));

  it('finds the routes without the global prefix, too', () => {
    const paths = documentOf(app, '3.0.0', { ignoreGlobalPrefix: true }).paths;
    expect(Object.keys(paths['/files/token/{id}']!.get!.responses)).toContain('206');
  });
});

it.each(ADAPTERS)(
  'describes versions, names of the token and two instances of the module, on %s',
  async (adapter) => {
    @Controller({ path: 'a', version: ['1', '2'] })
    class AController {
      @Get(':id')
      @StreamDownload()
      get() {}
    }
    @Controller('b')
    class BController {
      @Get(':id')
      @StreamDownload()
      get() {}
    }
    const moduleOf = (controller: any, options: object) => {
      @Module({
        imports: [DownloadAuthModule.forRoot({ ...options, isGlobal: false })],
        controllers: [controller],
      })
      class Scoped {}
      return Scoped;
    };
    const app = await startApp({
      adapter,
      controllers: [],
      imports: [
        moduleOf(AController, { secret: SECRET, tokenName: { query: 'dl', cookie: '__Host-dl' } }),
        moduleOf(BController, {
          links: { secret: SECRET },
          auth: 'links',
          refusals: 'throw',
          requireSecureConnection: true,
        }),
      ],
      configure: (app) => void app.enableVersioning({ type: VersioningType.URI }),
    });
    const { paths, components } = documentOf(app);
    for (const path of ['/v1/a/{id}', '/v2/a/{id}']) {
      expect(paths[path]!.get!.security).toEqual([
        { bearer: [] },
        { 'dl-query': [] },
        { '__Host-dl-cookie': [] },
      ]);
    }
    expect(components!.securitySchemes).toMatchObject({
      'dl-query': { type: 'apiKey', in: 'query', name: 'dl', description: 'A token or a link' },
      'ss-tok-query': { type: 'apiKey', in: 'query', name: 'ss-tok' },
    });
    const { 403: refused, 401: unauthorized } = paths['/b/{id}']!.get!.responses as any;
    expect(refused.description).toContain('INSECURE_CONNECTION');
    expect(refused.content).toBeUndefined();
    expect(unauthorized).toBeUndefined();
    await app.close();
  },
);

it('adds its ways in to those that hold for the whole document', async () => {
  const app = await startApp({ adapter: 'express', controllers: [FilesController] });
  const config = new DocumentBuilder()
    .addBearerAuth({ type: 'http' }, 'mine')
    .addSecurityRequirements('mine')
    .build();
  const { paths } = describeDownloads(app.app, SwaggerModule.createDocument(app.app, config));
  expect(paths['/files/token/{id}']!.get!.security).toEqual([
    { mine: [] },
    { 'ss-tok-query': [] },
    { 'ss-tok-cookie': [] },
  ]);
  expect(paths['/files/plain']!.get!.security).toBeUndefined();
  await app.close();
});

it('says what to do where the module is missing', async () => {
  @Module({})
  class Empty {}
  const app = await NestFactory.create(Empty, { logger: false });
  const document = { openapi: '3.0.0', info: { title: '', version: '' }, paths: {} };
  expect(() => describeDownloads(app, document)).toThrow(DownloadAuthConfigurationError);
  expect(() => describeDownloads(app, document)).toThrow('does not import DownloadAuthModule');
  await app.close();
});
