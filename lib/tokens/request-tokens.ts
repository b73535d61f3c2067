import type { HttpExchange, Transport } from '../http/http-exchange.js';
import { DownloadRefusal } from '../refusals/download-refusal.js';
import { isCompact } from './compact-jws.js';
import { TRANSPORT_NAMES, TRANSPORTS } from './transports.js';
import type { Finding, TokenNames, Transports } from './transports.js';

/** A token as a request presents it, unverified. */
export interface PresentedToken {
  readonly token: string;
  readonly transport: Transport;
}

const EXPLICIT = TRANSPORT_NAMES.filter((name) => name !== 'header' && TRANSPORTS[name].isExplicit);

/**
 * The tokens of one request. A transport is read when it is first asked for, as most requests are decided
 * before their cookies. Nothing is verified here.
 */
export class RequestTokens {
  private readonly found: Partial<Record<Transport, Finding | 'none'>> = {};
  private isScrubbed = false;

  /** @param transports `undefined` where no token is looked at, nor hidden */
  constructor(
    private readonly exchange: HttpExchange,
    private readonly names: TokenNames,
    private readonly transports: Transports | undefined,
  ) {}

  /** What a transport holds; `undefined` for one that is empty, is off or does not count here. */
  in(transport: Transport): Finding | undefined {
    const finding = (this.found[transport] ??= this.read(transport) ?? 'none');
    return finding === 'none' ? undefined : finding;
  }

  /** The tokens of a transport that may hold several. */
  all(transport: Transport): readonly string[] {
    const finding = this.in(transport);
    return typeof finding === 'object' ? [finding.token, ...(finding.others ?? [])] : [];
  }

  private read(transport: Transport): Finding | undefined {
    const { counts, read } = TRANSPORTS[transport];
    const setting = this.transports?.[transport];
    const isRead = setting && (!counts || counts(this.exchange, setting));
    return isRead ? read(this.exchange, this.names) : undefined;
  }

  /** Takes the tokens out of the request, those in transports that are off too. */
  scrub(): void {
    if (this.isScrubbed || !this.transports) {
      return;
    }
    for (const transport of TRANSPORT_NAMES) {
      TRANSPORTS[transport].scrub?.(this.exchange, this.names, this.in(transport));
    }
    this.isScrubbed = true;
  }

  /**
   * The token that was put into this very request: in its header, URL or form. It decides alone: if it is
   * bad, no other one rescues the request.
   *
   * A header and a query or form that differ are refused, unless the latter holds a genuine link: clients
   * that always send their header can open links. Scripts send `Bearer` with whatever they have, so a header
   * that cannot be a JWT does not count here.
   *
   * @throws DownloadRefusal `TOKEN_AMBIGUOUS`
   */
  async explicit(isGenuineLink: (token: string) => Promise<boolean>): Promise<PresentedToken | undefined> {
    const header = this.first('header');
    const other = this.first(...EXPLICIT);
    if (!header || !other || areEqual(header.finding, other.finding)) {
      return only(header ?? other);
    }
    if (other.finding !== 'several' && (await isGenuineLink(other.finding.token))) {
      return only(other);
    }
    throw new DownloadRefusal('TOKEN_AMBIGUOUS', {
      message: 'The Authorization header and the URL or form of the request carry different tokens.',
    });
  }

  /** As {@link explicit}, of one kind, where all other tokens are the application's. */
  explicitOf(isOfKind: (token: string) => boolean): PresentedToken | undefined {
    for (const transport of [...EXPLICIT, 'header'] as const) {
      const finding = this.in(transport);
      if (typeof finding === 'object' && isOfKind(finding.token)) {
        return { token: finding.token, transport };
      }
    }
    return undefined;
  }

  /**
   * The token that decides where none is explicit: in the cookie, or else whatever the header holds.
   * @throws DownloadRefusal `TOKEN_MISSING`; `TOKEN_AMBIGUOUS`
   */
  ambient(): PresentedToken {
    const header = this.in('header');
    const found = only(this.first('cookie') ?? (header && { transport: 'header', finding: header }));
    if (!found) {
      throw new DownloadRefusal('TOKEN_MISSING');
    }
    return found;
  }

  /**
   * The access token that accompanies a link, in header or cookie.
   * @throws DownloadRefusal `TOKEN_AMBIGUOUS` for several cookies
   */
  beside(link: PresentedToken): string | undefined {
    const places = (['header', 'cookie'] as const).filter((transport) => transport !== link.transport);
    return only(this.first(...places))?.token;
  }

  /** What the first of these transports holds that is not empty; a header only if it can be a JWT. */
  private first(...transports: readonly Transport[]): Found | undefined {
    for (const transport of transports) {
      const finding = this.in(transport);
      const isNone = transport === 'header' && typeof finding === 'object' && !isCompact(finding.token);
      if (finding && !isNone) {
        return { transport, finding };
      }
    }
    return undefined;
  }
}

interface Found {
  readonly transport: Transport;
  readonly finding: Finding;
}

/** @throws DownloadRefusal `TOKEN_AMBIGUOUS` where there are several */
function only(found: Found | undefined): PresentedToken | undefined {
  if (!found) {
    return undefined;
  }
  const { transport, finding } = found;
  if (finding === 'several') {
    throw new DownloadRefusal('TOKEN_AMBIGUOUS', { message: TRANSPORTS[transport].ambiguous });
  }
  return { transport, token: finding.token };
}

function areEqual(one: Finding, other: Finding): boolean {
  return typeof one === 'object' && typeof other === 'object' && one.token === other.token;
}
