import type { DeliveryWatch } from './delivery-watch.js';

const WATCH = Symbol('nestjs-download-auth:watch');

/** Has the delivery that answers a request observed. */
export function attachWatch(request: object, watch: DeliveryWatch): void {
  (request as { [WATCH]?: DeliveryWatch })[WATCH] = watch;
}

/** Who observes the delivery that answers a request. */
export function watchOf(request: object): DeliveryWatch | undefined {
  return (request as { [WATCH]?: DeliveryWatch })[WATCH];
}
