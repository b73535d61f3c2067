import type { ResponsePort } from '../http/response-port.js';
import { checkOptions, rule } from '../shared/check-options.js';
import type { OptionRule } from '../shared/check-options.js';

/** Digests of the whole content, each as bytes, hex, base64 or base64url. */
export interface DownloadDigests {
  readonly 'sha-256'?: string | Uint8Array;
  readonly 'sha-512'?: string | Uint8Array;
}

const RULES = {
  'sha-256': digestOf('sha256', 32),
  'sha-512': digestOf('sha512', 64),
};

/** The rule of the option `digest`. */
export const digestRule: OptionRule = (digests) => {
  checkOptions(digests as DownloadDigests, RULES, 'digest');
  return undefined;
};

function digestOf(hash: string, length: number): OptionRule {
  return rule(
    (digest) => toBytes(digest)?.length === length,
    `give the ${length} bytes of createHash('${hash}').update(content).digest(), or these as base64 or hex.`,
  );
}

/** Sends them as RFC 9530 has it, and as RFC 3230 did, which is all that aria2 knows. */
export function writeDigests(port: ResponsePort, digests: DownloadDigests): void {
  const found = Object.entries(digests).flatMap(([name, digest]) => {
    const base64 = toBytes(digest)?.toString('base64');
    return base64 === undefined ? [] : [{ name, base64 }];
  });
  if (found.length > 0) {
    port.setDefault('Repr-Digest', found.map(({ name, base64 }) => `${name}=:${base64}:`).join(', '));
    port.setDefault('Digest', found.map(({ name, base64 }) => `${name.toUpperCase()}=${base64}`).join(','));
  }
}

const HEX = /^(?:[0-9a-f]{64}|[0-9a-f]{128})$/i;
const BASE64 = /^[\w+/-]+={0,2}$/;

function toBytes(digest: unknown): Buffer | undefined {
  if (digest instanceof Uint8Array) {
    return Buffer.from(digest);
  }
  if (typeof digest !== 'string') {
    return undefined;
  }
  if (HEX.test(digest)) {
    return Buffer.from(digest, 'hex');
  }
  return BASE64.test(digest) ? Buffer.from(digest, 'base64') : undefined;
}
