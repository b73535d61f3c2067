import { ROOT_CONTEXT, trace } from '@opentelemetry/api';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import type { ReadableSpan } from '@opentelemetry/sdk-trace-base';
import { expect, it } from 'vitest';
import { TokenRedactor } from '../../lib/opentelemetry.js';
import { DownloadAuthConfigurationError } from '../../lib/index.js';

const T = 'opaque-token-of-another-make';
const JWT = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJlc2lnbmF0dXJl';

/** What is exported of a span with an attribute, by way of a processor that exports at once. */
function exported(value: unknown, redactor = new TokenRedactor(), write = (_span: any): void => {}): ReadableSpan {
  const exporter = new InMemorySpanExporter();
  const spanProcessors = [new SimpleSpanProcessor(exporter), redactor];
  const tracer = new BasicTracerProvider({ spanProcessors }).getTracer('test');
  const span = tracer.startSpan('a span', { attributes: { value: value as string } });
  write(span);
  span.end();
  return exporter.getFinishedSpans()[0]!;
} // prettier-ignore

it.each([
  ['a URL', `https://a.example/f?a=1&ss-tok=${T}&b=2`, 'https://a.example/f?a=1&ss-tok=REDACTED&b=2'],
  ['a query', `a=1&ss-tok=${T}`, 'a=1&ss-tok=REDACTED'],
  ['a query that is the token', `ss-tok=${T}`, 'ss-tok=REDACTED'],
  ['a query with its question mark', `?ss-tok=${T}`, '?ss-tok=REDACTED'],
  ['cookies', `a=b; ss-tok=${T}; c=d`, 'a=b; ss-tok=REDACTED; c=d'],
  ['a message', `Cannot GET /f?ss-tok=${T} at noon`, 'Cannot GET /f?ss-tok=REDACTED at noon'],
  ['a stack', `Error: /f?ss-tok=${T}\n    at a (b.js:1)`, 'Error: /f?ss-tok=REDACTED\n    at a (b.js:1)'],
  ['a bearer', `Bearer ${T}`, 'Bearer REDACTED'],
  ['a challenge', 'Bearer error="invalid_token", a="b"', 'Bearer error="invalid_token", a="b"'],
  ['a JWT anywhere', `select '${JWT}' from t`, "select 'REDACTED' from t"],
  ['a JWT that was cut off', `token ${JWT.slice(0, 30)}`, 'token REDACTED'],
  ['a URL within a URL', `/login?next=%2Ff%3Fss-tok%3D${JWT}`, '/login?next=%2Ff%3Fss-tok%3DREDACTED'],
  ['encoded dots', `/x/${JWT.replaceAll('.', '%2E')}`, '/x/REDACTED'],
  ['a list', [`ss-tok=${T}`, 'a'], ['ss-tok=REDACTED', 'a']],
  ['nothing secret', 'GET /files/1?a=b&c=d%20e', 'GET /files/1?a=b&c=d%20e'],
  ['a number', 42, 42],
])('an attribute with %s', (_name, value, redacted) => {
  expect(exported(value).attributes).toEqual({ value: redacted });
});

it('objects within attributes, as the next SDK allows them', () => {
  const span = { name: '', status: {}, events: [], links: [], attributes: { a: { b: [`?ss-tok=${T}`], c: null } } };
  new TokenRedactor().onEnd(span);
  expect(span.attributes).toEqual({ a: { b: ['?ss-tok=REDACTED'], c: null } });
}); // prettier-ignore

it('an event of an error tracker, without changing it', () => {
  const date = new Date();
  const event = { request: { url: `/f?ss-tok=${T}`, date, tags: [`ss-tok=${T}`] } };
  const redacted = { request: { url: '/f?ss-tok=REDACTED', date, tags: ['ss-tok=REDACTED'] } };
  expect(new TokenRedactor().redact(event)).toEqual(redacted);
  expect(event.request.url).toContain(T);
});

it('name, status, events, exceptions and links', () => {
  const span = exported('', undefined, (span) => {
    span.updateName(`GET /f?ss-tok=${T}`);
    span.setStatus({ code: 2, message: `no /f?ss-tok=${T}` });
    span.addEvent(`GET /f?ss-tok=${T}`, { url: `/f?ss-tok=${T}` });
    span.recordException(new Error(`no /f?ss-tok=${T}`));
    span.addLink({ context: trace.getSpanContext(ROOT_CONTEXT)!, attributes: { url: `/f?ss-tok=${T}` } });
  });
  const { name, status, events, links } = span;
  expect({ name, status }).toEqual({
    name: 'GET /f?ss-tok=REDACTED',
    status: { code: 2, message: 'no /f?ss-tok=REDACTED' },
  });
  expect(events[0]).toMatchObject({
    name: 'GET /f?ss-tok=REDACTED',
    attributes: { url: '/f?ss-tok=REDACTED' },
  });
  expect(events[1]!.attributes!['exception.stacktrace']).toMatch(/no \/f\?ss-tok=REDACTED\n +at /);
  expect(links[0]!.attributes).toEqual({ url: '/f?ss-tok=REDACTED' });
});

it('goes by the names of the module', () => {
  const value = `a=1&dl=${T}&ck=${T}&ss-tok=${T}`;
  const names = new TokenRedactor({ query: 'dl', cookie: 'ck' });
  expect(exported(value, names).attributes).toEqual({ value: 'a=1&dl=REDACTED&ck=REDACTED&ss-tok=REDACTED' });
  expect(exported(`dl=${T}`, new TokenRedactor('dl')).attributes).toEqual({ value: 'dl=REDACTED' });
});

it('says what to write instead of a name that is none', () => {
  expect(() => new TokenRedactor({ querry: 'dl' } as never)).toThrow(DownloadAuthConfigurationError);
  expect(() => new TokenRedactor({ querry: 'dl' } as never)).toThrow('Did you mean "query"?');
  expect(() => new TokenRedactor({ query: 1 } as never)).toThrow("give a string, such as 'ss-tok'");
});

it('looks at every character a limited number of times', () => {
  for (const part of ['eyJ', 'bearer ', ' ', 'a.', 'ss-tok=', ';', 'eyJaaaaaaaaaaaaa.', '%2E']) {
    exported(part.repeat(50_000));
  }
}, 2_000);
