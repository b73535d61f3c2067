import { fork } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import type { DownloadLink } from '../../lib/index.js';
import { Worker } from '../leases/support/processes.js';
import { accessToken } from '../support/access-token.js';
import { CARRIERS } from '../support/carriers.js';
import { compiledLibrary } from '../support/compiled-library.js';
import { forge, inAnHour } from '../support/forge.js';
import { send } from '../support/http-client.js';
import type { RequestOptions } from '../support/http-client.js';
import { ADAPTERS, SECRET } from '../support/test-app.js';
import type { AdapterName } from '../support/test-app.js';

const APPLICATION = fileURLToPath(new URL('./application.mjs', import.meta.url));
const TRACING = new URL('./tracing.mjs', import.meta.url).href;
const { version: NEST } = createRequire(import.meta.url)('@nestjs/core/package.json') as { version: string };

/** 0.220 of the HTTP instrumentation writes whole URLs, 0.301 redacts a list; the latter needs Node 22.15. */
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
const runsNewest = major > 22 || (major === 22 && minor >= 15);
if (!runsNewest) {
  console.warn('The newest OpenTelemetry: skipped, since it needs Node 22.15.');
}

const TOKENS = {
  good: accessToken(),
  'of another key': forge({ alg: 'HS256' }, { sub: 'eve', exp: inAnHour() }, `not ${SECRET}`),
  'with a header that is spelled otherwise': `${Buffer.from('{ "alg":"HS256"}').toString('base64url')}.e30.${'A'.repeat(43)}`,
};

interface Recorded {
  loaded: string[];
  written: string[];
  spans: string[];
  metrics: string;
  logs: string;
  lines: string[];
}

/** What stands in a text of a token that could be told from chance. */
function traceOf(text: string, token: string): string | undefined {
  for (let at = 0; at + 16 <= token.length; at++) {
    if (text.includes(token.slice(at, at + 16))) {
      return token.slice(at, at + 16);
    }
  }
  return undefined;
}

/** Sends every request to a traced application, and ends it. */
async function record(adapter: AdapterName, otel: string) {
  const env = { ...process.env, LIBRARY: compiledLibrary(), OTEL: otel, OTEL_SEMCONV_STABILITY_OPT_IN: 'http/dup' };
  const execArgv = ['--import', TRACING];
  const child = new Worker(fork(APPLICATION, [compiledLibrary(), adapter], { env, execArgv }));
  const { port, link } = await child.next<{ port: number; link: DownloadLink }>('listening');
  const statuses: Record<string, unknown> = {};
  const request = async (name: string, path: string, options?: RequestOptions) => {
    statuses[name] = (await send(`http://127.0.0.1:${port}${path}`, options)).status;
  };
  const tokens = { ...TOKENS, 'of a link': link.token };
  for (const [kind, token] of Object.entries(tokens)) {
    for (const carrier of CARRIERS) {
      const { path, options } = carrier.carry('/files/1', token)!;
      await request(`${kind}, ${carrier.name}`, path, options);
    }
    await request(`${kind}, referer`, '/files/1', { headers: { referer: `https://a.example/?ss-tok=${token}` } });
    await request(`${kind}, no route`, `/none?ss-tok=${token}`);
    await request(`${kind}, encoded name`, `/files/1?a=1&SS%2dtok=${token}`);
  }
  await request('relay', '/relay');
  await request('broken', '/broken');
  child.tell({ do: 'end' });
  const recorded = await child.next<Recorded>('recorded');
  await child.kill();
  return { recorded, statuses, tokens: Object.values(tokens) };
} // prettier-ignore

describe.each(runsNewest ? ['old', 'newest'] : ['old'])('with the %s OpenTelemetry', (otel) => {
  describe.each(ADAPTERS)('an application on %s', (adapter) => {
    let all: Awaited<ReturnType<typeof record>>;
    beforeAll(async () => {
      all = await record(adapter, otel);
    });

    it('answers as ever', () => {
      expect(all.statuses).toMatchObject({
        'good, header': 200,
        'good, query': 200,
        'good, cookie': 200,
        'good, form': 201,
        'of another key, query': 401,
        'of a link, query': 200,
        'good, no route': 404,
        relay: 200,
        broken: 500,
      });
    });

    it('has spans that the instrumentations wrote tokens into', () => {
      const leaky = all.recorded.written.filter((span) => all.tokens.some((token) => traceOf(span, token)));
      const scopes = new Set(leaky.map((span) => JSON.parse(span).scope as string));
      const own = adapter === 'fastify' ? ['@fastify/otel'] : [];
      const nest = NEST.startsWith('11') ? ['@opentelemetry/instrumentation-nestjs-core'] : [];
      const always = ['@opentelemetry/instrumentation-http', '@opentelemetry/instrumentation-undici'];
      expect([...scopes].sort()).toEqual([...own, ...always, ...nest].sort());
      if (adapter === 'express') {
        expect(all.recorded.written.join()).toContain('@opentelemetry/instrumentation-express');
      }
    });

    it.each(['spans', 'metrics', 'logs', 'lines'] as const)('exports no 16 characters of a token in %s', (kind) => {
      const text = String(all.recorded[kind]);
      expect(text.length).toBeGreaterThan(1000);
      expect(all.tokens.map((token) => traceOf(text, token))).toEqual(all.tokens.map(() => undefined));
    }); // prettier-ignore

    it('keeps the rest of the spans', () => {
      const { spans, written } = all.recorded;
      expect(spans).toHaveLength(written.length);
      expect(spans.join('\n')).toContain('a=1&SS');
      expect(spans.join('\n')).toContain('a=b; ss-tok=REDACTED');
      expect(spans.filter((span) => !span.includes('REDACTED'))).toEqual(
        written.filter((span) => spans.includes(span)),
      );
    });

    it('loads nothing before it is traced but files of the package', () => {
      expect(all.recorded.loaded.length).toBeGreaterThan(1);
      expect(all.recorded.loaded.filter((file) => !file.startsWith(compiledLibrary()))).toEqual([
        expect.stringMatching(/node_modules\/ms\/index\.js$/),
      ]);
    });
  });
});
