import { StreamableFile } from '@nestjs/common';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createReadStream, mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PlannedDelivery } from '../../lib/delivery/watch.js';
import { Download } from '../../lib/delivery/download.js';
import { offloadField, proxyAgrees } from '../../lib/delivery/offload.js';
import { startApplication } from './support/application.js';
import type { TestApplication } from './support/application.js';
import { send } from '../support/http-client.js';
import { until } from '../support/until.js';
import { pattern, temporaryFolder } from '../support/files.js';
import { freePort, isInstalled, stop } from '../support/programs.js';
import { ADAPTERS } from '../support/test-app.js';

const folder = temporaryFolder();
const bytes = pattern(500_000);
const names = ['plain.pdf', 'sp ace & 100%.pdf', 'ünïcode ☃?#.html', 'quo\'te"s.bin'];
const root = join(folder.path, 'files');
mkdirSync(join(root, 'sub'), { recursive: true });
for (const name of names) {
  writeFileSync(join(root, 'sub', name), bytes);
  utimesSync(join(root, 'sub', name), 1_700_000_000.5, 1_700_000_000.5);
}
writeFileSync(join(folder.path, 'outside.bin'), bytes);
symlinkSync(join(folder.path, 'outside.bin'), join(root, 'link'));
afterAll(() => folder.remove());
const accel = { type: 'x-accel-redirect', root, prefix: '/protected/' } as const;

describe('the header that hands a file over', () => {
  it.each([
    [accel, join(root, 'a b?c%d#é'), 'x-accel-redirect', '/protected/a%20b%3Fc%25d%23%C3%A9'],
    [accel, join(root, 'sub/x'), 'x-accel-redirect', '/protected/sub/x'],
    [{ type: 'x-sendfile', root } as const, join(root, 'x'), 'x-sendfile', join(root, 'x')],
  ])('names it (%#)', (options, path, name, value) => {
    expect(offloadField(options, root, path)).toEqual({ name, value });
  });

  it.each([
    [accel, join(folder.path, 'outside.bin')],
    [accel, root],
    [accel, `${root}-other/x`],
    [{ type: 'x-sendfile', root } as const, join(root, 'a\r\nb')],
    [{ type: 'x-sendfile', root } as const, join(root, 'a%20b')],
  ])('is not there for what the proxy cannot or must not send (%#)', (options, path) => {
    expect(offloadField(options, root, path)).toBeUndefined();
  });

  it.each([
    [{}, { status: 200, ranged: false }, true],
    [{ range: 'bytes=0-1' }, { status: 206, ranged: true }, true],
    [{ range: 'bytes=-1' }, { status: 206, ranged: true }, true],
    [{ range: 'bytes=0-1', 'if-range': '"a"' }, { status: 200, ranged: true }, true],
    [
      { range: 'bytes=0-1', 'if-range': 'Mon, 06 May 2024 07:08:09 GMT' },
      { status: 206, ranged: true },
      false,
    ],
    [{ range: 'bytes=x' }, { status: 200, ranged: true }, false],
    [{ range: 'bytes=0-1,2-3' }, { status: 206, ranged: true }, false],
    [{ 'if-match': '"a"' }, { status: 200, ranged: false }, false],
    [{ 'if-unmodified-since': 'x' }, { status: 200, ranged: false }, false],
  ])('%j is left to the proxy: %s %s', (fields, plan, agrees) => {
    expect(proxyAgrees(fields, plan)).toBe(agrees);
  });
});

describe.each(ADAPTERS)('offloading on %s', (adapter) => {
  let app: TestApplication;
  beforeAll(async () => {
    app = await startApplication(adapter);
  });
  afterAll(() => app.close());

  it('sends headers and no body', async () => {
    const plans: PlannedDelivery[] = [];
    app.serve({
      handler: () => Download.file('sub/plain.pdf', { root }),
      options: { offload: { type: 'x-sendfile', root } },
      watch: { planned: (plan) => void plans.push(plan) },
    });
    const { status, headers, body } = await app.request('/f', { headers: { range: 'bytes=5-9' } });
    expect([status, body.length, headers['x-sendfile']]).toEqual([200, 0, join(root, 'sub/plain.pdf')]);
    expect(headers['content-range']).toBeUndefined();
    expect(plans).toMatchObject([{ offload: { name: 'x-sendfile' }, intervals: [{ start: 5, end: 10 }] }]);
  });

  it.each([
    ['HEAD', { method: 'HEAD' }, {}],
    ['a file outside the folder', {}, { handler: () => Download.file(join(folder.path, 'outside.bin')) }],
    ['a link that leads outside', {}, { handler: () => Download.file(join(root, 'link')) }],
    [
      'a slice',
      {},
      { handler: () => new StreamableFile(createReadStream(join(root, 'sub/plain.pdf'), { end: 9 })) },
    ],
    ['bytes', {}, { handler: () => Download.buffer(bytes) }],
    [
      'a download that says no',
      {},
      { handler: () => Download.file(join(root, 'sub/plain.pdf'), { offload: false as const }) },
    ],
    ['an observer that counts', {}, { watch: { countsBytes: true } }],
    ['If-Match', { headers: { 'if-match': '*' } }, {}],
  ])('%s is not handed over', async (_name, asking, scenario) => {
    app.serve({
      handler: () => Download.file('sub/plain.pdf', { root }),
      options: { offload: accel },
      ...scenario,
    });
    const { status, headers } = await app.request('/f', asking);
    expect([status, headers['x-accel-redirect']]).toEqual([200, undefined]);
  });
});

