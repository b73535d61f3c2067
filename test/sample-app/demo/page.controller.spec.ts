import { expect, it } from 'vitest';
import { describeSample, temporaryFolder } from '../support/sample.js';

describeSample(temporaryFolder(), (sample) => {
  it('serves a page in which only its own scripts may run', async () => {
    const page = await sample.request('/');
    expect(page.status).toBe(200);
    expect(page.headers['content-type']).toBe('text/html; charset=utf-8');
    expect(page.headers['content-security-policy']).toMatch(/^default-src 'none'/);
    expect(page.headers['content-security-policy']).not.toContain('unsafe');
    expect(page.text).toContain('<title>Private downloads</title>');
  });

  it('serves everything that the page loads', async () => {
    const page = (await sample.request('/')).text;
    const names = new Set([...page.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map(([, path]) => path));
    for (const name of names) {
      const { status, text, headers } = await sample.request(name!);
      expect([name, status]).toEqual([name, 200]);
      expect(headers['x-content-type-options']).toBe('nosniff');
      for (const [, imported] of text.matchAll(/from '\.\/([^']+)'/g)) {
        names.add(`/assets/${imported}`);
      }
    }
    expect(names.size).toBeGreaterThan(5);
  });

  it.each(['/assets/index.html', '/assets/..%2fmain.ts', '/assets/constructor', '/assets/none.js'])(
    'does not serve %s',
    async (path) => {
      expect((await sample.request(path)).status).toBe(404);
    },
  );
});
