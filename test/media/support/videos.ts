import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { isInstalled } from '../../support/programs.js';

export const hasFfmpeg = isInstalled('ffmpeg', '-version');

function ffmpeg(folder: string, ...args: string[]): void {
  execFileSync('ffmpeg', ['-v', 'error', '-y', ...args], { cwd: folder });
}

/** A moving test picture and a tone. */
const PICTURE = ['-f', 'lavfi', '-i', 'testsrc2=size=640x360:rate=25', '-f', 'lavfi', '-i', 'sine'];
const H264 = ['-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p', '-g', '25', '-c:a', 'aac'];

export const SEGMENTS = 60;

/** A minute in segments of a second: `index.m3u8` for HLS, `stream.mpd` for DASH. */
export function makeStreams(folder: string): void {
  const small = ['-vf', 'scale=160:90', '-r', '12', '-g', '12', '-keyint_min', '12', '-sc_threshold', '0'];
  ffmpeg(folder, ...PICTURE, '-t', String(SEGMENTS), ...H264, ...small, 'minute.mp4');
  const copy = ['-i', 'minute.mp4', '-c', 'copy', '-an'];
  ffmpeg(folder, ...copy, '-f', 'hls', '-hls_time', '1', '-hls_list_size', '0', 'index.m3u8');
  ffmpeg(folder, ...copy, '-f', 'dash', '-seg_duration', '1', 'stream.mpd');
}

/** A film of 164 seconds and 70 MB, more than a browser loads ahead; answers its path. */
export function makeFilm(folder: string): string {
  ffmpeg(folder, ...PICTURE, '-t', '4', ...H264, '-qp', '8', 'clip.mp4');
  ffmpeg(folder, '-stream_loop', '40', '-i', 'clip.mp4', '-c', 'copy', '-movflags', '+faststart', 'film.mp4');
  return join(folder, 'film.mp4');
}
