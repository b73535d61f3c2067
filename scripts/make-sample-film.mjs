/**
 * Makes the film of the sample application, which is checked in: a day in the mountains, as HLS.
 * Needs ffmpeg. Run `npx nest build sample-app` first, then `node scripts/make-sample-film.mjs`.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { landscape } from '../sample-app/dist/demo/samples/landscape.js';

const [WIDTH, HEIGHT, RATE, SECONDS] = [480, 270, 15, 10];
const folder = fileURLToPath(new URL('../sample-app/demo/samples/film', import.meta.url));

const frames = `-f rawvideo -pixel_format rgb24 -video_size ${WIDTH}x${HEIGHT} -framerate ${RATE} -i -`;
const picture = `-c:v libx264 -preset veryslow -crf 28 -pix_fmt yuv420p -g ${2 * RATE} -sc_threshold 0`;
const stream =
  '-f hls -hls_time 2 -hls_playlist_type vod -hls_segment_type fmp4 -hls_segment_filename part%d.m4s index.m3u8';
const ffmpeg = spawn('ffmpeg', ['-v', 'error', '-y', ...`${frames} ${picture} ${stream}`.split(' ')], {
  cwd: folder,
  stdio: ['pipe', 'inherit', 'inherit'],
});

const count = RATE * SECONDS;
for (let i = 0; i < count; i++) {
  const colourAt = landscape(5.5 + (16 * i) / count);
  const frame = Buffer.alloc(WIDTH * HEIGHT * 3);
  for (let y = 0; y < HEIGHT; y++) {
    for (let x = 0; x < WIDTH; x++) {
      frame.set(colourAt((x * 960) / WIDTH, (y * 540) / HEIGHT), (y * WIDTH + x) * 3);
    }
  }
  if (!ffmpeg.stdin.write(frame)) {
    await once(ffmpeg.stdin, 'drain');
  }
}
ffmpeg.stdin.end();
