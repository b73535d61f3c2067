import { type DeliveryOutcome, type DeliveryWatch, type PlannedDelivery } from '../delivery/watch.js';
import { type Claimant } from '../events/claimant.js';
import { type DownloadEventSink } from '../events/download-event.js';
import { type RefusalCode } from '../refusals/download-refusal.js';

export interface DeliveryEvents {
  completed(outcome: DeliveryOutcome): void;
  aborted(outcome: DeliveryOutcome, code?: RefusalCode): void;
}

/** What is downloaded and by whom, and how often it may be. */
export interface DeliverySubject extends Claimant {
  readonly maxDownloads?: number;
}

/**
 * Tells of one delivery: that it began when called, how it ended when the answer's methods are.
 * Undefined if nobody listens.
 */
export function deliveryEvents(
  context: { events?: DownloadEventSink; clock: () => number },
  subject: DeliverySubject,
  plan: PlannedDelivery,
  lease?: { readonly kind: 'opened' | 'joined'; readonly used: number },
): DeliveryEvents | undefined {
  const { events, clock } = context;
  if (!events?.observed) {
    return undefined;
  }
  const startedAt = clock();
  const about = {
    linkId: subject.linkId,
    subject: subject.subject,
    resource: subject.resource,
    path: subject.path,
    length: plan.length,
    status: plan.status,
  };
  const from = plan.intervals[0]?.start ?? 0;
  const counted = { used: lease?.used, maxDownloads: subject.maxDownloads };
  // Without a lease nobody knows what came before; starting behind the first byte is the best sign.
  const resumed = lease ? lease.kind === 'joined' : from > 0;
  if (resumed) {
    events.emit({ type: 'resumed', at: startedAt, ...about, ...counted, from });
  } else {
    events.emit({ type: 'opened', at: startedAt, ...about, ...counted });
  }
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
 * HEAD, 304, 412, 416 and an empty file send nothing that could be counted or told of; content under a
 * status of failure, which only a handler can choose, tells of the failure. A form is answered with 201.
 */
export function sendsBody({ method, status, intervals }: PlannedDelivery): boolean {
  const succeeds = status >= 200 && status < 300;
  return method !== 'HEAD' && succeeds && intervals.some(({ start, end }) => end > start);
}

/**
 * Tells of the delivery of a download by access token, which is not counted.
 * @returns `undefined` where nobody listens
 */
export function unleasedWatch(
  events: DownloadEventSink,
  clock: () => number,
  claimant: Claimant,
): DeliveryWatch | undefined {
  if (!events.observed) return undefined;
  let delivery: DeliveryEvents | undefined;
  return {
    planned: (plan) => {
      if (sendsBody(plan)) delivery = deliveryEvents({ events, clock }, claimant, plan);
    },
    ended: (outcome) => (outcome.completed ? delivery?.completed(outcome) : delivery?.aborted(outcome)),
  };
}
