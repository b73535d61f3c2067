import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import type { QueryParams } from './link-resource.js';

/**
 * Query parameters as every query parser gives them to the handler: texts, and lists of at least two. Members
 * that are `undefined` or empty lists are left out; objects stay, for applications whose parser makes them.
 */
export function normalizedQuery(query: QueryParams): QueryParams {
  const entries = Object.entries(query).map(([name, value]) => [name, normalizedValue(name, value)] as const);
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
}

/**
 * The query string with its question mark (WHATWG URL, application/x-www-form-urlencoded); empty for no
 * query.
 */
export function queryString(query: QueryParams): string {
  const pairs = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    append(pairs, name, value);
  }
  return pairs.size > 0 ? `?${pairs.toString()}` : '';
}

function normalizedValue(name: string, value: unknown): unknown {
  if (value === undefined) {
    return undefined;
  }
  if (Array.isArray(value)) {
    const values = value.map((one) => normalizedValue(name, one)).filter((one) => one !== undefined);
    return values.length > 1 ? values : values[0];
  }
  if (isPlainObject(value)) {
    const entries = Object.entries(value).map(([key, one]) => [key, normalizedValue(`${name}.${key}`, one)]);
    return Object.fromEntries(entries) as unknown;
  }
  return textOf(name, value);
}

function append(pairs: URLSearchParams, name: string, value: unknown): void {
  if (value === undefined) {
    return;
  }
  if (Array.isArray(value)) {
    value.forEach((one) => append(pairs, name, one));
  } else if (isPlainObject(value)) {
    Object.entries(value).forEach(([key, one]) => append(pairs, `${name}[${key}]`, one));
  } else {
    pairs.append(name, textOf(name, value));
  }
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !(value instanceof Date);
}

function textOf(name: string, value: unknown): string {
  if (typeof value === 'boolean' || Number.isFinite(value)) {
    return String(value);
  }
  if (typeof value === 'string' && value.isWellFormed()) {
    return value;
  }
  throw new DownloadAuthConfigurationError(
    `query.${name}: give a string, a number, a boolean or a list of them; dates as .toISOString().`,
  );
}
