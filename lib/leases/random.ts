import { randomBytes, randomFillSync } from 'node:crypto';

/** Asking the generator costs some microseconds, whether for few bytes or for many. */
const POOL = Buffer.alloc(4096);

let used = POOL.length;

/** Unguessable bytes, in base64url. */
export function randomText(bytes: number): string {
  if (used + bytes > POOL.length) {
    randomFillSync(POOL);
    used = 0;
  }
  const text = POOL.toString('base64url', used, used + bytes);
  // What was handed out is not kept.
  POOL.fill(0, used, used + bytes);
  used += bytes;
  return text;
}

const PROCESS = randomBytes(9).toString('base64url');

let names = 0;

/** A name that no process gives twice; not a secret. */
export function uniqueName(): string {
  names += 1;
  return `${PROCESS}${names.toString(36)}`;
}
