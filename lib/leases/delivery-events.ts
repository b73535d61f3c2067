import type { DeliveryOutcome, DeliveryWatch, PlannedDelivery } from '../delivery/watch.js';
import { DownloadRefusal } from '../refusals/download-refusal.js';
import type { RefusalCode } from '../refusals/download-refusal.js';
import type { Claimant } from '../events/claimant.js';
import { ofSubject } from './revocation.js';
import type { LeaseServices } from './lease-request.js';

export interface DeliveryEvents {
  completed(outcome: DeliveryOutcome): void;
  /** @param code why it was cut, where it was */
  aborted(outcome: DeliveryOutcome, code?: RefusalCode): void;
}

/** How a delivery is counted, if it is. */
export interface CountedAs {
  readonly kind: 'opened' | 'joined';
  readonly used: number;
  readonly maxDownloads?: number;
}

/** Emits that a delivery began, and answers what emits how it ended. Undefined without listeners. */
export function deliveryEvents(
  { events, clock }: LeaseServices,
  { linkId, subject, resource, path }: Claimant,
  { length, status, intervals }: PlannedDelivery,
  counted?: CountedAs,
): DeliveryEvents | undefined {
  if (!events?.observed) {
    return undefined;
  }
  const startedAt = clock();
  const about = { linkId, subject, resource, path, length, status };
  const from = intervals[0]?.start ?? 0;
  // Without a lease, not to start at the first byte is the best sign of a resume
  const resumed = counted ? counted.kind === 'joined' : from > 0;
  const began = { at: startedAt, ...about, used: counted?.used, maxDownloads: counted?.maxDownloads };
  events.emit(resumed ? { type: 'resumed', ...began, from } : { type: 'opened', ...began });
  const ended = ({ bytes }: DeliveryOutcome) => {
    const at = clock();
    return { at, ...about, bytes, duration: at - startedAt };
  };
  return {
    completed: (outcome) => events.emit({ type: 'completed', ...ended(outcome) }),
    aborted: (outcome, code) =>
      events.emit({ type: 'aborted', ...ended(outcome), code, reason: outcome.reason }),
  };
}

/**
 * Whether content is sent: not with HEAD, 304, 412, 416 or an empty file. Content with a status that means
 * failure, which only a handler can choose, does not count; a form is answered with 201.
 */
export function sendsBody({ method, status, intervals }: PlannedDelivery): boolean {
  const succeeds = status >= 200 && status < 300;
  return method !== 'HEAD' && succeeds && intervals.some(({ start, end }) => end > start);
}

/**
 * Watches a download without a link, which is not counted: emits its events, and cuts it where its subject is
 * revoked. Undefined where there is nothing to watch.
 */
export function unleasedWatch(services: LeaseServices, claimant: Claimant): DeliveryWatch | undefined {
  const { subject } = claimant;
  if (subject === undefined && !services.events?.observed) {
    return undefined;
  }
  const controller = new AbortController();
  let delivery: DeliveryEvents | undefined;
  let leave: (() => void) | undefined;
  let cutBy: RefusalCode | undefined;
  const cut = () => {
    cutBy = 'LINK_REVOKED';
    controller.abort(new DownloadRefusal(cutBy));
  };
  return {
    signal: controller.signal,
    planned: (plan) => {
      if (!sendsBody(plan)) {
        return;
      }
      delivery = deliveryEvents(services, claimant, plan);
      if (subject !== undefined) {
        const [name, issuedAt] = [ofSubject(subject), services.clock()];
        leave = services.running.add({ link: { id: `${name} ${issuedAt}`, issuedAt }, names: [name] }, cut);
      }
    },
    ended: (outcome) => {
      leave?.();
      if (outcome.completed) {
        delivery?.completed(outcome);
      } else {
        delivery?.aborted(outcome, cutBy);
      }
    },
  };
}
