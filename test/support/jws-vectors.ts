import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export interface JwsVector {
  readonly tcId: number | string;
  readonly comment: string;
  readonly jws: string;
  readonly result: 'valid' | 'invalid';
  /** Why the expectation of the publisher is not shared by everyone. */
  readonly disputed?: string;
}

export interface JwsVectorGroup {
  readonly source: string;
  readonly group: string;
  readonly alg: string;
  readonly jwk: Record<string, string>;
  /** The expectation is about how a JWK restricts the use of its key. */
  readonly jwkOnly?: boolean;
  readonly tests: readonly JwsVector[];
}

const PLACES = ['../shared/vectors/jws-vectors.json', '../../shared/vectors/jws-vectors.json'];

/** The public JWS vectors, which are no part of this project; `undefined` where they are not beside it. */
export function jwsVectors(): readonly JwsVectorGroup[] | undefined {
  const root = new URL('../../', import.meta.url);
  const file = PLACES.map((place) => fileURLToPath(new URL(place, root))).find((path) => existsSync(path));
  if (file === undefined) {
    return undefined;
  }
  return (JSON.parse(readFileSync(file, 'utf8')) as { vectors: JwsVectorGroup[] }).vectors;
}
