/** Signature algorithms that are measured, each in a server process of its own. */
export const ALGORITHMS = ['HS256', 'RS256', 'ES256'] as const;
export type Algorithm = (typeof ALGORITHMS)[number];

export const ADAPTERS = ['express', 'fastify'] as const;
export type Adapter = (typeof ADAPTERS)[number];

/** One way of asking for the same small answer. */
export interface Variant {
  readonly name: 'unguarded' | 'recipe' | 'ours' | 'by cookie' | 'by query' | 'by link' | 'guard alone';
  /** The request target. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
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
