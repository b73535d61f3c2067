import { LEASES_OF_KEY } from '../lease-store.js';
import type {
  LeaseCommit,
  LeaseList,
  LeaseListQuery,
  LeaseQuery,
  LinkNames,
  LinkState,
} from '../lease-store.js';
import { joinKeys, readLease, readRecord } from '../record-text.js';
import { revocationNames } from '../revocation.js';
import type { Revocation } from '../revocation.js';
import type { Check, Row, Statement, Value } from './sqlite-connection.js';

/** Links, and leases of a link, that one commit forgets at most. */
const FORGOTTEN_LINKS = 4;
const FORGOTTEN_LEASES = 16;

const LINK = 'SELECT version, used FROM links WHERE link = ?';
const LINK_VERSION = 'SELECT version FROM links WHERE link = ?';
const LEASE_VERSION = 'SELECT version FROM leases WHERE link = ? AND lease = ?';
const LEASE = 'SELECT lease, version, keys, state FROM leases WHERE link = ? AND lease = ?';
const UNDER_KEY = `SELECT l.lease, l.version, l.keys, l.state
  FROM lease_keys k JOIN leases l ON l.link = k.link AND l.lease = k.lease
  WHERE k.link = ? AND k.key = ? ORDER BY k.seq DESC LIMIT ${LEASES_OF_KEY}`;
const PAGE = 'SELECT seq, state FROM leases WHERE link = ? AND seq < ? ORDER BY seq DESC LIMIT ?';

const PUT_LINK = `INSERT INTO links (link, version, used, keep_until) VALUES (?, ?, ?, ?)
  ON CONFLICT (link) DO UPDATE SET
    version = excluded.version, used = excluded.used, keep_until = max(keep_until, excluded.keep_until)`;
const KEEP_LINK = 'UPDATE links SET keep_until = max(keep_until, ?2) WHERE link = ?1';
const DROP_UNUSED_LINK = 'DELETE FROM links WHERE link = ? AND used = 0 AND leases = 0';
const ADD_LEASE = `INSERT INTO leases (link, lease, seq, version, keys, until, state)
  SELECT ?1, ?2, 1 + ifnull(max(seq), 0), ?3, ?4, ?5, ?6 FROM leases WHERE link = ?1`;
const ADD_KEY = `INSERT INTO lease_keys (link, lease, key, seq)
  SELECT link, lease, ?3, seq FROM leases WHERE link = ?1 AND lease = ?2`;
const PUT_LEASE = 'UPDATE leases SET version = ?, until = ?, state = ? WHERE link = ? AND lease = ?';
const DROP_LEASE = 'DELETE FROM leases WHERE link = ? AND lease = ?';

/** The oldest leases of a link, as many as there are beyond a number. */
const oldest = (most: string) =>
  `SELECT lease, until FROM leases WHERE link = ?1 ORDER BY seq
   LIMIT max(0, min(${FORGOTTEN_LEASES}, (SELECT leases FROM links WHERE link = ?1) - ${most}))`;
const FORGET = `DELETE FROM leases WHERE link = ?1 AND lease IN (SELECT lease FROM (${oldest('?2')}))`;
const FORGET_OVER = `DELETE FROM leases
  WHERE link = ?1 AND lease IN (SELECT lease FROM (${oldest('?2')}) WHERE until <= ?3)`;

const EXPIRED = `SELECT link FROM links WHERE keep_until <= ?1 ORDER BY keep_until LIMIT ${FORGOTTEN_LINKS}`;
const SWEEPS = [
  `DELETE FROM leases WHERE (link, lease) IN
    (SELECT link, lease FROM leases WHERE link IN (${EXPIRED}) LIMIT ${FORGOTTEN_LEASES})`,
  `DELETE FROM links WHERE leases = 0 AND link IN (${EXPIRED})`,
];

const REVOCATION = 'SELECT issued_before FROM revocations WHERE kind = ? AND name = ?';
// REPLACE gives the row a new number, by which the other processes notice it.
const PUT_REVOCATION = `REPLACE INTO revocations (kind, name, issued_before, keep_until)
  SELECT ?1, ?2, max(?3, ifnull(max(issued_before), 0)), max(?4, ifnull(max(keep_until), 0))
  FROM revocations WHERE kind = ?1 AND name = ?2`;
