import { truncateSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { describeSample, REPORT, temporaryFolder } from '../support/sample.js';

const MIB = 1024 * 1024;
const folder = temporaryFolder({ 'report.pdf': REPORT, 'huge.bin': '' });
truncateSync(join(folder, 'huge.bin'), 512 * MIB);

describeSample(folder, (sample) => {
  it('sends a file slowly, and resumes like any other download', async () => {
    const { url } = await sample.mint({ bytesPerSecond: 1_000_000 });
    const started = performance.now();
    const whole = await sample.request(url);
    expect(whole.body.equals(REPORT)).toBe(true);
    expect(performance.now() - started).toBeGreaterThan(250);
    expect(whole.headers['content-type']).toBe('application/pdf');
    const rest = await sample.request(url, {
      headers: { range: 'bytes=299990-', 'if-range': whole.headers.etag },
    });
    expect([rest.status, rest.text]).toEqual([206, REPORT.subarray(299_990).toString()]);
  });

  it.each(['0', '-1', '4 MB', '1.5'])('refuses the speed %s', async (speed) => {
    const path = `/slow/report.pdf/links?bytesPerSecond=${encodeURIComponent(speed)}`;
    expect((await sample.post(path, {}, sample.ada)).status).toBe(400);
  });

  it('needs little memory at a very high speed', async () => {
    const wish = { bytesPerSecond: Number.MAX_SAFE_INTEGER };
    const { url } = await sample.mint(wish, sample.ada, 'huge.bin');
    const before = process.memoryUsage().external;
    let most = 0;
    await new Promise<void>((resolve, reject) => {
      let received = 0;
      const request = get(sample.url + url, (response) => {
        response.on('data', (chunk: Buffer) => {
          most = Math.max(most, process.memoryUsage().external - before);
          received += chunk.length;
          if (received >= MIB) {
            request.destroy();
            resolve();
          }
        });
        response.on('error', () => undefined);
      });
      request.on('error', reject);
    });
    expect(most).toBeLessThan(64 * MIB);
  });
});
