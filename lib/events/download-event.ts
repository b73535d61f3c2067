import type { Transport } from '../http/http-exchange.js';
import type { RefusalCode } from '../refusals/download-refusal.js';

/** What every event may say. Never the token, nor the lease cookie. */
interface About {
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** The link's id; undefined for a download by access token. */
  readonly linkId?: string;
  readonly subject?: string;
  /** What is downloaded, as the link names it. */
  readonly resource?: string;
  /** The path that was asked for, or that a minted link leads to, without the query. */
  readonly path?: string;
}

interface AboutAnswer extends About {
  /** Length of the whole representation in bytes, where it is known. */
  readonly length?: number;
  /** 200, 206, or what the handler chose (201 where a form was posted). */
  readonly status: number;
}

/** A link was made. */
export interface MintedEvent extends About {
  readonly type: 'minted';
  readonly linkId: string;
  readonly expiresAt: number;
  readonly maxDownloads?: number;
}

/** A download began: for a limited link one of its downloads is counted with it. */
export interface OpenedEvent extends AboutAnswer {
  readonly type: 'opened';
  /** Downloads of a limited link that are counted, this one included. */
  readonly used?: number;
  readonly maxDownloads?: number;
}

/** A further request of a download that had begun: a resume, or one of several connections. */
export interface ResumedEvent extends AboutAnswer {
  readonly type: 'resumed';
  /** The first byte of this answer. */
  readonly from: number;
  readonly used?: number;
  readonly maxDownloads?: number;
}

/**
 * Every byte was sent: of a limited link's download, by however many answers (and said once); of
 * any other, of one answer.
 */
export interface CompletedEvent extends AboutAnswer {
  readonly type: 'completed';
  /** Bytes that the last answer sent. */
  readonly bytes: number;
  /** Milliseconds that the last answer took. */
  readonly duration: number;
}

/** An answer ended before all that it announced was sent. The download may go on with another. */
export interface AbortedEvent extends AboutAnswer {
  readonly type: 'aborted';
  readonly bytes: number;
  readonly duration: number;
  /** Why it was cut, where this side cut it; undefined where the client went away. */
  readonly code?: RefusalCode;
  /** `'stalled'`: the client took no byte for as long as `delivery.stallTimeout` says. */
  readonly reason?: 'stalled';
}

/**
 * A request was answered with a refusal. What says who asked (`linkId`, `subject`, `resource`) comes from a
 * token whose signature was found good; everything else is what the client sent.
 */
export interface RefusedEvent extends About {
  readonly type: 'refused';
  readonly code: RefusalCode;
  readonly status: number;
  readonly path: string;
  readonly method: string;
  /**
   * Where the deciding token came from; undefined where there was none, or several that contradict each
   * other.
   */
  readonly transport?: Transport;
  /** As the framework resolves it behind the proxies that it trusts. */
  readonly address?: string;
  readonly userAgent?: string;
}

/** Links were revoked: the one named, or all of the resource, the subject, or everybody. */
export interface RevokedEvent extends About {
  readonly type: 'revoked';
  /** Links issued before this moment, in milliseconds since the epoch; whenever, where undefined. */
  readonly issuedBefore?: number;
}

/** The store of leases fails: limited and revocable links are refused with 503 until it answers. */
export interface StoreUnavailableEvent extends About {
  readonly type: 'storeUnavailable';
  /** What the store or its client said, without credentials. */
  readonly reason: string;
}

/** The store of leases answers again. */
export interface StoreAvailableEvent extends About {
  readonly type: 'storeAvailable';
  /** Milliseconds since the first failure. */
  readonly duration: number;
}

/** What {@link DownloadEvents} tells; `type` says which. */
export type DownloadEvent =
  | MintedEvent
  | OpenedEvent
  | ResumedEvent
  | CompletedEvent
  | AbortedEvent
  | RefusedEvent
  | RevokedEvent
  | StoreUnavailableEvent
  | StoreAvailableEvent;

/** Takes events in; what the rooms that report something need to know of {@link DownloadEvents}. */
export interface DownloadEventSink {
  /** Whether there are subscribers; without any, events need not be built. */
  readonly observed: boolean;
  /** Never throws. */
  emit(event: DownloadEvent): void;
}