const SWEEP_REVOCATIONS = 'DELETE FROM revocations WHERE keep_until <= ?';

/** The statements whose rows {@link linkState} reads. */
export function linkStatements(query: LeaseQuery): Statement[] {
  const { linkId, leased, leases, keys } = query;
  const revocations = revocationNames(query).map((values) => ({ sql: REVOCATION, values }));
  if (!leased) {
    return revocations;
  }
  return [
    ...revocations,
    { sql: LINK, values: [linkId] },
    ...keys.map((key) => ({ sql: UNDER_KEY, values: [linkId, key] })),
    ...leases.map((lease) => ({ sql: LEASE, values: [linkId, lease] })),
  ];
}

export function linkState(query: LinkNames, rows: readonly Row[][]): Omit<LinkState, 'now' | 'since'> {
  const { length } = revocationNames(query);
  const moments = rows.slice(0, length).map(([row]) => Number(row?.issued_before ?? 0));
  const link = rows[length]?.[0];
  const leases = new Map(rows.slice(length + 1).flatMap((found) => found.map((row) => [row.lease, row])));
  return {
    revokedBefore: Math.max(0, ...moments),
    link: link && { version: Number(link.version), used: Number(link.used) },
    leases: [...leases.values()].map(recordOf),
  };
}

export function revocationStatements(revocation: Revocation, now: number): Statement[] {
  const { kind, name, issuedBefore, keepUntil } = revocation;
  return [
    { sql: SWEEP_REVOCATIONS, values: [now] },
    { sql: PUT_REVOCATION, values: [kind, name, issuedBefore, keepUntil] },
  ];
}

/** What must be so, and what to write then. */
export function commitStatements(commit: LeaseCommit): { checks: Check[]; writes: Statement[] } {
  const { linkId, link, leases, now, enough } = commit;
  const keepUntil = Math.ceil(commit.keepUntil);
  const most = Math.min(commit.most, Number.MAX_SAFE_INTEGER);
  const checks = leases.map(({ id, was }) => check(LEASE_VERSION, [linkId, id], was));
  const writes: Statement[] = [];
  const write = (sql: string, ...values: Value[]) => writes.push({ sql, values });
  if (link) {
    checks.push(check(LINK_VERSION, [linkId], link.was));
    write(PUT_LINK, linkId, link.version, link.used, keepUntil);
  } else {
    write(KEEP_LINK, linkId, keepUntil);
  }
  for (const { id, was, version, keys, lease, until } of leases) {
    if (!lease) {
      write(DROP_LEASE, linkId, id);
    } else if (was === undefined) {
      write(ADD_LEASE, linkId, id, version, joinKeys(keys), Math.ceil(until), JSON.stringify(lease));
      keys.forEach((key) => write(ADD_KEY, linkId, id, key));
    } else {
      write(PUT_LEASE, version, Math.ceil(until), JSON.stringify(lease), linkId, id);
    }
  }
  if (leases.some(({ was }) => was === undefined)) {
    write(FORGET, linkId, most);
    write(FORGET_OVER, linkId, enough, now);
    SWEEPS.forEach((sql) => write(sql, now));
  }
  if (link?.used === 0) {
    write(DROP_UNUSED_LINK, linkId);
  }
  return { checks, writes };
}

export function pageStatements({ linkId, limit, after }: LeaseListQuery): Statement[] {
  const before = after === undefined ? Number.MAX_SAFE_INTEGER : Number(after);
  return [
    { sql: LINK, values: [linkId] },
    { sql: PAGE, values: [linkId, before, limit] },
  ];
}

export function page([link, rows = []]: readonly Row[][], limit: number): LeaseList {
  return {
    used: Number(link?.[0]?.used ?? 0),
    leases: rows.map(({ state }) => readLease(String(state))),
    next: rows.length === limit ? String(rows.at(-1)!.seq) : undefined,
  };
}

function check(sql: string, values: Value[], version: number | undefined): Check {
  return { statement: { sql, values }, rows: version === undefined ? [] : [{ version }] };
}

function recordOf({ lease, version, keys, state }: Row) {
  return readRecord({
    id: String(lease),
    version: Number(version),
    keys: String(keys),
    state: String(state),
  });
}
