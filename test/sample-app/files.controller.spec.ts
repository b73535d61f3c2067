import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { bearer } from '../support/test-app.js';
import { describeSample, HARD_NAME, REPORT, temporaryFolder } from './support/sample.js';

const outside = temporaryFolder({ 'secret.txt': 'secret' });
const folder = join(outside, 'files');
mkdirSync(join(folder, 'folder'), { recursive: true });
writeFileSync(join(folder, 'report.pdf'), REPORT);
writeFileSync(join(folder, HARD_NAME), 'hello');
writeFileSync(join(folder, 'empty'), '');
writeFileSync(join(folder, '.hidden'), 'secret');
writeFileSync(join(folder, 'folder', 'inner.txt'), 'secret');
symlinkSync(join(outside, 'secret.txt'), join(folder, 'way-out.txt'));

describeSample(folder, (sample) => {
  it('lists the plain files of the folder and nothing else', async () => {
    const answer = await sample.request('/files', { headers: bearer(sample.ada) });
    expect(answer.status).toBe(200);
    expect(answer.json).toEqual([
      { id: 'empty', name: 'empty', size: 0, type: 'application/octet-stream' },
      { id: HARD_NAME, name: HARD_NAME, size: 5, type: 'text/plain' },
      { id: 'report.pdf', name: 'report.pdf', size: REPORT.length, type: 'application/pdf' },
    ]);
  });

  it.each([
    ['header', () => ['/files/report.pdf', bearer(sample.ada)] as const],
    ['query', () => [`/files/report.pdf?ss-tok=${sample.ada}`, {}] as const],
    ['cookie', () => ['/files/report.pdf', { cookie: `ss-tok=${sample.ada}` }] as const],
    ['link', async () => [(await sample.mint()).url as string, {}] as const],
  ])('sends a file to a caller with a token by %s', async (_transport, request) => {
    const [path, headers] = await request();
    const answer = await sample.request(path, { headers });
    expect(answer.status).toBe(200);
    expect(answer.body.equals(REPORT)).toBe(true);
    expect(answer.headers['content-type']).toBe('application/pdf');
    expect(answer.headers['content-disposition']).toMatch(/^attachment; filename="?report\.pdf"?$/);
    expect(answer.headers['content-length']).toBe(String(REPORT.length));
  });

  it('answers HEAD with the headers alone', async () => {
    const answer = await sample.request('/files/report.pdf', { method: 'HEAD', headers: bearer(sample.ada) });
    expect(answer.status).toBe(200);
    expect(answer.headers['content-length']).toBe(String(REPORT.length));
    expect(answer.body).toHaveLength(0);
  });

  it('finds a file with a difficult name, and saves it under that name', async () => {
    const { url } = await sample.mint({}, sample.ada, HARD_NAME);
    for (const path of [`/files/${encodeURIComponent(HARD_NAME)}`, url]) {
      const answer = await sample.request(path, { headers: path.includes('?') ? {} : bearer(sample.ada) });
      expect(answer.status).toBe(200);
      expect(answer.text).toBe('hello');
      expect(answer.headers['content-disposition']).toMatch(
        /filename\*=utf-8''Gr%C3%BC%C3%9Fe%20(?:%26|&)%20mehr/i,
      );
    }
  });

  it('sends an empty file', async () => {
    const answer = await sample.request('/files/empty', { headers: bearer(sample.ada) });
    expect([answer.status, answer.headers['content-length']]).toEqual([200, '0']);
  });

  it.each([
    'none.txt',
    '..',
    '%2e%2e',
    '..%2fsecret.txt',
    '%2e%2e%2fsecret.txt',
    '..%5csecret.txt',
    'folder',
    'folder%2finner.txt',
    '.hidden',
    'way-out.txt',
    'report.pdf%00',
    '%2fetc%2fpasswd',
    'REPORT.PDF%2f',
    'a'.repeat(5_000),
  ])('has no file %s', async (name) => {
    const answer = await sample.request(`/files/${name}`, { headers: bearer(sample.ada) });
    // One of the routers refuses an overlong parameter before any handler runs.
    expect([404, ...(name.length > 1_000 ? [400, 414] : [])]).toContain(answer.status);
    expect(answer.text).not.toBe('secret');
  });

  it('answers a name with a bad percent-encoding with 400', async () => {
    expect((await sample.request('/files/%zz', { headers: bearer(sample.ada) })).status).toBe(400);
  });

  it('does not tell strangers which files exist', async () => {
    for (const name of ['report.pdf', 'none.txt']) {
      const answer = await sample.request(`/files/${name}`);
      expect(answer.status).toBe(401);
      expect(answer.json.code).toBe('TOKEN_MISSING');
    }
  });

  it.each(['none.txt', '..%2fsecret.txt', '.hidden', 'way-out.txt'])('mints no link to %s', async (name) => {
    for (const room of ['files', 'slow']) {
      expect((await sample.post(`/${room}/${name}/links`, {}, sample.ada)).status).toBe(404);
    }
  });
});
