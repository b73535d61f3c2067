import { addressWithin, normalizeBlock } from '../leases/client-address.js';
import { DownloadAuthConfigurationError } from '../options/configuration-error.js';
import { refuseUnknown } from '../options/unknown-option.js';
import type { RefusalCode } from '../refusals/download-refusal.js';

/** Whom a link is bound to, beside its resource. */
export interface LinkBindingOptions {
  /** Only for the person it was made for: header or cookie must hold an access token of the link's `subject`. */
  signedIn?: boolean;
  /** Only from these networks: CIDR blocks or single addresses, such as `192.0.2.0/24` or `2001:db8::/32`. */
  addresses?: string | readonly string[];
}

/** The `bnd` claim. */
export interface LinkBinding {
  readonly sub?: true;
  readonly net?: readonly string[];
}

/** @throws DownloadAuthConfigurationError for a block that is none, `signedIn` without a subject, an unknown member */
export function bindingOf(
  options: LinkBindingOptions | undefined,
  subject: string | undefined,
): LinkBinding | undefined {
  if (!options) return undefined;
  refuseUnknown(options, ['signedIn', 'addresses'], 'bindTo');
  if (options.signedIn && subject === undefined) {
    throw new DownloadAuthConfigurationError('bindTo.signedIn: say whom the link is for: subject: user.id.');
  }
  const blocks = [options.addresses ?? []].flat();
  return {
    ...(options.signedIn && { sub: true as const }),
    ...(blocks.length > 0 && { net: blocks.map(checkedBlock) }),
  };
}

/** What is known of who opens a link. */
export interface LinkUser {
  /** As the framework resolves it behind trusted proxies. */
  readonly address: string | undefined;
  /** The subject of the access token in header or cookie, where a genuine one is. */
  readonly subject: string | undefined;
}

/** @returns why the link is not for this user, `undefined` where it is */
export function checkBinding(
  binding: LinkBinding | undefined,
  linkSubject: string | undefined,
  user: LinkUser,
): RefusalCode | undefined {
  if (binding?.net && !addressWithin(user.address, binding.net)) return 'LINK_ADDRESS';
  if (binding?.sub && (user.subject === undefined || user.subject !== linkSubject)) return 'LINK_SUBJECT';
  return undefined;
}

function checkedBlock(block: string): string {
  try {
    return normalizeBlock(block);
  } catch (error) {
    throw new DownloadAuthConfigurationError(`bindTo.addresses: ${(error as Error).message}`);
  }
}
