// Loaded before what OpenTelemetry patches, so it imports neither Nest nor node:http.
import { DEFAULT_TOKEN_NAME, REDACTED, redactUrl } from './http/redact-url.js';
import { checkOptions, text } from './shared/check-options.js';

/** What every version of the SDK has in a span; none of its packages needs to be installed. */
interface WrittenSpan {
  name: string;
  readonly attributes: object;
  readonly status: { message?: string };
  readonly events: readonly { name: string; readonly attributes?: object }[];
  readonly links: readonly { readonly attributes?: object }[];
}

/** A JWT, or the beginning of one that was cut off; in base64url, `{"` is `eyJ`. */
const JWT = /eyJ[\w-]{13,}(?:(?:\.|%2[eE])[\w-]*)*/g;
/** Credentials of RFC 6750 §2.1; shorter words are those of a challenge. */
const BEARER = /(bearer[ \t]{1,8})[\w.~+/=-]{16,}/gi;

const nameRule = text("such as 'ss-tok'");

/**
 * A span processor that takes tokens out of spans, whichever instrumentation wrote them: out of names,
 * attributes, events, links and status messages. It replaces whatever looks like a JWT or follows `Bearer`,
 * and the value of the token parameter and cookie. List it before the processors that export.
 *
 * @example
 * ```ts
 * new NodeSDK({ spanProcessors: [new TokenRedactor(), new BatchSpanProcessor(new OTLPTraceExporter())] });
 * ```
 */
export class TokenRedactor {
  private readonly tokenNames: ReadonlySet<string>;

  /**
   * @param tokenName the `tokenName` option of the module; default `'ss-tok'`
   * @throws DownloadAuthConfigurationError for anything but a name or an object of names
   */
  constructor(tokenName: string | { query?: string; cookie?: string; form?: string } = {}) {
    const names = typeof tokenName === 'string' ? { query: tokenName } : tokenName;
    checkOptions(names, { query: nameRule, cookie: nameRule, form: nameRule }, 'tokenName');
    this.tokenNames = new Set([
      DEFAULT_TOKEN_NAME,
      ...Object.values(names).filter((name) => name !== undefined),
    ]);
  }

  onStart(): void {
    // instrumentations add attributes until the span ends
  }

  /** Called before the `onEnd` of any processor, from SDK 2.3 on. */
  onEnding(span: WrittenSpan): void {
    this.onEnd(span);
  }

  onEnd(span: WrittenSpan): void {
    span.name = this.redactText(span.name);
    if (span.status.message !== undefined) {
      span.status.message = this.redactText(span.status.message);
    }
    this.redactMembers(span.attributes);
    for (const event of span.events) {
      event.name = this.redactText(event.name);
      this.redactMembers(event.attributes);
    }
    for (const link of span.links) {
      this.redactMembers(link.attributes);
    }
  }

  async forceFlush(): Promise<void> {
    // keeps nothing
  }

  async shutdown(): Promise<void> {
    // keeps nothing
  }

  /**
   * A text, or a copy of a list or a plain object, without tokens; anything else as it is. For what error
   * trackers send.
   */
  redact<Value>(value: Value): Value;
  redact(value: unknown): unknown {
    if (typeof value === 'string') {
      return this.redactText(value);
    }
    if (Array.isArray(value)) {
      return value.map((member) => this.redact<unknown>(member));
    }
    if (typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype) {
      return Object.fromEntries(
        Object.entries(value).map(([name, member]) => [name, this.redact<unknown>(member)]),
      );
    }
    return value;
  }

  private redactMembers(members: object = {}): void {
    for (const [name, value] of Object.entries(members)) {
      (members as Record<string, unknown>)[name] = this.redact(value);
    }
  }

  /**
   * Word by word, because a redacted value ends only where the next parameter begins. The semicolon makes
   * parameters of a query without its question mark, and of cookies.
   */
  private redactText(written: string): string {
    const redacted = written.replace(JWT, REDACTED).replace(BEARER, `$1${REDACTED}`);
    if (!redacted.includes('=')) {
      return redacted;
    }
    return redacted.replace(/\S+/g, (word) => {
      let url = `;${word}`;
      for (const name of this.tokenNames) {
        url = redactUrl(url, name);
      }
      return url.slice(1);
    });
  }
}
