/** Signature algorithms that are measured, each in a server process of its own. */
export const ALGORITHMS = ['HS256', 'RS256', 'ES256'] as const;
export type Algorithm = (typeof ALGORITHMS)[number];

export const ADAPTERS = ['express', 'fastify'] as const;
export type Adapter = (typeof ADAPTERS)[number];

/** One way of asking for the same small answer. */
export interface Variant {
  readonly name:
    | 'unguarded'
    /** A guard that does nothing: what Nest spends on calling any. */
    | 'empty guard'
    /** `@Header()` with the fields that `@StreamDownload()` sets on every answer, and no guard. */
    | 'headers'
    /** PassportStrategy(Strategy) with the key as a string, AuthGuard('jwt'). */
    | 'recipe'
    /** `@StreamDownload()`, the token in the header, the same token again and again. */
    | 'ours'
    /** The same with the tokens of 5,000 people, one after the other. */
    | 'ours, 5,000'
    /** The same where no token is remembered, so that each signature is checked. */
    | 'ours, unseen'
    /** DownloadAuthGuard without what else `@StreamDownload()` brings. */
    | 'guard alone'
    | 'by cookie'
    | 'by query'
    | 'by link'
    /** A link to a collection in the query, from a browser that has its companion cookie. */
    | 'collection'
    /** The same from a client that keeps no cookies, so that each answer sets it. */
    | 'uncookied'
    /** The companion cookie of that link. */
    | 'companion'
    /** The same four for a file of 64 KiB, such as a segment of a film. */
    | 'segment by link'
    | 'segment, collection'
    | 'segment, uncookied'
    | 'segment, companion';
  /** The request target. */
  readonly path: string;
  /** The header fields of one request; of several, each in its turn. */
  readonly headers: readonly Readonly<Record<string, string>>[];
}

/** What a server tells when it listens. */
export interface ServerReady {
  readonly port: number;
  readonly variants: readonly Variant[];
}

/** Microseconds of CPU, user and system, that the server process has used since its start. */
export interface ServerCpu {
  readonly cpu: number;
}
