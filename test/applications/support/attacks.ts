import { base64url, forge, signingInput } from '../../support/forge.js';
import type { RequestOptions } from '../../support/http-client.js';
import type { TestApp } from '../../support/test-app.js';

/** A request that must not get the file: its name, its path, and the rest of it. */
export type Attack = readonly [name: string, path: string, options: RequestOptions];

/**
 * Links that do not open a file, wherever a token is read.
 * @param token of a good link to the file
 * @param other of a good link to another file
 */
export function badLinks(path: string, token: string, other: string): Attack[] {
  const [head = '', payload = ''] = token.split('.');
  const [header, claims] = [head, payload].map((part) =>
    JSON.parse(Buffer.from(part, 'base64url').toString()),
  );
  const tokens = {
    'a link to another file': other,
    'a link of another application': forge(header, claims, 'a secret of another application'),
    'a link with another subject': token.replace(
      payload,
      base64url(JSON.stringify({ ...claims, sub: 'root' })),
    ),
    'a link without its signature': `${head}.${payload}.`,
    'a link that needs no signature': `${signingInput({ ...header, alg: 'none' }, claims)}.`,
  };
  const misused: Attack[] = [
    ['a good link with a parameter more', `${path}?ss-tok=${token}&page=2`, {}],
    ['a good link as a list', `${path}?ss-tok[]=${token}`, {}],
    ['a good link and another one', `${path}?ss-tok=${token}&ss-tok=${other}`, {}],
  ];
  const bad = Object.entries(tokens).flatMap(([name, bad]): Attack[] => [
    [`${name}, in the query`, `${path}?ss-tok=${bad}`, {}],
    [`${name}, in the header`, path, bearing(bad)],
    [`${name}, in the cookie`, path, { headers: { cookie: `ss-tok=${bad}` } }],
  ]);
  return [...bad, ...misused];
}

function bearing(token: string): RequestOptions {
  return { headers: { authorization: `Bearer ${token}` } };
}

/** The names of the attacks that were not refused. */
export async function letIn(app: TestApp, attacks: readonly Attack[]): Promise<string[]> {
  const names: string[] = [];
  for (const [name, path, options] of attacks) {
    const { status } = await app.request(path, options);
    if (![400, 401, 403].includes(status)) {
      names.push(`${name}: ${status}`);
    }
  }
  return names;
}
