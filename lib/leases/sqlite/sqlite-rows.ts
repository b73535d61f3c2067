import type { LinkCommit, LinkQuery, LinkState } from '../lease-store.js';
import type { Revocation } from '../revocation.js';
import type { Check, Statement, Row, Value } from './sqlite-connection.js';

/** Expired records that one commit forgets at most. */
const FORGOTTEN_AT_ONCE = 8;

const REVOCATION = 'SELECT issued_before FROM revocations WHERE name = ?';
const ALL_RECORDS = 'SELECT id, version, value FROM records WHERE link = ?';
const RECORD = `${ALL_RECORDS} AND id = ?`;
const VERSION = 'SELECT version FROM records WHERE link = ? AND id = ?';
const PUT = `INSERT INTO records (link, id, version, value, keep_until) VALUES (?, ?, ?, ?, ?)
  ON CONFLICT (link, id) DO UPDATE SET
    version = excluded.version, value = excluded.value, keep_until = max(keep_until, excluded.keep_until)`;
const DROP = 'DELETE FROM records WHERE link = ? AND id = ?';
const SWEEP = `DELETE FROM records WHERE (link, id) IN
  (SELECT link, id FROM records WHERE keep_until <= ? ORDER BY keep_until LIMIT ${FORGOTTEN_AT_ONCE})`;

// REPLACE gives the row a new number, by which the other processes notice it
const PUT_REVOCATION = `REPLACE INTO revocations (name, issued_before, keep_until)
  SELECT ?1, max(?2, ifnull(max(issued_before), 0)), max(?3, ifnull(max(keep_until), 0))
  FROM revocations WHERE name = ?1`;
const SWEEP_REVOCATIONS = 'DELETE FROM revocations WHERE keep_until <= ?';

/** The statements whose rows {@link linkState} reads. */
export function linkStatements({ linkId, records, revocations }: LinkQuery): Statement[] {
  return [
    ...revocations.map((name) => ({ sql: REVOCATION, values: [name] })),
    ...(records === 'all'
      ? [{ sql: ALL_RECORDS, values: [linkId] }]
      : records.map((id) => ({ sql: RECORD, values: [linkId, id] }))),
  ];
}

export function linkState(
  { revocations: { length } }: LinkQuery,
  rows: readonly Row[][],
): Pick<LinkState, 'revokedBefore' | 'records'> {
  const moments = rows.slice(0, length).map(([row]) => Number(row?.issued_before ?? 0));
  const records = rows.slice(length).flat();
  return {
    revokedBefore: Math.max(0, ...moments),
    records: records.map(({ id, version, value }) => ({
      id: String(id),
      version: Number(version),
      value: JSON.parse(String(value)) as object,
    })),
  };
}

export function revocationStatements(revocation: Revocation, now: number): Statement[] {
  const { name, issuedBefore, keepUntil } = revocation;
  return [
    { sql: SWEEP_REVOCATIONS, values: [now] },
    { sql: PUT_REVOCATION, values: [name, issuedBefore, keepUntil] },
  ];
}

/** What must be so, and what to write then. */
export function commitStatements(commit: LinkCommit): { checks: Check[]; writes: Statement[] } {
  const { now, linkId, keepUntil, changes } = commit;
  const checks = changes.map(({ id, was }) => ({
    statement: { sql: VERSION, values: [linkId, id] },
    rows: was === undefined ? [] : [{ version: was }],
  }));
  const writes: Statement[] = changes.map(({ id, version, value }) =>
    value
      ? { sql: PUT, values: [linkId, id, version, JSON.stringify(value), Math.ceil(keepUntil)] as Value[] }
      : { sql: DROP, values: [linkId, id] },
  );
  if (changes.some(({ was }) => was === undefined)) {
    writes.push({ sql: SWEEP, values: [now] });
  }
  return { checks, writes };
}
