import jwt from 'jsonwebtoken';
import { expect, it } from 'vitest';
import { bearer } from '../support/test-app.js';
import { describeSample, REPORT, temporaryFolder } from './support/sample.js';

const folder = temporaryFolder({ 'report.pdf': REPORT });

describeSample(folder, (sample) => {
  it.each(['ada', 'grace'])('gives %s an access token for an hour', async (username) => {
    const answer = await sample.post('/auth/login', { username, password: 'demo' });
    expect(answer.status).toBe(200);
    expect(Object.keys(answer.json).sort()).toEqual(['accessToken', 'expiresAt']);
    expect(answer.headers['cache-control']).toBe('no-store');
    const claims = jwt.decode(answer.json.accessToken) as jwt.JwtPayload;
    expect(claims.sub).toBe(username);
    expect(claims.exp! * 1000).toBe(Date.parse(answer.json.expiresAt));
    expect(Date.parse(answer.json.expiresAt) - Date.now()).toBeGreaterThan(3_590_000);
  });

  it('accepts a form for signing in, which is shorter in curl', async () => {
    const answer = await sample.request('/auth/login', {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: 'username=ada&password=demo',
    });
    expect(answer.status).toBe(200);
  });

  it.each([
    [{ username: 'ada', password: 'wrong' }, 401],
    [{ username: 'eve', password: 'demo' }, 401],
    [{ username: '__proto__', password: 'demo' }, 401],
    [{ username: 'ada' }, 400],
    [{ username: ['ada'], password: 'demo' }, 400],
    [['ada', 'demo'], 400],
    [undefined, 400],
  ])('answers the login %j with %i', async (body, status) => {
    const answer = await sample.post('/auth/login', body);
    expect(answer.status).toBe(status);
    expect(answer.json).toMatchObject({ statusCode: status, message: expect.any(String) });
  });

  it('answers a login of broken JSON with 400', async () => {
    const answer = await sample.request('/auth/login', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{',
    });
    expect(answer.status).toBe(400);
  });

  it('sets a cookie that opens downloads, and clears it', async () => {
    const set = await sample.post('/auth/cookie', undefined, sample.ada);
    expect(set.status).toBe(204);
    const [cookie] = set.headers['set-cookie'] ?? [];
    expect(cookie).toMatch(/^ss-tok=[^;]+;.*HttpOnly/i);
    const headers = { cookie: cookie!.split(';')[0] };
    expect((await sample.request('/files/report.pdf', { headers })).status).toBe(200);

    const cleared = await sample.post('/auth/logout');
    expect(cleared.status).toBe(204);
    expect(cleared.headers['set-cookie']?.[0]).toMatch(/^ss-tok=;.*Max-Age=0/);
  });

  it('accepts cookie and query for downloads only, not for the API', async () => {
    const headers = { cookie: `ss-tok=${sample.ada}` };
    expect((await sample.request('/files', { headers })).status).toBe(401);
    expect((await sample.request(`/files?ss-tok=${sample.ada}`)).status).toBe(401);
  });

  it.each([
    ['POST', '/auth/cookie'],
    ['GET', '/files'],
    ['POST', '/files/report.pdf/links'],
    ['POST', '/slow/report.pdf/links'],
    ['GET', '/links'],
    ['GET', '/links/events'],
    ['DELETE', '/links/some'],
  ])('asks for an access token at %s %s', async (method, path) => {
    const none = await sample.request(path, { method });
    expect(none.status).toBe(401);
    expect(none.headers['www-authenticate']).toBe('Bearer');
    const { token } = await sample.mint();
    for (const bad of ['nonsense', jwt.sign({ sub: 'ada' }, 'another secret'), `${sample.ada}x`, token]) {
      const answer = await sample.request(path, { method, headers: bearer(bad) });
      expect(answer.status).toBe(401);
      expect(answer.headers['www-authenticate']).toBe('Bearer error="invalid_token"');
    }
  });
});
