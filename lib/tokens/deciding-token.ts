import type { Transport } from '../http/http-exchange.js';
import { DownloadRefusal } from '../refusals/download-refusal.js';
import { isCompact } from './compact-jws.js';
import { TRANSPORT_NAMES, TRANSPORTS } from './transports.js';
import type { Finding, FoundTokens } from './transports.js';

/** A token as a request presents it, unverified. */
export interface PresentedToken {
  readonly token: string;
  readonly transport: Transport;
}

const EXPLICIT = TRANSPORT_NAMES.filter((name) => name !== 'header' && TRANSPORTS[name].isExplicit);

/**
 * The token that decides over a request: that of the first transport that holds one. Only this one is
 * verified; if it is bad, no other one rescues the request, and what is wrong with the others does not
 * matter. A header and a query (or form) that differ are refused, unless the latter holds a genuine link:
 * clients that always send their header can open links.
 *
 * Scripts send `Bearer` with whatever they have: a header that cannot be a JWT decides only if it is alone.
 *
 * @throws DownloadRefusal `TOKEN_MISSING`; `TOKEN_AMBIGUOUS`
 */
export async function decidingToken(
  found: FoundTokens,
  isGenuineLink: (token: string) => Promise<boolean>,
): Promise<PresentedToken> {
  const header = credibleHeader(found);
  const beside = first(found, EXPLICIT);
  if (header && beside && !areEqual(header, beside[1])) {
    const [transport, finding] = beside;
    if (finding !== 'several' && (await isGenuineLink(finding.token))) {
      return { transport, token: finding.token };
    }
    throw new DownloadRefusal('TOKEN_AMBIGUOUS', {
      message: 'The Authorization header and the URL or form of the request carry different tokens.',
    });
  }
  const deciding = header ? (['header', header] as const) : (beside ?? first(found, ['cookie', 'header']));
  if (!deciding) {
    throw new DownloadRefusal('TOKEN_MISSING');
  }
  return presented(...deciding);
}

/** Whether a token was put into this very request: not into a cookie. */
export function hasExplicitToken(found: FoundTokens): boolean {
  return (credibleHeader(found) ?? first(found, EXPLICIT)) !== undefined;
}

/**
 * The first token of its kind that was put into this very request: not in a cookie, which browsers send along
 * unasked. For routes where all other tokens are somebody else's.
 */
export function explicitToken(
  found: FoundTokens,
  isOfKind: (token: string) => boolean,
): PresentedToken | undefined {
  for (const transport of [...EXPLICIT, 'header'] as const) {
    const finding = found[transport];
    if (typeof finding === 'object' && isOfKind(finding.token)) {
      return { token: finding.token, transport };
    }
  }
  return undefined;
}

/**
 * The access token that accompanies a link, in header or cookie.
 * @throws DownloadRefusal `TOKEN_AMBIGUOUS` for several cookies
 */
export function tokenBeside(link: PresentedToken, found: FoundTokens): string | undefined {
  const others = { ...found, header: credibleHeader(found), [link.transport]: undefined };
  const beside = first(others, ['header', 'cookie']);
  return beside && presented(...beside).token;
}

function presented(transport: Transport, finding: Finding): PresentedToken {
  if (finding === 'several') {
    throw new DownloadRefusal('TOKEN_AMBIGUOUS', { message: TRANSPORTS[transport].ambiguous });
  }
  return { transport, token: finding.token };
}

function first(found: FoundTokens, order: readonly Transport[]): readonly [Transport, Finding] | undefined {
  const transport = order.find((name) => found[name] !== undefined);
  return transport && [transport, found[transport] as Finding];
}

function credibleHeader({ header }: FoundTokens): Finding | undefined {
  return typeof header === 'object' && !isCompact(header.token) ? undefined : header;
}

function areEqual(one: Finding, other: Finding): boolean {
  return typeof one === 'object' && typeof other === 'object' && one.token === other.token;
}
