import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { makeSampleMedia } from '../../sample-app/demo/samples/sample-files.js';
import { bearer } from '../support/test-app.js';
import { describeSample, temporaryFolder } from './support/sample.js';

const folder = temporaryFolder();
beforeAll(() => makeSampleMedia(join(folder, 'media')));

describeSample(folder, (sample) => {
  const linksOf = async (token: string) =>
    (await sample.request('/media', { headers: bearer(token) })).json as Record<string, any>;

  it('gives links to those who are signed in', async () => {
    expect((await sample.request('/media')).status).toBe(401);
    const { pictures, film, document } = await linksOf(sample.ada);
    for (const { url } of [...pictures, film, document]) {
      const answer = await sample.request(url);
      expect([answer.status, answer.headers['content-disposition']]).toEqual([
        200,
        expect.stringMatching(/^inline/),
      ]);
    }
  });

  it('gives the same links to pictures again, and others to another person', async () => {
    const urlsOf = async (token: string) => (await linksOf(token)).pictures.map(({ url }: any) => url);
    const urls = await urlsOf(sample.ada);
    expect(urls).toHaveLength(6);
    expect(await urlsOf(sample.ada)).toEqual(urls);
    expect(await urlsOf(sample.grace)).not.toEqual(urls);
  });

  it('opens the parts of the film with the cookie that came with its playlist', async () => {
    const { film } = await linksOf(sample.ada);
    const playlist = await sample.request(film.url);
    const cookie = playlist.headers['set-cookie']![0]!.split(';')[0]!;
    const parts = playlist.text.match(/\b\w+\.(?:mp4|m4s)\b/g)!;
    expect(parts).toHaveLength(6);
    for (const part of parts) {
      expect((await sample.request(`/media/film/${part}`)).status).toBe(401);
      expect((await sample.request(`/media/film/${part}`, { headers: { cookie } })).status).toBe(200);
    }
  });
});
