import { expect, it } from 'vitest';
import { describeSample, HARD_NAME, REPORT, temporaryFolder } from './support/sample.js';

const folder = temporaryFolder({ 'report.pdf': REPORT, [HARD_NAME]: 'hello' });

describeSample(folder, (sample) => {
  it('makes a link for 5 minutes by default', async () => {
    const link = await sample.mint();
    expect(Object.keys(link).sort()).toEqual(['expiresAt', 'id', 'token', 'url']);
    expect(link.url).toBe(`/files/report.pdf?ss-tok=${link.token}`);
    expect(Math.abs(Date.parse(link.expiresAt) - Date.now() - 300_000)).toBeLessThan(5_000);
  });

  it('makes a link without a body too', async () => {
    expect((await sample.post('/files/report.pdf/links', undefined, sample.ada)).status).toBe(201);
  });

  it.each([
    [60, 60],
    ['90s', 90],
    ['2 hours', 7_200],
    ['7d', 604_800],
  ])('makes a link that lives for %j', async (expiresIn, seconds) => {
    const { expiresAt } = await sample.mint({ expiresIn });
    expect(Math.abs(Date.parse(expiresAt) - Date.now() - seconds * 1000)).toBeLessThan(5_000);
  });

  it.each([
    [{ expiresIn: 0 }],
    [{ expiresIn: -5 }],
    [{ expiresIn: '300' }],
    [{ expiresIn: 'soon' }],
    [{ expiresIn: '8d' }],
    [{ expiresIn: null }],
    [{ expiresIn: true }],
    [{ expiresIn: ['5m'] }],
    [{ expiresIn: '' }],
    [{ maxDownloads: 0 }],
    [{ maxDownloads: -1 }],
    [{ maxDownloads: 1.5 }],
    [{ maxDownloads: '3' }],
    [{ maxDownloads: null }],
    [{ confirm: 'always' }],
    [{ password: '' }],
    [{ password: 4711 }],
    [{ password: 'open sesame', confirm: true }],
    [{ expires: '5m' }],
    [{ subject: 'grace' }],
    [[]],
    ['text'],
  ])('refuses to make a link with %j, and says why', async (body: unknown) => {
    for (const room of ['files', 'slow']) {
      const answer = await sample.post(`/${room}/report.pdf/links`, body, sample.ada);
      expect(answer.status).toBe(400);
      expect(answer.json).toMatchObject({ statusCode: 400, message: expect.any(String) });
    }
  });

  it('makes a link for a number of downloads, and counts them', async () => {
    const { id, url } = await sample.mint({ maxDownloads: 2 });
    const as = (userAgent: string, headers = {}) =>
      sample.request(url, { headers: { 'user-agent': userAgent, ...headers } });
    expect((await as('first')).body.equals(REPORT)).toBe(true);
    // A range request of the same client belongs to its download.
    expect((await as('first', { range: 'bytes=100-199' })).status).toBe(206);
    expect(await sample.link(id)).toMatchObject({ maxDownloads: 2, used: 1 });
    expect((await as('second')).status).toBe(200);
    const refused = await as('third');
    expect([refused.status, refused.json.code]).toEqual([410, 'LINK_USED_UP']);
    expect(await sample.link(id)).toMatchObject({ maxDownloads: 2, used: 2, state: 'active' });
  });

  it('makes a link that opens one file only', async () => {
    const { token } = await sample.mint();
    const answer = await sample.request(`/files/${encodeURIComponent(HARD_NAME)}?ss-tok=${token}`);
    expect(answer.status).toBe(403);
    expect(answer.json.code).toBe('LINK_SCOPE');
  });

  it('makes a link that expires', async () => {
    const { url, expiresAt } = await sample.mint({ expiresIn: 0.05 });
    await expect
      .poll(async () => (await sample.request(url)).status, { timeout: 5_000, interval: 20 })
      .toBe(410);
    expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(expiresAt));
    expect((await sample.request(url)).json.code).toBe('LINK_EXPIRED');
  });

  it("lists the caller's links, the newest first", async () => {
    const first = await sample.mint({}, sample.grace);
    const second = await sample.mint({ expiresIn: '1h' }, sample.grace, HARD_NAME);
    await sample.mint();
    expect(await sample.links(sample.grace)).toEqual([
      {
        id: second.id,
        file: HARD_NAME,
        url: second.url,
        createdAt: expect.any(String),
        expiresAt: second.expiresAt,
        state: 'active',
        used: 0,
        happenings: [],
      },
      expect.objectContaining({ id: first.id, file: 'report.pdf', state: 'active' }),
    ]);
  });

  it('revokes one link and no other', async () => {
    const link = await sample.mint();
    const other = await sample.mint();
    expect((await sample.revoke(link.id)).status).toBe(204);
    expect((await sample.revoke(link.id)).status).toBe(204);

    const refused = await sample.request(link.url);
    expect(refused.status).toBe(410);
    expect(refused.json.code).toBe('LINK_REVOKED');
    expect((await sample.request(other.url)).status).toBe(200);
    expect((await sample.link(link.id)).state).toBe('revoked');
  });

  it('stops a running download when its link is revoked', async () => {
    const link = await sample.mint({ bytesPerSecond: 100_000 });
    const { rest } = await sample.beginDownload(link.url);
    await sample.revoke(link.id);
    await expect(rest).rejects.toThrow();
    const resumed = await sample.request(link.url, { headers: { range: 'bytes=1000-' } });
    expect([resumed.status, resumed.json.code]).toEqual([410, 'LINK_REVOKED']);
    await expect
      .poll(async () => (await sample.link(link.id)).happenings.map(({ type }: any) => type))
      .toEqual(expect.arrayContaining(['opened', 'aborted', 'revoked', 'refused']));
  });

  it('does not revoke the links of others', async () => {
    const link = await sample.mint({}, sample.grace);
    for (const id of [link.id, 'unknown', '__proto__']) {
      expect((await sample.revoke(id)).status).toBe(404);
    }
    expect((await sample.request(link.url)).status).toBe(200);
  });

  it('answers a person who opens a revoked link in a browser with a page', async () => {
    const link = await sample.mint();
    await sample.revoke(link.id);
    const answer = await sample.request(link.url, {
      headers: { accept: 'text/html,*/*;q=0.8', 'sec-fetch-mode': 'navigate' },
    });
    expect(answer.status).toBe(410);
    expect(answer.headers['content-type']).toContain('text/html');
    expect(answer.text).not.toContain(link.token);
  });

  it('opens a link with a password for whoever answers with it', async () => {
    const { url, id } = await sample.mint({ password: 'open sesame' });
    expect(await sample.link(id)).toMatchObject({ asksFor: 'password', used: 0 });
    const answer = (text: string) =>
      sample.request(url, {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams({ answer: text }).toString(),
      });
    expect((await answer('open barley')).code).toBe('CHALLENGE_FAILED');
    const { status, headers } = await answer('open sesame');
    expect(status).toBe(303);
    const [cookie] = headers['set-cookie']!.map((field) => field.split(';', 1)[0]);
    expect((await sample.request(url, { headers: { cookie } })).body).toEqual(REPORT);
    expect(JSON.stringify(await sample.links())).not.toMatch(/sesame|scrypt|passwordHash/);
  });

  it('tells only its owner how far the download of a link is', async () => {
    const { id } = await sample.mint();
    const follow = (token: string) =>
      fetch(`${sample.url}/links/${id}/events`, { headers: { authorization: `Bearer ${token}` } });
    expect((await follow(sample.grace)).status).toBe(404);
    const events = await follow(sample.ada);
    expect(events.headers.get('content-type')).toBe('text/event-stream');
    await events.body!.cancel();
  });
});
