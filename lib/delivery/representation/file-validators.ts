import { hash } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { type Validators } from '../preconditions.js';
import { type OpenFile } from './open-file.js';

/**
 * Milliseconds in which two changes of a file may get the same time stamp: kernels stamp with a clock that
 * moves once per tick, 1 to 10 ms.
 */
const TICK = 20;
/** The same for a file system that stores whole seconds, FAT two of them. */
const COARSE = 2000;

/**
 * The validators of a file, from the descriptor that is then read.
 *
 * The entity tag is a digest (inode numbers stay private) of size, device, inode, modification
 * and change time in nanoseconds, and the slice. The change time is what moves when a file is overwritten in
 * place and its modification time set back, as rsync and archivers do.
 *
 * It is strong (RFC 9110 §8.8.1) as long as a later change is sure to move a time stamp. For a file that
 * changed within the last clock tick that is not yet so: such a file is looked at again a tick later, and
 * if it is still changing, or its file system stores whole seconds only, the tag is weak.
 */
export async function fileValidators(file: OpenFile, slice: string): Promise<Required<Validators>> {
  if (sinceChange(file) < TICK) {
    await setTimeout(TICK);
    await file.refresh();
  }
  const { size, dev, ino, mtimeNs, ctimeNs } = file.stats;
  const identity = `${size} ${dev} ${ino} ${mtimeNs} ${ctimeNs} ${slice}`;
  const digest = hash('sha256', identity, 'base64url').slice(0, 22);
  const isCoarse = ctimeNs % 1_000_000_000n === 0n && mtimeNs % 1_000_000_000n === 0n;
  const isStrong = sinceChange(file) >= (isCoarse ? COARSE : TICK);
  return {
    etag: isStrong ? `"${digest}"` : `W/"${digest}"`,
    lastModified: Number(mtimeNs / 1_000_000n),
  };
}

/**
 * Milliseconds since content or metadata last changed; never negative, since a clock that is ahead proves
 * nothing.
 */
function sinceChange({ stats: { ctimeMs, mtimeMs } }: OpenFile): number {
  const age = Date.now() - Number(ctimeMs > mtimeMs ? ctimeMs : mtimeMs);
  return age < 0 ? COARSE : age;
}
