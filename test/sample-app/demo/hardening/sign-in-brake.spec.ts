import { expect, it } from 'vitest';
import { describeSample, temporaryFolder } from '../../support/sample.js';

describeSample(temporaryFolder(), (sample) => {
  it('does not count successful logins or incomplete requests', async () => {
    for (let n = 0; n < 30; n++) {
      expect(await sample.login('ada')).toEqual(expect.any(String));
      expect((await sample.post('/auth/login', { username: 'ada' })).status).toBe(400);
    }
  });

  it('stops further attempts after ten wrong passwords, even at the same time', async () => {
    const attempt = (password: string) => sample.post('/auth/login', { username: 'ada', password });
    const answers = await Promise.all(Array.from({ length: 30 }, (_, n) => attempt(`guess ${n}`)));
    const statuses = answers.map(({ status }) => status);
    expect(statuses.filter((status) => status === 401)).toHaveLength(10);
    expect(statuses.filter((status) => status === 429)).toHaveLength(20);
    const blocked = await attempt('demo');
    expect(blocked.status).toBe(429);
    expect(Number(blocked.headers['retry-after'])).toBeGreaterThan(0);
  });
});
