import { type AbstractHttpAdapter } from '@nestjs/core';
import { type DispositionType } from './content-disposition.js';
import { type ResolvedDelivery } from './delivery-options.js';
import { type DeliveryWatch } from './delivery-watch.js';

/** What a link fixes about saving; wins over everything else, and is encoded as safely. */
export interface DeliveryOverrides {
  readonly filename?: string;
  readonly disposition?: DispositionType;
}

/** Everything a delivery needs beside its content. */
export interface DeliveryContext {
  /** Express' or Fastify's request. */
  readonly request: unknown;
  /** Express' or Fastify's response. */
  readonly response: unknown;
  /** Of Nest's `HttpAdapterHost`. */
  readonly adapter: AbstractHttpAdapter;
  readonly options: ResolvedDelivery;
  readonly overrides?: DeliveryOverrides;
  readonly watch?: DeliveryWatch;
}
