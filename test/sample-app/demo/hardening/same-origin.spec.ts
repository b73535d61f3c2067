import { expect, it } from 'vitest';
import { bearer } from '../../../support/test-app.js';
import { describeSample, temporaryFolder } from '../../support/sample.js';

describeSample(temporaryFolder({ 'report.pdf': 'report' }), (sample) => {
  it.each([
    'evil.example',
    'evil.example:3000',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    '127.0.0.1@evil.example',
  ])('refuses every request for the host %j', async (host) => {
    for (const path of ['/', '/files', '/assets/app.js']) {
      expect((await sample.request(path, { headers: { host } })).status).toBe(421);
    }
  });

  it.each([
    'localhost',
    'localhost:3000',
    'LOCALHOST',
    '127.0.0.1:3000',
    '192.168.1.7',
    '[::1]:3000',
    'files.example',
    'files.example:80',
  ])('answers a request for the host %j', async (host) => {
    expect((await sample.request('/', { headers: { host } })).status).toBe(200);
  });

  const FOREIGN: Record<string, string>[] = [
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { origin: 'https://evil.example' },
    { origin: 'http://localhost:4200' },
    { origin: 'null' },
  ];
  it.each(FOREIGN)('lets pages of other sites change nothing: %j', async (headers) => {
    for (const path of ['/auth/logout', '/auth/cookie', '/auth/login']) {
      const answer = await sample.request(path, {
        method: 'POST',
        headers: { ...headers, ...bearer(sample.ada) },
      });
      expect([path, answer.status, answer.headers['set-cookie']]).toEqual([path, 403, undefined]);
    }
  });

  const OWN: Record<string, string>[] = [
    {},
    { 'sec-fetch-site': 'same-origin', origin: 'http://localhost:3000', host: 'localhost:3000' },
    { origin: 'https://files.example', host: '127.0.0.1' },
  ];
  it.each(OWN)('lets its own page and programs sign out: %j', async (headers) => {
    const answer = await sample.request('/auth/logout', { method: 'POST', headers });
    expect([answer.status, answer.headers['set-cookie']?.length]).toEqual([204, 1]);
  });

  it('lets a link be opened from any site', async () => {
    const { url } = await sample.mint();
    expect((await sample.request(url, { headers: { 'sec-fetch-site': 'cross-site' } })).status).toBe(200);
  });
});
