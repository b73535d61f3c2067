import { compile } from 'path-to-regexp';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import type { LinkTarget, QueryParams } from './link.js';

/** A pattern that was filled in. */
export interface FilledRoute {
  readonly path: string;
  /** What stands in the path for each parameter. */
  readonly values: Readonly<Record<string, string | readonly string[]>>;
  /** The names of the parameters that are free. */
  readonly free: readonly string[];
  /** Those of them that have no value. */
  readonly unset: readonly string[];
  /** The segments of the path, with {@link ANY_IN_PATH} for all that are free. */
  readonly fixed: readonly string[];
}

/** Stands for any value of a free parameter; percent-encoded, since browsers would drop it from a URL. */
const ANY = '\u0001';
export const ANY_IN_PATH = encodeURIComponent(ANY);

const templates = new Map<string, RouteTemplate>();

export function templateOf(pattern: string): RouteTemplate {
  const template = templates.get(pattern) ?? new RouteTemplate(pattern);
  templates.set(pattern, template);
  return template;
}

/** The pattern of a route, ready to be filled in. */
class RouteTemplate {
  /** As handlers receive them. */
  readonly names: readonly string[];
  private readonly wildcards: readonly string[];
  private readonly template: string;
  private toPath: ReturnType<typeof compile> | undefined;

  constructor(private readonly pattern: string) {
    this.template = inExpressSyntax(pattern);
    const parameters = [...this.template.matchAll(/([:*])"?(\w+|\*)/g)];
    this.names = parameters.map(([, , name]) => name as string);
    this.wildcards = this.names.filter((_name, index) => parameters[index]?.[1] === '*');
  }

  has(given: string): boolean {
    return this.names.includes(this.nameOf(given));
  }

  /** Fills the parameters in, percent-encoded (RFC 3986 §3.3); free ones without a value have any. */
  fill({ params = {}, free = [] }: LinkTarget): FilledRoute {
    const own = this.carried(Object.entries(params));
    const anything = this.carried(free.map((name) => [name, ANY]));
    const values = { ...anything, ...own };
    return {
      path: this.path(values),
      values,
      free: Object.keys(anything).sort(),
      unset: Object.keys(anything).filter((name) => !(name in own)),
      fixed: this.path({ ...own, ...anything }).split('/'),
    };
  }

  private path(values: Record<string, string | string[]>): string {
    try {
      this.toPath ??= compile(this.template);
      return this.toPath(values);
    } catch (error) {
      throw new DownloadAuthConfigurationError(
        `No link can be made to ${this.pattern}: ${(error as Error).message}. Give every parameter of the route in params.`,
      );
    }
  }

  /** The parameters that this route has: texts, and the segments of wildcards. */
  private carried(params: readonly (readonly [string, unknown])[]): Record<string, string | string[]> {
    const carried: Record<string, string | string[]> = {};
    for (const [given, value] of params) {
      const name = this.nameOf(given);
      if (this.wildcards.includes(name)) {
        const segments: unknown[] = typeof value === 'string' ? value.split('/') : [value].flat();
        carried[name] = segments.map((segment) => carriable(this.pattern, given, segment));
      } else if (this.names.includes(name)) {
        carried[name] = carriable(this.pattern, given, value);
      }
    }
    return carried;
  }

  /** An only wildcard may have the name that it has on the other adapter. */
  private nameOf(given: string): string {
    const [wildcard, ...others] = this.wildcards;
    const alias = wildcard === '*' ? 'path' : '*';
    return wildcard !== undefined && others.length === 0 && given === alias ? wildcard : given;
  }
}

/** Only patterns of Fastify have `*`, `?` and expressions. */
function inExpressSyntax(pattern: string): string {
  return pattern
    .replace(/\/\*$/, '{/*"*"}')
    .replace(/\/:(\w+)\?$/, '{/:$1}')
    .replace(/(:\w+)\((?:[^()\\]|\\.|\([^()]*\))*\)/g, '$1');
}

/** Browsers resolve `.` and `..` segments before they send a request, encoded or not (WHATWG URL §4.4). */
function carriable(pattern: string, name: string, value: unknown): string {
  const text = Number.isFinite(value) ? String(value) : value;
  if (typeof text !== 'string' || ['', '.', '..'].includes(text) || !text.isWellFormed()) {
    throw new DownloadAuthConfigurationError(
      `params.${name} of ${pattern}: ${JSON.stringify(value)} cannot stand in the path of a URL. Give a non-empty string or a number.`,
    );
  }
  return text;
}

/**
 * Query parameters as query parsers give them to the handler, in one order: strings, and lists of at least
 * two. Members that are `undefined` or empty lists are left out; objects stay, for applications whose parser
 * makes them.
 * @throws DownloadAuthConfigurationError for a value that no query string can carry
 */
export function normalizedQuery(query: QueryParams, place = 'query'): QueryParams {
  const members = Object.entries(query)
    .map(([name, value]) => [name, normalized(`${place}.${name}`, value)] as const)
    .filter(([, value]) => value !== undefined);
  return Object.fromEntries(members.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function normalized(place: string, value: unknown): unknown {
  if (value === undefined || typeof value === 'boolean' || Number.isFinite(value)) {
    return value?.toString();
  }
  if (typeof value === 'string' && value.isWellFormed()) {
    return value;
  }
  if (Array.isArray(value)) {
    const values = value.map((one) => normalized(place, one)).filter((one) => one !== undefined);
    return values.length > 1 ? values : values[0];
  }
  if (typeof value === 'object' && value !== null && !(value instanceof Date)) {
    return normalizedQuery(value as QueryParams, place);
  }
  throw new DownloadAuthConfigurationError(
    `${place}: give a string, a number, a boolean or a list of them; dates as .toISOString().`,
  );
}

/** The query string of normalized parameters, with its question mark; empty for no parameters. */
export function queryString(query: QueryParams): string {
  const pairs = Object.entries(query).flatMap(([name, value]) => pairsOf(name, value));
  return pairs.length > 0 ? `?${new URLSearchParams(pairs).toString()}` : '';
}

function pairsOf(name: string, value: unknown): [string, string][] {
  if (Array.isArray(value)) {
    return value.flatMap((one) => pairsOf(name, one));
  }
  return typeof value === 'object'
    ? Object.entries(value as object).flatMap(([key, one]) => pairsOf(`${name}[${key}]`, one))
    : [[name, value as string]];
}
