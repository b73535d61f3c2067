import { STATUS_CODES } from 'node:http';
import { expect } from 'vitest';
import type { RefusalCode } from '../../lib/index.js';
import type { Answer } from './http-client.js';

const CHALLENGES: Partial<Record<RefusalCode, RegExp>> = {
  TOKEN_MISSING: /^Bearer$/,
  TOKEN_INVALID: /^Bearer error="invalid_token", error_description="[^"\\]+"$/,
  TOKEN_EXPIRED: /^Bearer error="invalid_token", error_description="[^"\\]+"$/,
  TOKEN_NOT_YET_VALID: /^Bearer error="invalid_token", error_description="[^"\\]+"$/,
  TOKEN_CUT_OFF: /^Bearer error="invalid_token", error_description="[^"\\]+"$/,
  TOKEN_AMBIGUOUS: /^Bearer error="invalid_request", error_description="[^"\\]+"$/,
};
const WAITING_HELPS: readonly RefusalCode[] = [
  'LINK_NOT_YET_VALID',
  'PREFETCH_REFUSED',
  'KEY_UNAVAILABLE',
  'STORE_UNAVAILABLE',
];

/** Checks everything that the answer to a refused request promises, whichever refusal it is. */
export function expectRefusal(answer: Answer, status: number, code: RefusalCode, token?: string): void {
  expect({ status: answer.status, code: codeOf(answer) }).toEqual({ status, code });
  expect(answer.json).toEqual({
    statusCode: status,
    message: expect.any(String),
    error: STATUS_CODES[status],
    code,
  });
  expect(answer.headers['content-type']).toMatch(/^application\/json/);
  expect(answer.headers['cache-control']).toBe('no-store');
  const challenge = CHALLENGES[code];
  if (challenge) {
    expect(answer.headers['www-authenticate']).toMatch(challenge);
  } else {
    expect(answer.headers).not.toHaveProperty('www-authenticate');
  }
  if (WAITING_HELPS.includes(code)) {
    expect(Number(answer.headers['retry-after'])).toBeGreaterThanOrEqual(1);
  } else {
    expect(answer.headers).not.toHaveProperty('retry-after');
  }
  expect(answer.headers).not.toHaveProperty('location');
  expect(answer.headers).not.toHaveProperty('set-cookie');
  if (token !== undefined) {
    expectNoTrace(`${JSON.stringify(answer.headers)}\n${answer.text}`, token);
  }
}

/** Checks that a text contains no part of a token that is long enough to be told from chance. */
export function expectNoTrace(text: string, token: string): void {
  for (const part of token.split('.')) {
    if (part.length >= 10) {
      expect(text.includes(part.slice(0, 200))).toBe(false);
    }
  }
}

/** The code of a refusal; for other answers a piece of them, which says more in a failed comparison. */
function codeOf(answer: Answer): unknown {
  try {
    return answer.json.code ?? answer.text.slice(0, 200);
  } catch {
    return answer.text.slice(0, 200);
  }
}
