import { clientNetwork } from './client-address.js';
import { fingerprint } from './fingerprint.js';

/** What is known of who asks. */
export interface ClientDescription {
  /** As the host framework resolves it behind trusted proxies (`req.ip`). */
  readonly address?: string;
  readonly userAgent?: string;
}

/**
 * The key by which requests without a lease cookie are taken for one client: its network address
 * and its User-Agent. Undefined without an address, since a User-Agent alone is shared by millions.
 */
export function clientKey(client: ClientDescription): string | undefined {
  const network = clientNetwork(client.address);
  return network === undefined ? undefined : fingerprint(network, client.userAgent ?? '');
}
