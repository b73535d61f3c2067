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

/** A film of 164 seconds and 70 MB, more than a browser loads ahead; answers its path. */
export function makeFilm(folder: string): string {
  ffmpeg(folder, ...PICTURE, '-t', '4', ...H264, '-qp', '8', 'clip.mp4');
  ffmpeg(folder, '-stream_loop', '40', '-i', 'clip.mp4', '-c', 'copy', '-movflags', '+faststart', 'film.mp4');
  return join(folder, 'film.mp4');
}
