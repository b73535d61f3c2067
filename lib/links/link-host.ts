import { compile, match as matcherOf } from 'path-to-regexp';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import { canonical } from './link-resource.js';
import type { Route } from './route-registry.js';

/**
 * The host that a link leads to, where it is known: the groups of an expression cannot be filled in.
 * @param publicHost that of `links.publicUrl`
 * @throws DownloadAuthConfigurationError for parameters that no host of the route has
 */
export function hostOf(
  { label, hosts: bound }: Route,
  hosts: Record<string, string>,
  publicHost: string | undefined,
): string | undefined {
  if (bound.length === 0) {
    return publicHost;
  }
  const filled = bound.map((one) => (one instanceof RegExp ? undefined : filledHost(one, hosts)));
  const host = publicHost ?? filled.find(Boolean);
  const given = canonical(hosts);
  if (host !== undefined && bound.some((one) => canonical(hostParams(one, host)) === given)) {
    return host;
  }
  const mayFit = (one: string | RegExp) =>
    one instanceof RegExp && one.source.includes('(?<') === (given !== '{}');
  if (host === undefined && bound.some(mayFit)) {
    return undefined;
  }
  throw new DownloadAuthConfigurationError(
    publicHost
      ? `${label} is bound to ${bound.join(', ')}, and links.publicUrl leads to ${publicHost}, where it does ` +
          `not receive hosts: ${given}. Leave publicUrl out, and put the origin before the link's url.`
      : `hosts: ${given} does not fit ${bound.join(', ')}. Give each of its parameters, such as hosts: { tenant: 'acme' }, ` +
          'in lower case as browsers send host names.',
  );
}

/** The name of a host with its parameters filled in, where a browser can ask for it under that name. */
function filledHost(host: string, hosts: Readonly<Record<string, string>>): string | undefined {
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
