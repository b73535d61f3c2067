import type { DeliveryWatch } from '../delivery/delivery-watch.js';
import type { Claimant } from '../events/claimant.js';
import type { DownloadEventSink } from '../events/download-event.js';
import { type DeliveryEvents, deliveryEvents, sendsBody } from './delivery-events.js';

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
