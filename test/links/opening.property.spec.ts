import { Controller, Get, Param, Query, Req, VERSION_NEUTRAL, VersioningType } from '@nestjs/common';
import type { Type } from '@nestjs/common';
import fc from 'fast-check';
import { Agent, request as httpRequest } from 'node:http';
import { expect, it } from 'vitest';
import { DownloadAuthConfigurationError, DownloadLinks, StreamDownload } from '../../lib/index.js';
import type { CreateLinkOptions } from '../../lib/index.js';
import { ADAPTERS, SECRET, startApp } from '../support/test-app.js';
import type { AdapterName, TestApp } from '../support/test-app.js';

const RUNS = 150;

/** What a handler received. */
interface Received {
  readonly handler: string;
  readonly params: Record<string, unknown>;
  readonly query: Record<string, unknown>;
  readonly hosts: Record<string, unknown>;
}

interface Target extends Pick<CreateLinkOptions, 'params' | 'query' | 'hosts' | 'path'> {
  readonly handler: string;
}

/** A controller of echoing downloads. */
function echoing(
  options: Parameters<typeof Controller>[0] & object,
  paths: Record<string, string | string[]>,
): Type {
  class EchoController {}
  for (const [handler, path] of Object.entries(paths)) {
    const echo = (params: unknown, query: unknown, { hosts = {} }: { hosts?: unknown }) => ({
      handler,
      params,
      query,
      hosts,
    });
    const descriptor = { value: echo, configurable: true, enumerable: false, writable: true };
    Object.defineProperty(EchoController.prototype, handler, descriptor);
    for (const [index, decorator] of [Param(), Query(), Req()].entries()) {
      decorator(EchoController.prototype, handler, index);
    }
    Get(path)(EchoController.prototype, handler, descriptor);
    StreamDownload({ name: handler })(EchoController.prototype, handler, descriptor);
  }
  Controller(options as object)(EchoController);
  return EchoController;
}

const SHARED = {
  root: '',
  fixed: 'fixed/of/several',
  one: 'one/:id',
  two: 'two/:a/:b',
  within: 'within/:id/end',
  dotted: 'dotted/:name.:ext',
  dashed: 'dashed/:a-:b',
  prefixed: 'prefixed/v:major',
  either: ['either/:id', 'or/:id'],
  latest: 'shadow/latest',
  shadow: 'shadow/:id',
};
const OWN = {
  express: { maybe: 'maybe{/:id}', tree: 'tree/*path', all: 'all{/*path}' },
  fastify: { maybe: 'maybe/:id?', tree: 'tree/*', all: 'all/*' },
};

const CHARACTER = fc.oneof(
  { weight: 3, arbitrary: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 }) },
  fc.constantFrom(...' .-/\\%+;?#&=:*(){}[]"\'\0\n'),
  fc.constantFrom('..', '%2f', '%2E', '%25', 'é', '\ud800', 'tar.gz', 'latest', 'x'.repeat(60)),
);
const VALUE = fc.array(CHARACTER, { maxLength: 8 }).map((characters) => characters.join(''));
const WILDCARD = fc.oneof(VALUE, fc.array(VALUE, { minLength: 1, maxLength: 4 }));
const NAME = fc.oneof(
  fc.constantFrom('a', 'b', 'ids', 'ids[]', 'a[b]', '__proto__', 'constructor', 'a.b'),
  VALUE,
);
const NESTED = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    VALUE,
    fc.array(VALUE, { maxLength: 25 }),
    fc.dictionary(fc.constantFrom('x', 'y', '0'), tie('value'), { maxKeys: 2 }),
  ),
})).value;
const QUERY = fc.oneof(
  fc.constant(undefined),
  fc.dictionary(NAME, VALUE, { maxKeys: 3 }),
  fc.dictionary(NAME, fc.oneof(VALUE, fc.array(VALUE, { maxLength: 3 })), { maxKeys: 3 }),
  fc.dictionary(fc.constantFrom('a', 'ids'), NESTED, { maxKeys: 2 }),
);

const ofRoute = (
  handler: string,
  params: Record<string, fc.Arbitrary<unknown>>,
  more: Record<string, fc.Arbitrary<unknown>> = {},
) =>
  fc.record({
    handler: fc.constant(handler),
    params: fc.record(params),
    query: QUERY,
    ...more,
  }) as fc.Arbitrary<Target>;

const TARGET = fc.oneof(
  ofRoute('root', {}),
  ofRoute('fixed', {}),
  ofRoute('one', { id: VALUE }),
  ofRoute('two', { a: VALUE, b: VALUE }),
  ofRoute('within', { id: VALUE }),
  ofRoute('dotted', { name: VALUE, ext: VALUE }),
  ofRoute('dashed', { a: VALUE, b: VALUE }),
  ofRoute('prefixed', { major: VALUE }),
  ofRoute('either', { id: VALUE }, { path: fc.constantFrom('either/:id', 'or/:id') }),
  ofRoute('shadow', { id: VALUE }),
  ofRoute('maybe', {}),
  ofRoute('maybe', { id: VALUE }),
  ofRoute('tree', { '*': WILDCARD }),
  ofRoute('all', { '*': WILDCARD }),
  ofRoute(
    'hosted',
    { id: VALUE },
    { hosts: fc.record({ tenant: fc.oneof(fc.constantFrom('acme', 'Acme', 'ü', 'a.b'), VALUE) }) },
  ),
  ofRoute('versioned', { id: VALUE }),
  ofRoute('mixed', { id: VALUE }),
);

