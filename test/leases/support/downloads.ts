import type { PlannedDelivery } from '../../../lib/delivery/watch.js';
import type { LinkCookie } from '../../../lib/http/link-cookies.js';
import type { LeaseClient } from '../../../lib/leases/client.js';
import type { CountedDelivery, LeasedLink } from '../../../lib/leases/counted-delivery.js';
import type { LeaseKeeper } from '../../../lib/leases/keeper.js';
import { HOUR, START } from '../../../lib/leases/testing/fixtures.js';

export const MIB = 1024 * 1024;

export const RESOURCE = 'r'.repeat(43);

export function link(changes: Partial<LeasedLink> = {}): LeasedLink {
  return {
    id: 'link-1',
    subject: 'ada',
    resource: RESOURCE,
    issuedAt: START,
    expiresAt: START + HOUR,
    maxDownloads: 1,
    ...changes,
  };
}

export const ADA: LeaseClient = { address: '192.0.2.1', userAgent: 'Chromium' };
export const GRACE: LeaseClient = { address: '198.51.100.7', userAgent: 'Firefox' };

/** The plan for a GET of a file of 10 MiB, of `bytes=from-to` where given. */
export function plan(
  changes: Partial<PlannedDelivery> & { from?: number; to?: number } = {},
): PlannedDelivery {
  const { from, to, ...rest } = changes;
  const length = 'length' in changes ? changes.length : 10 * MIB;
  const ranged = from !== undefined || to !== undefined;
  return {
    method: 'GET',
    status: ranged ? 206 : 200,
    reason: ranged ? 'one range' : 'no Range',
    length,
    intervals: [{ start: from ?? 0, end: to ?? length ?? 0 }],
    etag: '"v1"',
    ranged,
    ifRangeMatched: false,
    ...rest,
  };
}

/** One answer as the delivery room would send it: a chunk at a time, until told to stop. */
export class Answer {
  bytes = 0;
  private constructor(
    readonly admission: CountedDelivery,
    private readonly keeper: LeaseKeeper,
    private readonly planned: PlannedDelivery,
    private position: number,
    readonly cookie?: LinkCookie,
  ) {}

  static async begin(
    keeper: LeaseKeeper,
    to: LeasedLink,
    client: LeaseClient = ADA,
    planned: PlannedDelivery = plan(),
  ): Promise<Answer> {
    let cookie: LinkCookie | undefined;
    const admission = await keeper.admit(to, { ...client, setCookie: (set) => (cookie = set) });
    await admission.planned(planned);
    return new Answer(admission, keeper, planned, planned.intervals[0]?.start ?? 0, cookie);
  }

  /**
   * Sends up to `bytes` more, in writes of 256 KiB, as far as the connection stands. Answers how many it
   * sent.
   */
  async send(bytes = Infinity): Promise<number> {
    const before = this.bytes;
    const end = Math.min(this.planned.intervals[0]!.end, this.position + bytes);
    while (this.position < end && !this.admission.signal.aborted) {
      const granted = await this.admission.grant(Math.min(end - this.position, MIB / 4));
      if (granted === 0) {
        break;
      }
      const to = this.position + granted;
      this.admission.sent(this.position, to);
      this.bytes += to - this.position;
      this.position = to;
      // A socket drains no sooner than the event loop turns.
      await turn();
    }
    return this.bytes - before;
  }

  /** Ends the answer: the client went away, or all is sent. */
  async end(): Promise<void> {
    const completed = this.position >= this.planned.intervals[0]!.end;
    this.admission.ended({ status: this.planned.status, completed, bytes: this.bytes });
    await turn();
    await this.keeper.settled();
  }

  async finish(): Promise<this> {
    await this.send();
    await this.end();
    return this;
  }
}

/** Lets everything happen that is under way on this node. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