describe.skipIf(!isInstalled('nginx', '-v'))('behind nginx, on loopback', () => {
  let app: TestApplication;
  let nginx: ChildProcess;
  let port: number;
  let delegated = 0;
  beforeAll(async () => {
    app = await startApplication('express');
    port = await freePort();
    writeFileSync(
      join(folder.path, 'nginx.conf'),
      `daemon off; master_process off; pid ${folder.path}/nginx.pid; error_log stderr crit;
       events { worker_connections 64; }
       http {
         access_log off;
         client_body_temp_path ${folder.path}/t1; proxy_temp_path ${folder.path}/t2;
         fastcgi_temp_path ${folder.path}/t3; uwsgi_temp_path ${folder.path}/t4; scgi_temp_path ${folder.path}/t5;
         server {
           listen 127.0.0.1:${port};
           location / { proxy_pass http://127.0.0.1:${app.port}; proxy_http_version 1.1; }
           location /protected/ {
             internal;
             alias ${root}/;
             etag off;
             add_header ETag $upstream_http_etag;
             add_header Referrer-Policy $upstream_http_referrer_policy;
             add_header X-Content-Type-Options $upstream_http_x_content_type_options;
             add_header Cross-Origin-Resource-Policy $upstream_http_cross_origin_resource_policy;
             add_header Access-Control-Expose-Headers $upstream_http_access_control_expose_headers;
             add_header Content-Security-Policy $upstream_http_content_security_policy;
           }
         }
       }`,
    );
    nginx = spawn('nginx', ['-p', folder.path, '-c', join(folder.path, 'nginx.conf')], { stdio: 'inherit' });
    let listening = false;
    const knock = () => {
      const socket = net.connect(port, '127.0.0.1', () => ((listening = true), socket.destroy()));
      socket.on('error', () => {});
    };
    await until(() => (knock(), listening), 'nginx');
  });
  afterAll(async () => {
    await stop(nginx);
    await app.close();
  });

  const serve = (name: string, offloads: boolean) =>
    app.serve({
      handler: () =>
        Download.file(join('sub', name), { root, disposition: name.endsWith('pdf') ? 'inline' : undefined }),
      options: { offload: offloads && accel },
      watch: { planned: (plan) => void (delegated += plan.offload ? 1 : 0) },
    });
  const seen = [
    'content-type',
    'content-length',
    'content-disposition',
    'content-range',
    'etag',
    'last-modified',
    'accept-ranges',
    'cache-control',
    'referrer-policy',
    'x-content-type-options',
    'cross-origin-resource-policy',
    'access-control-expose-headers',
    'content-security-policy',
  ];

  it.each(names)('%s looks to the client as it does without', async (name) => {
    serve(name, false);
    const { etag = '', 'last-modified': date = '' } = (await app.request('/f')).headers;
    const requests: Record<string, string>[] = [
      {},
      { range: 'bytes=0-0' },
      { range: 'bytes=1000-' },
      { range: 'bytes=-7' },
      { range: 'bytes=499999-600000' },
      { range: 'bytes=500000-' },
      { range: 'bytes=nonsense' },
      { range: 'bytes=9-5' },
      { range: 'bytes=5-9', 'if-range': etag },
      { range: 'bytes=5-9', 'if-range': '"other"' },
      { range: 'bytes=5-9', 'if-range': `W/${etag}` },
      { range: 'bytes=5-9', 'if-range': date },
      { 'if-none-match': etag },
      { 'if-none-match': '"other"' },
      { 'if-none-match': '"other"', 'if-modified-since': date },
      { 'if-modified-since': date },
      { 'if-modified-since': 'nonsense' },
      { 'if-match': etag },
      { 'if-match': '"other"' },
      { 'if-unmodified-since': 'nonsense' },
    ];
    delegated = 0;
    for (const headers of requests) {
      serve(name, false);
      const without = await app.request('/f', { headers });
      serve(name, true);
      const through = await send(`http://127.0.0.1:${port}/f`, { headers });
      const pick = ({ headers: found }: typeof through) =>
        Object.fromEntries(seen.map((field) => [field, found[field]]));
      expect([headers, through.status, pick(through)]).toEqual([headers, without.status, pick(without)]);
      expect(through.body.equals(without.body)).toBe(true);
    }
    expect(delegated).toBe(10);
    serve(name, true);
    const several = await send(`http://127.0.0.1:${port}/f`, { headers: { range: 'bytes=0-1,5-6' } });
    expect([several.status, several.headers['content-type']?.split(';')[0]]).toEqual([
      206,
      'multipart/byteranges',
    ]);
    const head = await send(`http://127.0.0.1:${port}/f`, { method: 'HEAD' });
    expect([head.status, head.headers['content-length'], head.headers.etag]).toEqual([200, '500000', etag]);
  });

  it('the internal location cannot be reached from outside', async () => {
    expect((await send(`http://127.0.0.1:${port}/protected/sub/plain.pdf`)).status).toBe(404);
  });
});
