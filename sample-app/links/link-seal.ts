import { Injectable } from '@nestjs/common';
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { SampleSettings } from '../settings/sample-settings.js';

const ALGORITHM = 'aes-256-gcm';
const IV_BYTES = 12;
const TAG_BYTES = 16;

/**
 * Encrypts the URLs of links for the ledger, since each holds a token: whoever gets hold of the SQLite file, of a backup
 * of it or of the Redis can open nothing. The key is derived from the secret of the access tokens.
 */
@Injectable()
export class LinkSeal {
  private readonly key: Uint8Array;

  constructor({ jwtSecret }: SampleSettings) {
    this.key = new Uint8Array(
      hkdfSync('sha256', jwtSecret, '', 'sample application: URLs in the ledger', 32),
    );
  }

  seal(url: string): string {
    const iv = randomBytes(IV_BYTES);
    const cipher = createCipheriv(ALGORITHM, this.key, iv);
    const text = Buffer.concat([cipher.update(url, 'utf8'), cipher.final()]);
    return Buffer.concat([iv, cipher.getAuthTag(), text]).toString('base64url');
  }

  /** @returns `undefined` for what was sealed with another secret; its link does not open any more either */
  open(sealed: string): string | undefined {
    const bytes = Buffer.from(sealed, 'base64url');
    const text = bytes.subarray(IV_BYTES + TAG_BYTES);
    try {
      const decipher = createDecipheriv(ALGORITHM, this.key, bytes.subarray(0, IV_BYTES));
      decipher.setAuthTag(bytes.subarray(IV_BYTES, IV_BYTES + TAG_BYTES));
      return Buffer.concat([decipher.update(text), decipher.final()]).toString('utf8');
    } catch {
      return undefined;
    }
  }
}
