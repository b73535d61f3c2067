import { compile } from 'path-to-regexp';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import type { LinkTarget, QueryParams, RouteParams } from './link.js';

/** A path that was filled in, and the parameters that its handler is to receive. */
interface FilledRoute {
  readonly path: string;
  readonly expected: Readonly<Record<string, string | readonly string[]>>;
}

/** What a route is in a collection. */
export interface RouteInCollection {
  /** Those of the parameters that the route has; free ones without a value have any. */
  readonly params: RouteParams;
  /** Those of its parameters that are free, as its handler receives them. */
  readonly free: readonly string[];
  /** The names of those that have no value. */
  readonly unset: readonly string[];
  /** The path up to the first free parameter, by whole segments. */
  readonly fixedPath: string;
}

/** Stands for any value of a free parameter; percent-encoded, since browsers would drop it from a URL. */
const ANY = '\u0001';
const ANY_IN_PATH = encodeURIComponent(ANY);

/** The pattern of a route, ready to be filled in. */
export class RouteTemplate {
  private readonly names: readonly string[];
  private readonly wildcards: readonly string[];
  private readonly template: string;
  private toPath: ReturnType<typeof compile> | undefined;

  constructor(private readonly pattern: string) {
    this.template = inExpressSyntax(pattern);
    const parameters = [...this.template.matchAll(/[:*](\w+)/g)];
    this.names = parameters.map(([, name]) => name as string);
    this.wildcards = this.names.filter((_name, index) => parameters[index]?.[0].startsWith('*'));
  }

  /**
   * Fills the parameters in, percent-encoded (RFC 3986 §3.3).
   * @throws DownloadAuthConfigurationError for a parameter that is missing, unknown, or that no URL can carry
   */
  fill(params: RouteParams): FilledRoute {
    const { pattern, wildcards } = this;
    const values: Record<string, string | string[]> = {};
    const expected: Record<string, string | string[]> = {};
    for (const [given, value] of Object.entries(params)) {
      const name = this.nameOf(given);
      if (!wildcards.includes(name)) {
        values[name] = expected[name] = carriable(pattern, name, value);
        continue;
      }
      const segments = typeof value === 'object' ? [...value] : String(value).split('/');
      const carried = segments.map((segment) => carriable(pattern, name, segment));
      values[name] = carried;
      expected[this.receivedName(name)] = pattern.endsWith('*') ? carried.join('/') : carried;
    }
    try {
      this.toPath ??= compile(this.template);
      return { path: this.toPath(values), expected };
    } catch (error) {
      throw new DownloadAuthConfigurationError(
        `No link can be made to ${pattern}: ${(error as Error).message}. Give every parameter of the route in params.`,
      );
    }
  }

  has(given: string): boolean {
    return this.names.includes(this.ownName(given));
  }

  /** @throws DownloadAuthConfigurationError for a parameter that no URL can carry */
  inCollection({ params = {}, free: names = [] }: LinkTarget): RouteInCollection {
    const own = Object.fromEntries(
      Object.entries(params)
        .filter(([name]) => this.has(name))
        .map(([name, value]) => [this.ownName(name), value]),
    );
    const free = names.filter((name) => this.has(name)).map((name) => this.ownName(name));
    const anywhere = Object.fromEntries(free.map((name) => [name, ANY]));
    const { path } = this.fill({ ...own, ...anywhere });
    return {
      params: { ...anywhere, ...own },
      free: free.map((name) => this.receivedName(name)).sort(),
      unset: free.filter((name) => !(name in own)),
      fixedPath: (path.split(ANY_IN_PATH)[0] as string).replace(free.length > 0 ? /[^/]*$/ : '', ''),
    };
  }

  /** The wildcard may be given as `*`, whatever the adapter calls it. */
  private ownName(given: string): string {
    const { wildcards } = this;
    return given === '*' && wildcards.length === 1 ? (wildcards[0] as string) : given;
  }

  /** Express names its wildcards and gives segments, Fastify has `*` and gives one string. */
  private receivedName(name: string): string {
    return this.wildcards.includes(name) && this.pattern.endsWith('*') ? '*' : name;
  }

  private nameOf(given: string): string {
    const { names } = this;
    const name = this.ownName(given);
    if (names.includes(name)) {
      return name;
    }
    const known = names.length > 0 ? `It has ${names.join(', ')}.` : 'It has none.';
    throw new DownloadAuthConfigurationError(
      `params.${name}: ${this.pattern} has no such parameter. ${known}`,
    );
  }
}

/** Only patterns of Fastify have `*`, `?` and expressions. */
function inExpressSyntax(pattern: string): string {
  return pattern
    .replace(/\/\*$/, '{/*path}')
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
