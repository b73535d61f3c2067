#!/usr/bin/env node
import ms from 'ms';
import { randomBytes } from 'node:crypto';
import { text } from 'node:stream/consumers';
import { parseArgs } from 'node:util';
import { createLinkKeys, LinkTokens } from './links/link-tokens.js';
import { claimsToBeLink, isCompact, parseCompactJws } from './tokens/compact-jws.js';
import type { UnverifiedToken } from './tokens/compact-jws.js';
import { createKeySource } from './tokens/keys.js';
import { SignatureVerifier, VerifiedTokens } from './tokens/signatures.js';

const USAGE = `Usage:
  npx nestjs-download-auth key               prints a new secret
  npx nestjs-download-auth inspect [TOKEN]   says what a token contains and whether it is genuine

TOKEN may be a link's whole URL. Without it, standard input is read.
Keys are read from the environment: JWT_SECRET, JWT_PUBLIC_KEY or JWT_PRIVATE_KEY, and LINK_SECRET
for links that have a secret of their own.

  --env FILE   adds the variables of a file such as .env

Exit codes of inspect: 0 genuine and valid now, 1 not, 2 not checked.`;

const NOT_CHECKED = 2;

const OTHER_KEY = 'It was signed with another key, or altered.';

async function main(): Promise<number> {
  const { command, argument, envFile } = readArguments();
  if (envFile !== undefined) {
    process.loadEnvFile(envFile);
  }
  switch (command) {
    case 'key':
      // 64 characters, as many bytes as HS512 needs
      console.log(randomBytes(48).toString('base64url'));
      return 0;
    case 'inspect':
      return inspect(tokenIn(argument ?? (await text(process.stdin))));
    default:
      // Does not repeat what it did not understand, which may be a token
      console.error(USAGE);
      return NOT_CHECKED;
  }
}

function readArguments(): { command?: string; argument?: string; envFile?: string } {
  try {
    const options = { env: { type: 'string' } } as const;
    const { values, positionals } = parseArgs({ allowPositionals: true, options });
    const [command, argument] = positionals;
    return { command, argument, envFile: values.env };
  } catch {
    return {};
  }
}

/** The token in a URL, in the value of an `Authorization` header, or alone. */
function tokenIn(given: string): string {
  const token = given.trim().replace(/^bearer +/i, '');
  const query = new URLSearchParams(token.slice(token.indexOf('?') + 1).replace(/#.*/, ''));
  return [...query.values()].find(isCompact) ?? token;
}

async function inspect(token: string): Promise<number> {
  const unverified = parseCompactJws(token);
  if (!unverified) {
    console.log('Not a JWT.');
    return 1;
  }
  const { header, claims } = unverified;
  const { iat, nbf = 0, exp = Infinity } = claims;
  const now = Date.now() / 1000;
  console.log(claimsToBeLink(header.typ) ? 'Link' : 'Access token');
  // JSON leaves some characters as they are that a terminal would obey
  console.log(JSON.stringify({ header, claims }, undefined, 2).replace(/[^\P{C}\n]/gu, '\ufffd'));
  console.log(`Issued:  ${inWords(iat, now)}`);
  console.log(`Starts:  ${inWords(claims.nbf, now)}`);
  console.log(`Expires: ${inWords(claims.exp, now)}`);

  const flaw = await flawOf(unverified);
  console.log(`Genuine: ${flaw === undefined ? 'yes' : `no. ${flaw}`}`);
  return flaw === undefined && nbf <= now && now < exp ? 0 : 1;
}

/** @param seconds since 1970, as `now` */
function inWords(seconds: number | undefined, now: number): string {
  const date = new Date((seconds ?? NaN) * 1000);
  if (Number.isNaN(date.getTime())) {
    return seconds === undefined ? 'not said' : 'not a time';
  }
  const distance = ms(Math.round(Math.abs(seconds! - now)) * 1000, { long: true });
  return `${seconds! > now ? `in ${distance}` : `${distance} ago`} (${date.toISOString()})`;
}

/** Why a token is not genuine; undefined for one that is. */
async function flawOf(unverified: UnverifiedToken): Promise<string | undefined> {
  const { JWT_SECRET, JWT_PUBLIC_KEY, JWT_PRIVATE_KEY, LINK_SECRET } = process.env;
  const options = {
    secret: JWT_SECRET || undefined,
    publicKey: JWT_PUBLIC_KEY || undefined,
    privateKey: JWT_PRIVATE_KEY || undefined,
    links: { secret: LINK_SECRET || undefined },
  };
  if (claimsToBeLink(unverified.header.typ)) {
    const linkKeys = createLinkKeys(options);
    if (linkKeys.length === 0) {
      throw new Error('Genuine: not checked. Set JWT_SECRET, JWT_PRIVATE_KEY or LINK_SECRET.');
    }
    const remembered = new VerifiedTokens({ verifiedTokenCacheBytes: 0, clock: Date.now });
    const claims = await new LinkTokens({ linkKeys, clock: Date.now }, remembered).claimsOf(unverified.token);
    return claims ? undefined : OTHER_KEY;
  }
  if (!(options.secret ?? options.publicKey ?? options.privateKey)) {
    throw new Error('Genuine: not checked. Set JWT_SECRET, JWT_PUBLIC_KEY or JWT_PRIVATE_KEY.');
  }
  const key = await createKeySource(options, Date.now).find(unverified, undefined);
  if (typeof key === 'string') {
    return key;
  }
  return (await new SignatureVerifier().isSigned(unverified.token, key)) ? undefined : OTHER_KEY;
}

main().then(
  (code) => (process.exitCode = code),
  (error: unknown) => {
    console.error((error as Error).message);
    process.exitCode = NOT_CHECKED;
  },
);
