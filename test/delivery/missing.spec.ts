import { Readable } from 'node:stream';
import { expect, it } from 'vitest';
import { Download } from '../../lib/delivery/download.js';
import { startApplication } from './support/application.js';
import { ADAPTERS } from '../support/test-app.js';

class NoSuchKey extends Error {}

const failing = (error: Error) =>
  new Readable({
    read() {
      this.destroy(error);
    },
  });

const sources = [
  ['whose open rejects', () => Promise.reject(new NoSuchKey())],
  ['whose stream fails before its first byte', () => failing(new NoSuchKey())],
] as const;

it.each(ADAPTERS.flatMap((adapter) => sources.map(([name, open]) => [adapter, name, open] as const)))(
  'on %s, an object that is not there is a 404: a source %s',
  async (adapter, _name, open) => {
    const app = await startApplication(adapter);
    try {
      const serve = (missing?: (error: unknown) => boolean) =>
        app.serve(() => Download.source({ length: 5, etag: 'v1', open, missing }, { filename: 'a.pdf' }));
      serve((error) => error instanceof NoSuchKey);
      for (const asking of [{}, { method: 'HEAD' }, { headers: { range: 'bytes=1-2' } }]) {
        const { status, headers } = await app.request('/f', asking);
        expect([status, headers['content-disposition'], headers['cache-control']]).toEqual([
          404,
          undefined,
          'no-store',
        ]);
      }
      for (const missing of [undefined, () => false]) {
        serve(missing);
        expect((await app.request('/f')).status).toBe(500);
      }
    } finally {
      await app.close();
    }
  },
);

it.each(ADAPTERS)('on %s, HEAD opens one byte of a source that has isMissing', async (adapter) => {
  const app = await startApplication(adapter);
  try {
    const opened: [number, number][] = [];
    const open = ({ start, end }: { start: number; end: number }) => {
      opened.push([start, end]);
      return Readable.from([Buffer.from('12345').subarray(start, end)]);
    };
    app.serve(() => Download.source({ length: 5, open, missing: () => true }));
    const head = await app.request('/f', { method: 'HEAD' });
    expect([head.status, head.headers['content-length'], opened]).toEqual([200, '5', [[0, 1]]]);
    expect((await app.request('/f')).body.toString()).toBe('12345');
  } finally {
    await app.close();
  }
});
