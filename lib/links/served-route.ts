import { RequestMethod, VERSION_NEUTRAL, VersioningType } from '@nestjs/common';
import { compile, match as matcherOf } from 'path-to-regexp';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import type { AdapterRouter, RouteMatch } from './adapter-router.js';
import type { LinkTarget } from './link.js';
import { canonical } from './link-resource.js';
import { routerMethod } from './route-registry.js';
import type { ReachedRoute, Route, RouteRegistry } from './route-registry.js';

/**
 * Finds out how a browser that follows a link reaches a route.
 *
 * @param publicHost that of `links.publicUrl`
 * @throws DownloadAuthConfigurationError for an application without HTTP or not initialised, a path or host
 *   that the route does not have; its reader, for a route that another one or its version hides
 */
export function servedRoute(
  route: Route,
  { path, hosts = {} }: LinkTarget,
  registry: RouteRegistry,
  publicHost: string | undefined,
): ReachedRoute {
  const { router } = registry;
  if (!router) {
    throw new DownloadAuthConfigurationError(
      'This application has no HTTP, so it does not know where its routes are served. Give the route a name and tell the ' +
        "path: links: { routes: { file: '/api/files/:id' } } and links.create('file', …); or write NestFactory.create() in " +
        'place of createApplicationContext() or createMicroservice(), and await app.init(); it need not listen.',
    );
  }
  const pattern = patternOf(route, path, router);
  if (!router.isRegistered(routerMethod(route), pattern)) {
    throw new DownloadAuthConfigurationError(
      `${route.label}: the router has no ${pattern} yet. Make links after the application is initialised: ` +
        'await app.init() or app.listen(), and global prefix and versioning before it.',
    );
  }
  const host = hostOf(route, hosts, publicHost);
  const reader = (url: URL) => {
    checkVersion(route, registry, url);
    return read(route, pattern, registry, router, url);
  };
  return { route, pattern, host, readers: [reader] };
}

function patternOf(route: Route, path: string | undefined, router: AdapterRouter): string {
  const [first] = route.patterns as readonly [string];
  const wanted = path === undefined ? first : router.patternOf(`/${path.replace(/^\/|\/$/g, '')}`);
  const found = route.patterns.find((pattern) => pattern === wanted || pattern.endsWith(wanted));
  if (found === undefined) {
    throw new DownloadAuthConfigurationError(
      `path: ${route.label} has no path ${path}. It has ${route.patterns.join(', ')}.`,
    );
  }
  return found;
}

/** The host that a link leads to, where it is known: the groups of an expression cannot be filled in. */
function hostOf(
  { label, hosts: bound }: Route,
  hosts: Readonly<Record<string, string>>,
  publicHost: string | undefined,
): string | undefined {
  const given = canonical(hosts);
  if (bound.length === 0 && given === '{}') {
    return publicHost;
  }
  const names = publicHost ? [publicHost] : bound.flatMap((one) => filledHost(one, hosts) ?? []);
  const found = names.find((name) => bound.some((one) => canonical(hostParams(one, name)) === given));
  const mayFit = (one: string | RegExp) =>
    one instanceof RegExp && one.source.includes('(?<') === (given !== '{}');
  if (found !== undefined || (!publicHost && bound.some(mayFit))) {
    return found;
  }
  throw new DownloadAuthConfigurationError(
    publicHost && bound.length > 0
      ? `${label} is bound to ${bound.join(', ')}, and links.publicUrl leads to ${publicHost}, where it does ` +
          `not receive hosts: ${given}. Leave publicUrl out, and put the origin before the link's url.`
      : `hosts: ${given} does not fit ${bound.join(', ') || `${label}, which is bound to no host`}. Give each of its ` +
          "parameters, such as hosts: { tenant: 'acme' }, in lower case as browsers send host names.",
  );
}

/** The name of a host with its parameters filled in, where a browser can ask for it under that name. */
function filledHost(host: string | RegExp, hosts: Readonly<Record<string, string>>): string | undefined {
  if (host instanceof RegExp) {
    return undefined;
  }
  try {
    const name = compile(host, { encode: false })(hosts);
    return new URL(`http://${name}`).hostname === name ? name : undefined;
  } catch {
    return undefined;
  }
}

/** The parameters of a host, as Nest's host filter finds them; `undefined` for another host. */
function hostParams(host: string | RegExp, name: string): object | undefined {
  if (host instanceof RegExp) {
    const match = host.exec(name);
    return match ? { ...match.groups } : undefined;
  }
  const match = matcherOf(host, { decode: false })(name);
  return match ? match.params : undefined;
}

/**
 * What the handler of a route receives at a URL; undefined where the router does not find the route.
 * @throws DownloadAuthConfigurationError where another route is asked first
 */
function read(
  route: Route,
  pattern: string,
  registry: RouteRegistry,
  router: AdapterRouter,
  url: URL,
): RouteMatch | undefined {
  for (const match of router.matches(routerMethod(route), url)) {
    const asked = registry.list.find(
      (one) => one.patterns.includes(match.pattern) && (one === route || hides(one, route, registry, url)),
    );
    if (asked === route && match.pattern === pattern) {
      return match;
    }
    if (asked || router.asksOne) {
      throw new DownloadAuthConfigurationError(
        `${url.pathname} does not lead to ${route.label}: ${asked?.label ?? match.pattern} is asked first. ` +
          'Declare it behind, or give one of them another path.',
      );
    }
  }
  return undefined;
}

/** Whether a route answers what is meant for another one, to all hosts. */
function hides(one: Route, other: Route, registry: RouteRegistry, url: URL): boolean {
  const isAsked = routerMethod(one) === routerMethod(other) || one.requestMethod === RequestMethod.ALL;
  return isAsked && one.hosts.length === 0 && registry.servesVersion(one, url);
}

function checkVersion(route: Route, registry: RouteRegistry, url: URL): void {
  if (registry.servesVersion(route, url)) {
    return;
  }
  const versions = [route.versions].flat().filter((version) => version !== VERSION_NEUTRAL);
  throw new DownloadAuthConfigurationError(
    `${route.label} serves version ${versions.join(', ')} only, which ` +
      (registry.versioning?.type === VersioningType.CUSTOM
        ? 'the extractor does not find in a URL without headers. '
        : 'a browser that follows a link does not ask for: it is in a header. ') +
      'Make it VERSION_NEUTRAL, or put versions into the URL (VersioningType.URI).',
  );
}
