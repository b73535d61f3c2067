import { compile } from 'path-to-regexp';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import type { RouteSyntax } from './adapter-router.js';

/** The values of a route's parameters, decoded; a wildcard takes its segments or one string with slashes. */
export type RouteParams = Readonly<Record<string, string | number | readonly string[]>>;

/** A path that was filled in, and the parameters that its handler is to receive. */
export interface FilledRoute {
  readonly path: string;
  readonly expected: Readonly<Record<string, string | readonly string[]>>;
}

const UNNAMED_WILDCARD = /\/\*$/;
const NAMED = /[:*](\w+)/g;
const FASTIFY_OPTIONAL = /\/:(\w+)\?$/;
const FASTIFY_EXPRESSION = /(:\w+)\((?:[^()\\]|\\.|\([^()]*\))*\)/g;

/**
 * Fills the parameters of a route into its pattern, percent-encoded (RFC 3986 §3.3).
 * @throws DownloadAuthConfigurationError for a parameter that is missing, unknown, or that no URL can carry
 */
export function fillRoute(pattern: string, params: RouteParams, syntax: RouteSyntax): FilledRoute {
  const template = syntax === 'fastify' ? inExpressSyntax(pattern) : pattern;
  const wildcards = new Set([...template.matchAll(/\*(\w+)/g)].map(([, name]) => name as string));
  const names = new Set([...template.matchAll(NAMED)].map(([, name]) => name as string));
  const values: Record<string, string | string[]> = {};
  const expected: Record<string, string | string[]> = {};
  for (const [given, value] of Object.entries(params)) {
    const name = given === '*' && wildcards.size === 1 ? ([...wildcards][0] as string) : given;
    if (!names.has(name)) {
      throw unknownParameter(pattern, given, names);
    }
    if (wildcards.has(name)) {
      const segments = typeof value === 'object' ? [...value] : String(value).split('/');
      values[name] = segments.map((segment) => carriable(pattern, name, segment));
      if (syntax === 'fastify') {
        expected['*'] = segments.join('/');
      } else {
        expected[name] = segments;
      }
    } else {
      values[name] = expected[name] = carriable(pattern, name, value);
    }
  }
  try {
    return { path: compile(template)(values), expected };
  } catch (error) {
    throw new DownloadAuthConfigurationError(
      `No link can be made to ${pattern}: ${(error as Error).message}. Give every parameter of the route in params.`,
    );
  }
}

function inExpressSyntax(pattern: string): string {
  return pattern
    .replace(UNNAMED_WILDCARD, '{/*path}')
    .replace(FASTIFY_OPTIONAL, '{/:$1}')
    .replace(FASTIFY_EXPRESSION, '$1');
}

/** Browsers resolve `.` and `..` segments before they send a request, encoded or not (WHATWG URL §4.4). */
function carriable(pattern: string, name: string, value: unknown): string {
  const text = Number.isFinite(value) ? String(value) : value;
  if (typeof text !== 'string' || text === '' || text === '.' || text === '..' || !text.isWellFormed()) {
    throw new DownloadAuthConfigurationError(
      `params.${name} of ${pattern}: ${JSON.stringify(value)} cannot stand in the path of a URL. Give a non-empty string or a number.`,
    );
  }
  return text;
}

function unknownParameter(
  pattern: string,
  name: string,
  names: ReadonlySet<string>,
): DownloadAuthConfigurationError {
  const known = names.size > 0 ? `It has ${[...names].join(', ')}.` : 'It has none.';
  return new DownloadAuthConfigurationError(`params.${name}: ${pattern} has no such parameter. ${known}`);
}
