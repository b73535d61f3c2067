import { gzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { clientModule } from './support.js';

it('the browser module is less than 2 KB minified and compressed, and loads nothing', async () => {
  const bytes = await clientModule();
  expect(gzipSync(bytes).length).toBeLessThan(2000);
  expect(Buffer.from(bytes).toString()).not.toMatch(/\bimport\b|\brequire\b/);
});
