import { RECORD_MARGIN, untilInTime } from './lease-book.js';
import type { LeaseStore } from './lease-store.js';
import { changeOf } from './link-knowledge.js';

/** A record of a link that is not about its leases; its value is not a list. */
export interface SideRecord {
  readonly linkId: string;
  readonly id: string;
  /** Milliseconds since the epoch until which the link may be used or resumed. */
  readonly endsAt: number;
}

/** What becomes of a record; a value that stays the same object is not written. */
export type SideDecision<T> = (now: number, value?: object) => { value?: object; answer: T };

/** Reads a record, decides and commits; decides again where another request or process was faster. */
export async function changeSideRecord<T>(
  store: LeaseStore,
  clock: () => number,
  { linkId, id, endsAt }: SideRecord,
  decide: SideDecision<T>,
): Promise<T> {
  const keepUntil = endsAt + RECORD_MARGIN;
  let answer: T;
  await untilInTime(async () => {
    const { now, records } = await store.read({ now: clock(), linkId, records: [id], revocations: [] });
    const { value, version } = records[0] ?? {};
    const decided = decide(now, value);
    answer = decided.answer;
    const changes = decided.value === value ? [] : [changeOf(id, version, decided.value)];
    return changes.length === 0 || (await store.commit({ now, linkId, keepUntil, changes }));
  });
  return answer!;
}
