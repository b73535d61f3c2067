import { compile } from 'path-to-regexp';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import type { LinkTarget, QueryParams, RouteParams } from './link.js';

/** A pattern that was filled in. */
export interface FilledRoute {
  readonly path: string;
  /** The parameters that its handler is to receive. */
  readonly expected: Readonly<Record<string, string | readonly string[]>>;
  /** Those of its parameters that are free, as its handler receives them. */
  readonly free: readonly string[];
  /** The names of free ones that have no value. */
  readonly unset: readonly string[];
  /** The path up to the first free parameter, by whole segments. */
  readonly fixedPath: string;
}

/** Stands for any value of a free parameter; percent-encoded, since browsers would drop it from a URL. */
const ANY = '\u0001';
const ANY_IN_PATH = encodeURIComponent(ANY);

const templates = new Map<string, RouteTemplate>();

export function templateOf(pattern: string): RouteTemplate {
  const template = templates.get(pattern) ?? new RouteTemplate(pattern);
  templates.set(pattern, template);
  return template;
}

/** The pattern of a route, ready to be filled in. */
class RouteTemplate {
  readonly names: readonly string[];
  private readonly wildcards: readonly string[];
  private readonly template: string;
  private toPath: ReturnType<typeof compile> | undefined;

  constructor(private readonly pattern: string) {
    this.template = inExpressSyntax(pattern);
    const parameters = [...this.template.matchAll(/[:*](\w+)/g)];
    this.names = parameters.map(([, name]) => name as string);
    this.wildcards = this.names.filter((_name, index) => parameters[index]?.[0].startsWith('*'));
  }

  has(given: string): boolean {
    return this.names.includes(this.ownName(given));
  }

  /**
   * Fills the parameters in that the route has, percent-encoded (RFC 3986 §3.3); free ones without a value
   * have any.
   *
   * @throws DownloadAuthConfigurationError for a parameter that is missing, or that no URL can carry
   */
  fill({ params = {}, free: names = [] }: LinkTarget): FilledRoute {
    const given = Object.entries(params).filter(([name]) => this.has(name));
    const own = Object.fromEntries(given.map(([name, value]) => [this.ownName(name), value]));
    const free = names.filter((name) => this.has(name)).map((name) => this.ownName(name));
    const anything = Object.fromEntries(free.map((name) => [name, ANY]));
    const filled = this.filled({ ...anything, ...own });
    let fixedPath = filled.path;
    if (free.length > 0) {
      const [before = ''] = this.filled({ ...own, ...anything }).path.split(ANY_IN_PATH);
      fixedPath = before.replace(/[^/]*$/, '');
    }
    return {
      ...filled,
      free: free.map((name) => this.receivedName(name)).sort(),
      unset: free.filter((name) => !(name in own)),
      fixedPath,
    };
  }

  private filled(params: RouteParams): Pick<FilledRoute, 'path' | 'expected'> {
    const { pattern, wildcards } = this;
    const values: Record<string, string | string[]> = {};
    const expected: Record<string, string | string[]> = {};
    for (const [name, value] of Object.entries(params)) {
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

  /** The wildcard may be given as `*`, whatever the adapter calls it. */
  private ownName(given: string): string {
    const { wildcards } = this;
    return given === '*' && wildcards.length === 1 ? (wildcards[0] as string) : given;
  }

  /** Express names its wildcards and gives segments, Fastify has `*` and gives one string. */
  private receivedName(name: string): string {
    return this.wildcards.includes(name) && this.pattern.endsWith('*') ? '*' : name;
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
