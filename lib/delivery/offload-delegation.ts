import { realpath } from 'node:fs/promises';
import { type ResolvedDelivery } from './delivery-options.js';
import { type DeliveryWatch } from './delivery-watch.js';
import { type DeliveryPlan } from './delivery-plan.js';
import { offloadField, proxyAgrees, type OffloadField } from './offload.js';
import { type RequestFields } from './preconditions.js';
import { type Representation } from './representation/representation.js';

/** The proxy in front sends the body. */
export interface Delegation {
  readonly to: 'x-accel-redirect' | 'x-sendfile';
  readonly field: OffloadField;
}

/**
 * Whether the proxy in front sends this body, and how it is told. Not where bytes are to be counted, where
 * there is none, where the file is outside the proxy's folder, and where the proxy might decide otherwise.
 */
export async function delegate(
  fields: RequestFields,
  plan: DeliveryPlan,
  { path, offload }: Pick<Representation, 'path' | 'offload'>,
  { options, watch }: { readonly options: ResolvedDelivery; readonly watch?: DeliveryWatch },
): Promise<Delegation | undefined> {
  const wanted = offload ?? options.offload;
  if (!wanted || path === undefined || watch?.countsBytes || plan.intervals.length === 0) {
    return undefined;
  }
  if (!proxyAgrees(fields, plan)) {
    return undefined;
  }
  const field = offloadField(wanted, await realpath(wanted.root), await realpath(path));
  return field && { to: wanted.type, field };
}
