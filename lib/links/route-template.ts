import { compile } from 'path-to-regexp';
import { DownloadAuthConfigurationError } from '../options/configuration-error.js';

/** The values of a route's parameters, decoded; a wildcard takes its segments or one string with slashes. */
export type RouteParams = Readonly<Record<string, string | number | readonly string[]>>;

/** A path that was filled in, and the parameters as the handler will receive them. */
export interface FilledRoute {
  readonly path: string;
  readonly received: Readonly<Record<string, string | string[]>>;
}

/** How an adapter writes wildcards: Express names them and gives segments, Fastify has `*` and gives one string. */
export type RouteSyntax = 'express' | 'fastify';

const UNNAMED_WILDCARD = /\/(?:\*|\(\.\*\))$/;
const NAMED = /[:*](\w+)/g;
const FASTIFY_OPTIONAL = /\/:(\w+)\?/g;
const FASTIFY_PATTERN = /(:\w+)\((?:[^()\\]|\\.|\([^()]*\))*\)/g;

/**
 * Fills the parameters of a route into its path, percent-encoded (RFC 3986 §3.3).
 * @throws DownloadAuthConfigurationError for a parameter that is missing, unknown, or that no URL can carry
 */
export function fillRoute(route: string, params: RouteParams, syntax: RouteSyntax): FilledRoute {
  const template = route
    .replace(UNNAMED_WILDCARD, '{/*path}')
    .replace(FASTIFY_OPTIONAL, '{/:$1}')
    .replace(FASTIFY_PATTERN, '$1');
  const wildcards = new Set([...template.matchAll(/\*(\w+)/g)].map(([, name]) => name as string));
  const names = new Set([...template.matchAll(NAMED)].map(([, name]) => name as string));
  const values: Record<string, string | string[]> = {};
  const received: Record<string, string | string[]> = {};
  for (const [given, value] of Object.entries(params)) {
    const name = given === '*' && wildcards.size === 1 ? ([...wildcards][0] as string) : given;
    if (!names.has(name)) throw unknownParameter(route, given, names);
    if (wildcards.has(name)) {
      const segments = typeof value === 'object' ? [...value] : String(value).split('/');
      values[name] = segments.map((segment) => carriable(route, name, segment));
      received[syntax === 'fastify' ? '*' : name] = syntax === 'fastify' ? segments.join('/') : segments;
    } else {
      values[name] = received[name] = carriable(route, name, value);
    }
  }
  return { path: fill(route, template, values), received };
}

function fill(route: string, template: string, values: Record<string, string | string[]>): string {
  try {
    return compile(template)(values);
  } catch (error) {
    throw new DownloadAuthConfigurationError(
      `No link can be made to ${route}: ${(error as Error).message}. Give every parameter of the route in params.`,
    );
  }
}

/** Browsers resolve `.` and `..` segments before they send a request, encoded or not (WHATWG URL §4.4). */
function carriable(route: string, name: string, value: unknown): string {
  const text = Number.isFinite(value) ? String(value) : value;
  if (typeof text !== 'string' || text === '' || text === '.' || text === '..' || !text.isWellFormed()) {
    throw new DownloadAuthConfigurationError(
      `params.${name} of ${route}: ${JSON.stringify(value)} cannot stand in the path of a URL. Give a non-empty string or a number.`,
    );
  }
  return text;
}

function unknownParameter(
  route: string,
  name: string,
  names: ReadonlySet<string>,
): DownloadAuthConfigurationError {
  const known = names.size > 0 ? `It has ${[...names].join(', ')}.` : 'It has none.';
  return new DownloadAuthConfigurationError(`params.${name}: ${route} has no such parameter. ${known}`);
}
