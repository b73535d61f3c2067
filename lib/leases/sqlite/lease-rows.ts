import { isOpen, type Lease, leaseUsage } from '../lease.js';
import { type LeaseTerms, type LinkUsage } from '../lease-store.js';
import { type Transaction } from './sqlite-connection.js';

/** Rows of each table that one transaction may sweep. */
const SWEPT = 8;

const USED = 'SELECT used FROM links WHERE link = ?';
const LEASE = 'SELECT state FROM leases WHERE link = ? AND lease = ?';
const OF_CLIENT =
  'SELECT lease, state FROM leases WHERE link = ? AND client = ? ORDER BY opened_at DESC LIMIT 1';
const ALL = 'SELECT state FROM leases WHERE link = ?';
const PUT_LINK = `INSERT INTO links (link, used, keep_until) VALUES (?, ?, ?)
  ON CONFLICT (link) DO UPDATE SET used = used + excluded.used, keep_until = max(keep_until, excluded.keep_until)`;
const ADD_LEASE =
  'INSERT INTO leases (link, lease, client, opened_at, keep_until, state) VALUES (?, ?, ?, ?, ?, ?)';
const PUT_LEASE = 'UPDATE leases SET state = ? WHERE link = ? AND lease = ?';
const DROP_LEASE = 'DELETE FROM leases WHERE link = ? AND lease = ?';
const DROP_LINK = 'DELETE FROM links WHERE link = ? AND used = 0';
const SWEEPS = [
  ['links', 'link'],
  ['leases', 'link, lease'],
].map(
  ([table, key]) =>
    `DELETE FROM ${table} WHERE (${key}) IN (SELECT ${key} FROM ${table} WHERE keep_until <= ? LIMIT ${SWEPT})`,
);

/** The links and leases of the file, within one transaction. */
export class LeaseRows {
  constructor(private readonly tx: Pick<Transaction, 'read' | 'write'>) {}

  async used(link: string): Promise<number> {
    const [row] = await this.tx.read(USED, link);
    return Number(row?.used ?? 0);
  }

  async lease(link: string, id: string | undefined): Promise<Lease | undefined> {
    const [row] = id === undefined ? [] : await this.tx.read(LEASE, link, id);
    return row && (JSON.parse(String(row.state)) as Lease);
  }

  async joinable(
    link: string,
    id: string | undefined,
    client: string | undefined,
    now: number,
    terms: LeaseTerms,
  ): Promise<{ id: string; lease: Lease } | undefined> {
    const named = await this.lease(link, id);
    if (id !== undefined && named && isOpen(named, now, terms)) {
      return { id, lease: named };
    }
    const [row] = client === undefined ? [] : await this.tx.read(OF_CLIENT, link, client);
    const lease = row && (JSON.parse(String(row.state)) as Lease);
    return lease && isOpen(lease, now, terms) ? { id: String(row.lease), lease } : undefined;
  }

  /** Writes a new lease and counts it. */
  add(link: string, id: string, lease: Lease, keepUntil: number, terms: LeaseTerms): void {
    const { client = null, openedAt } = lease;
    // The lease is of no interest once its life is over; that it was used, until the link has expired.
    const over = openedAt + terms.life;
    this.tx.write(PUT_LINK, link, 1, keepUntil);
    this.tx.write(ADD_LEASE, link, id, client, openedAt, over, JSON.stringify(lease));
  }

  /** Writes what has become of a lease. */
  put(link: string, id: string, lease: Lease, keepUntil: number): void {
    this.tx.write(PUT_LINK, link, 0, keepUntil);
    this.tx.write(PUT_LEASE, JSON.stringify(lease), link, id);
  }

  giveBack(link: string, id: string, keepUntil: number): void {
    this.tx.write(DROP_LEASE, link, id);
    this.tx.write(PUT_LINK, link, -1, keepUntil);
    this.tx.write(DROP_LINK, link);
  }

  async usage(link: string): Promise<LinkUsage> {
    const rows = await this.tx.read(ALL, link);
    const leases = rows.map((row) => JSON.parse(String(row.state)) as Lease);
    return { used: await this.used(link), leases: leases.map(leaseUsage) };
  }

  /** Forgets some of what has expired. */
  sweep(now: number): void {
    SWEEPS.forEach((sql) => this.tx.write(sql, now));
  }
}
