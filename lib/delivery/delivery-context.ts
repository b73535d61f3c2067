import { type DeliveryOverrides } from './delivery-headers.js';
import { type ResolvedDelivery } from './delivery-options.js';
import { type DeliveryWatch } from './delivery-watch.js';
import { type PreparedHeaders } from './prepared-headers.js';

/** Everything a delivery needs beside its content. */
export interface DeliveryContext {
  /** Express' or Fastify's request. */
  readonly request: unknown;
  /** The headers of the answer, as they were prepared before the handler ran. */
  readonly headers: PreparedHeaders;
  readonly options: ResolvedDelivery;
  readonly overrides?: DeliveryOverrides;
  readonly watch?: DeliveryWatch;
}