const SETUPS: Record<string, (app: any) => void> = {
  'as it is': () => undefined,
  'with a prefix and versions in the URL': (app) =>
    app.setGlobalPrefix('api', { exclude: ['one/:id'] }).enableVersioning({ type: VersioningType.URI }),
  'with versions in a header': (app) =>
    app.enableVersioning({ type: VersioningType.HEADER, header: 'x-version' }),
  'with versions in the media type': (app) =>
    app.enableVersioning({ type: VersioningType.MEDIA_TYPE, key: 'v=' }),
};

const ROOT: Target = { handler: 'root' };

/** One of each route that has to open everywhere. */
const SIMPLE: Target[] = [
  ROOT,
  { handler: 'fixed' },
  ...['one', 'within', 'either', 'shadow', 'maybe', 'versioned'].map((handler) => ({
    handler,
    params: { id: '1' },
  })),
  ...['two', 'dashed'].map((handler) => ({ handler, params: { a: '1', b: '2' } })),
  { handler: 'dotted', params: { name: 'a', ext: 'pdf' } },
  { handler: 'prefixed', params: { major: '1' } },
  ...['tree', 'all'].map((handler) => ({ handler, params: { '*': 'a/b' } })),
  { handler: 'hosted', params: { id: '1' }, hosts: { tenant: 'acme' } },
];

const agent = new Agent({ keepAlive: true, maxSockets: 8 });

it.each(ADAPTERS.flatMap((adapter) => Object.keys(SETUPS).map((setup) => [adapter, setup] as const)))(
  'on %s %s, whatever is minted opens and hands over what was given, and opens nothing else',
  async (adapter, setup) => {
    const app = await start(adapter, setup);
    const minted = new Set<string>();
    try {
      await fc.assert(
        fc.asyncProperty(TARGET, TARGET, async (target, other) => {
          const link = mint(app, target);
          if (!link) {
            return;
          }
          minted.add(target.handler);
          const { status, text } = await open(app, link.url, target);
          expect([status, text]).toEqual([200, text]);
          const received = JSON.parse(text) as Received;
          expect(received).toEqual(given(target, adapter));
          const elsewhere = mint(app, other);
          if (!elsewhere) {
            return;
          }
          const swapped = elsewhere.url.replace(elsewhere.token, link.token);
          const answer = await open(app, swapped, other);
          // one handler, one path, the same parameters: the same resource
          const identity = (one: Target) => JSON.stringify([given(one, adapter), one.path]);
          if (identity(other) === identity(target)) {
            return;
          }
          expect([answer.status, answer.text]).toEqual([403, expect.stringContaining('LINK_SCOPE')]);
        }),
        {
          numRuns: RUNS,
          examples: [...SIMPLE, { handler: 'dotted', params: { name: 'a', ext: 'tar.gz' } }].map((one) => [
            one,
            ROOT,
          ]),
        },
      );
      expect([...minted]).toEqual(expect.arrayContaining(SIMPLE.map(({ handler }) => handler)));
    } finally {
      await app.close();
    }
  },
  60_000,
);

async function start(adapter: AdapterName, setup: string): Promise<TestApp> {
  const controllers = [
    echoing({ path: '' }, { ...SHARED, ...OWN[adapter] }),
    echoing({ path: 'hosted', host: ':tenant.example.com' }, { hosted: ':id' }),
    echoing({ path: 'versioned', version: VERSION_NEUTRAL }, { versioned: ':id' }),
    echoing({ path: 'mixed', version: ['2', VERSION_NEUTRAL] }, { mixed: ':id' }),
  ];
  return startApp({
    adapter,
    controllers,
    options: { secret: SECRET },
    configure: (app) => {
      SETUPS[setup]?.(app);
      // on Express, half of the setups have the other parser
      if (adapter === 'express' && setup.includes('in ')) {
        app.set('query parser', 'extended');
      }
    },
  });
}

function mint(app: TestApp, { handler, ...target }: Target) {
  try {
    return app
      .get(DownloadLinks)
      .create(handler as never, { ...target, query: { ...target.query } } as never);
  } catch (error) {
    expect(error).toBeInstanceOf(DownloadAuthConfigurationError);
    return undefined;
  }
}

/** What the handler of a target should receive: lists of one are their value to every parser. */
function given({ handler, params = {}, query = {}, hosts = {} }: Target, adapter: AdapterName): Received {
  const wildcard = handler === 'tree' || handler === 'all' ? params['*'] : undefined;
  const segments =
    wildcard === undefined ? [] : typeof wildcard === 'object' ? [...wildcard] : String(wildcard).split('/');
  return {
    handler,
    params:
      wildcard === undefined
        ? { ...params }
        : adapter === 'fastify'
          ? { '*': segments.join('/') }
          : { path: segments },
    query: plain(query) as Record<string, unknown>,
    hosts: { ...hosts },
  };
}

function plain(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value.length > 1 ? value : value[0];
  }
  if (typeof value !== 'object' || value === null) {
    return value;
  }
  const members = Object.entries(value).map(([name, member]) => [name, plain(member)] as const);
  return Object.fromEntries(members.filter(([, member]) => member !== undefined).sort());
}

/** As a browser asks: the URL resolved against the page. */
function open(app: TestApp, link: string, { hosts }: Target): Promise<{ status: number; text: string }> {
  const { pathname, search } = new URL(link, app.url);
  const headers = { accept: '*/*', ...(hosts && { host: `${hosts.tenant}.example.com` }) };
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest(
      { port: app.port, host: '127.0.0.1', path: pathname + search, headers, agent },
      (incoming) => {
        incoming.setEncoding('utf8');
        let text = '';
        incoming.on('data', (chunk: string) => (text += chunk));
        incoming.on('end', () => resolve({ status: incoming.statusCode ?? 0, text }));
      },
    );
    outgoing.on('error', reject).end();
  });
}
