import type { DeliveryOutcome, DeliveryWatch, PlannedDelivery } from '../delivery/watch.js';
import { DownloadRefusal } from '../refusals/download-refusal.js';
import type { RefusalCode } from '../refusals/download-refusal.js';
import type { Claimant } from '../events/claimant.js';
import type { DownloadEventSink } from '../events/download-event.js';
import type { Granted } from './lease.js';
import type { LeaseBook } from './lease-book.js';
import type { ResolvedLeaseOptions } from './options.js';
import type { RunningDownload, RunningDownloads } from './running.js';
import type { StoreCalls } from './store-calls.js';

/** What the keeper shares with the deliveries that it watches. */
export interface LeaseServices {
  readonly book: LeaseBook;
  readonly options: ResolvedLeaseOptions;
  readonly clock: () => number;
  readonly calls: StoreCalls;
  readonly running: RunningDownloads;
  readonly events?: DownloadEventSink;
}

/**
 * Watches one delivery: emits its events, and cuts it where it is revoked. As it is, for a download without a
 * link, which is cut where its subject is revoked.
 */
export class WatchedDelivery implements DeliveryWatch, RunningDownload {
  reason?: string;
  protected cutBy?: RefusalCode;
  private readonly controller = new AbortController();
  /** What the events say, once it has begun and if there are listeners. */
  private begun?: Claimant & { readonly at: number; readonly length?: number; readonly status: number };

  constructor(
    protected readonly services: LeaseServices,
    private readonly claimant: Claimant,
    readonly link: RunningDownload['link'],
    readonly names: readonly string[],
  ) {}

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  planned(plan: PlannedDelivery): void | Promise<void> {
    if (!sendsBody(plan)) {
      return;
    }
    if (this.names.length > 0) {
      this.services.running.add(this);
    }
    this.begin(plan);
  }

  ended(outcome: DeliveryOutcome): void {
    this.services.running.delete(this);
    this.tell(outcome.completed ? 'completed' : 'aborted', outcome);
  }

  revoked(): void {
    this.cut('LINK_REVOKED', 'link revoked');
  }

  cut(code: RefusalCode, reason: string): void {
    if (!this.cutBy) {
      this.cutBy = code;
      this.reason = `cut: ${reason}`;
    }
    this.controller.abort(new DownloadRefusal(code, { reason: this.reason }));
  }

  protected begin(plan: PlannedDelivery, counted?: Granted, maxDownloads?: number): void {
    const { length, status, intervals } = plan;
    const { events, clock } = this.services;
    if (!events?.observed) {
      return;
    }
    const { linkId, subject, resource, path } = this.claimant;
    this.begun = { at: clock(), linkId, subject, resource, path, length, status };
    const from = intervals[0]?.start ?? 0;
    // Without a lease, not to start at the first byte is the best sign of a resume
    const resumed = counted ? counted.kind === 'joined' : from > 0;
    const began = { ...this.begun, used: counted?.used, maxDownloads };
    events.emit(resumed ? { type: 'resumed', ...began, from } : { type: 'opened', ...began });
  }

  /** Emits how it ended. */
  protected tell(type: 'completed' | 'aborted', { bytes, reason }: DeliveryOutcome): void {
    if (!this.begun) {
      return;
    }
    const { events, clock } = this.services;
    const at = clock();
    const ended = { ...this.begun, at, bytes, duration: at - this.begun.at };
    events?.emit(type === 'completed' ? { type, ...ended } : { type, ...ended, code: this.cutBy, reason });
  }
}

/**
 * Whether content is sent: not with HEAD, 304, 412, 416 or an empty file. Content with a status that means
 * failure, which only a handler can choose, does not count; a form is answered with 201.
 */
export function sendsBody({ method, status, intervals }: PlannedDelivery): boolean {
  const succeeds = status >= 200 && status < 300;
  return method !== 'HEAD' && succeeds && intervals.some(({ start, end }) => end > start);
}
