import { type DeliveryOutcome, type DeliveryWatch, type PlannedDelivery } from '../delivery/watch.js';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import { DownloadRefusal, type RefusalCode } from '../refusals/download-refusal.js';
import { deliveryEvents, type DeliveryEvents, sendsBody } from './delivery-events.js';
import { type AdmittedRequest, type KeeperContext } from './keeper-context.js';
import { LeaseRequest } from './lease-request.js';
import { type Look } from './link-knowledge.js';

/**
 * A request that may use its link, and the watch over its delivery: opens or joins a lease when
 * the answer is decided, counts what is sent, and breaks the connection when the link is revoked
 * or the byte budget is used up. Serves one delivery.
 */
export class CountedDelivery implements DeliveryWatch {
  private readonly controller = new AbortController();
  private lease?: LeaseRequest;
  private cutBy?: RefusalCode;
  private plan?: PlannedDelivery;
  private leave?: () => void;
  private events?: DeliveryEvents;

  constructor(
    private readonly context: KeeperContext,
    private readonly request: AdmittedRequest,
    private readonly generation: number,
    private readonly seen?: Look,
  ) {}

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** What somebody else sends is seen by no lease. */
  get countsBytes(): boolean {
    return this.request.leased;
  }

  /**
   * @throws DownloadRefusal LINK_EXPIRED, LINK_REVOKED, LINK_USED_UP, STORE_UNAVAILABLE
   * @throws DownloadAuthConfigurationError where a limited link leads elsewhere
   */
  async planned(plan: PlannedDelivery): Promise<void> {
    if (plan.delegated === 'redirect') {
      return this.mayRedirect();
    }
    if (!sendsBody(plan)) {
      return;
    }
    this.plan = plan;
    this.leave = this.context.running.add({ keys: this.request.keys, cut: () => this.cut('LINK_REVOKED') });
    try {
      await this.recheck();
      if (this.request.leased) {
        this.lease = await LeaseRequest.acquire(this.context, this.request, plan, this.seen, (code) =>
          this.cut(code),
        );
      } else if (this.context.clock() >= this.request.link.expiresAt) {
        throw new DownloadRefusal('LINK_EXPIRED');
      }
      this.refuseIfCut();
    } catch (error) {
      this.leave();
      this.plan = undefined;
      throw error;
    }
    const { link, client } = this.request;
    const { id: linkId, subject, resource, maxDownloads } = link;
    const about = { linkId, subject, resource, path: client.path, maxDownloads };
    this.events = deliveryEvents(this.context, about, plan, this.lease?.answer);
  }

  grant(bytes: number): number | Promise<number> {
    return this.lease ? this.lease.grant(bytes) : bytes;
  }

  sent(start: number, end: number): void {
    this.lease?.sent(start, end);
  }

  ended(outcome: DeliveryOutcome): void {
    if (!this.plan) {
      return;
    }
    this.plan = undefined;
    this.leave?.();
    if (!outcome.completed) {
      this.events?.aborted(outcome, this.cutBy);
    }
    if (this.lease) {
      this.lease.release(outcome, (completed) => completed && this.events?.completed(outcome));
    } else if (outcome.completed) {
      this.events?.completed(outcome);
    }
  }

  private async mayRedirect(): Promise<void> {
    const { link } = this.request;
    if (link.maxDownloads !== undefined) {
      throw new DownloadAuthConfigurationError(
        'Download.redirect() under a link with maxDownloads: what another server sends cannot be counted. ' +
          'Return Download.source(), which reads from that server, or mint the link without maxDownloads.',
      );
    }
    await this.recheck();
    if (this.context.clock() >= link.expiresAt) {
      throw new DownloadRefusal('LINK_EXPIRED');
    }
  }

  /** The handler may have taken its time since the link was looked up. */
  private async recheck(): Promise<void> {
    const { running, book, calls } = this.context;
    if (running.generation === this.generation) {
      return;
    }
    const { keys, needsStore, needsRecord } = this.request;
    const look = () => book.look(keys);
    const state = (needsStore ? await calls.required(look) : await calls.optional(look))?.state;
    if (state && keys.issuedAt < state.revokedBefore) {
      throw new DownloadRefusal('LINK_REVOKED');
    }
    if (state && needsRecord && keys.issuedAt < state.since) {
      throw new DownloadRefusal('LINK_USED_UP');
    }
  }

  /** A revocation may have arrived while the lease was acquired. */
  private refuseIfCut(): void {
    if (this.cutBy) {
      this.lease?.release({ status: 0, completed: false, bytes: 0 });
      throw new DownloadRefusal(this.cutBy);
    }
  }

  private cut(code: RefusalCode): void {
    this.cutBy ??= code;
    this.controller.abort(new DownloadRefusal(code));
  }
}
