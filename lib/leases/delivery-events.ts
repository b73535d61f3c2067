import type { DeliveryOutcome, DeliveryWatch, PlannedDelivery } from '../delivery/watch.js';
import type { Claimant } from '../events/claimant.js';
import type { DownloadEventSink } from '../events/download-event.js';
import { DownloadRefusal } from '../refusals/download-refusal.js';
import type { RefusalCode } from '../refusals/download-refusal.js';
import { ofSubject } from './revocation.js';
import type { RunningDownloads } from './running.js';

export interface DeliveryEvents {
  completed(outcome: DeliveryOutcome): void;
  aborted(outcome: DeliveryOutcome, code?: RefusalCode): void;
}

/** What is downloaded and by whom, and how often it may be. */
export interface DeliverySubject extends Claimant {
  readonly maxDownloads?: number;
}

/** Emits that a delivery began, and answers what emits how it ended. Undefined without listeners. */
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
  // Without a lease, not to start at the first byte is the best sign of a resume
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
 * Whether content is sent: not with HEAD, 304, 412, 416 or an empty file. Content with a status that means
 * failure, which only a handler can choose, does not count; a form is answered with 201.
 */
export function sendsBody({ method, status, intervals }: PlannedDelivery): boolean {
  const succeeds = status >= 200 && status < 300;
  return method !== 'HEAD' && succeeds && intervals.some(({ start, end }) => end > start);
}

interface UnleasedServices {
  readonly events?: DownloadEventSink;
  readonly clock: () => number;
  readonly running: RunningDownloads;
}

/**
 * Watches a download without a link, which is not counted: emits its events, and cuts it where its subject is
 * revoked. Undefined where there is nothing to watch.
 */
export function unleasedWatch(services: UnleasedServices, claimant: Claimant): DeliveryWatch | undefined {
  const { subject } = claimant;
  if (subject === undefined && !services.events?.observed) {
    return undefined;
  }
  const controller = new AbortController();
  let delivery: DeliveryEvents | undefined;
  let leave: (() => void) | undefined;
  let cutBy: RefusalCode | undefined;
  const cut = (): void => {
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
        const [name, startedAt] = [ofSubject(subject), services.clock()];
        leave = services.running.add({
          linkId: `${name} ${startedAt}`,
          issuedAt: startedAt,
          names: [name],
          cut,
        });
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
