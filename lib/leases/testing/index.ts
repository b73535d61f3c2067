import { START } from './fixtures.js';
import type { StoreCase, StoreUnderTest } from './fixtures.js';
import { recordCases } from './record.cases.js';
import { revocationCases } from './revocation.cases.js';

export { type StoreCase, type StoreUnderTest } from './fixtures.js';

/** All cases, for test runners that {@link describeLeaseStore} does not suit. */
export const leaseStoreCases: readonly StoreCase[] = [...recordCases, ...revocationCases];

/** Options of {@link describeLeaseStore}. */
export interface LeaseStoreSuite {
  /** The runner's `test` or `it`. */
  readonly test: (name: string, run: () => Promise<void>) => unknown;
  /**
   * Makes a new, empty store that is not opened yet, and a second one on the same data if processes can share
   * it. The store must use the moments that it is given, which are in the past.
   */
  readonly create: () => StoreUnderTest | Promise<StoreUnderTest>;
}

/**
 * Registers the tests that every `LeaseStore` has to pass.
 *
 * @example
 * describe('my store', () => describeLeaseStore({ test: it, create: () => ({ store: new MyStore() }) }));
 */
export function describeLeaseStore({ test, create }: LeaseStoreSuite): void {
  for (const storeCase of leaseStoreCases) {
    test(storeCase.name, async () => {
      const subject = await create();
      const stores = subject.other ? [subject.store, subject.other] : [subject.store];
      try {
        for (const store of stores) {
          await store.open(START);
        }
        await storeCase.run(subject);
      } finally {
        await Promise.all(stores.map((store) => store.close()));
        await subject.cleanUp?.();
      }
    });
  }
}
