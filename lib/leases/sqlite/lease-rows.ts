import { isOpen, type Lease, leaseUsage } from '../lease.js';
import { type LeaseTerms, type LinkUsage } from '../lease-store.js';
import { type Database, type Statement } from './node-sqlite.js';

/** Rows of each table that one transaction may sweep. */
const SWEPT = 8;

/** The links and leases of the file. Every method belongs into a transaction of its caller. */
export class LeaseRows {
  private readonly statements: Record<
    'link' | 'lease' | 'ofClient' | 'all' | 'putLink' | 'addLease' | 'putLease' | 'dropLease' | 'dropLink',
    Statement
  >;
  private readonly sweeps: Statement[];

  constructor(db: Database) {
    this.statements = {
      link: db.prepare('SELECT used FROM links WHERE link = ?'),
      lease: db.prepare('SELECT state FROM leases WHERE link = ? AND lease = ?'),
      ofClient: db.prepare(
        'SELECT lease, state FROM leases WHERE link = ? AND client = ? ORDER BY opened_at DESC LIMIT 1',
      ),
      all: db.prepare('SELECT state FROM leases WHERE link = ?'),
      putLink: db.prepare(
        `INSERT INTO links (link, used, keep_until) VALUES (?, ?, ?)
         ON CONFLICT (link) DO UPDATE SET used = used + excluded.used, keep_until = max(keep_until, excluded.keep_until)`,
      ),
      addLease: db.prepare(
        'INSERT INTO leases (link, lease, client, opened_at, keep_until, state) VALUES (?, ?, ?, ?, ?, ?)',
      ),
      putLease: db.prepare('UPDATE leases SET state = ? WHERE link = ? AND lease = ?'),
      dropLease: db.prepare('DELETE FROM leases WHERE link = ? AND lease = ?'),
      dropLink: db.prepare('DELETE FROM links WHERE link = ? AND used = 0'),
    };
    this.sweeps = ['links', 'leases'].map((table) => {
      const key = table === 'links' ? 'link' : 'link, lease';
      return db.prepare(
        `DELETE FROM ${table} WHERE (${key}) IN (SELECT ${key} FROM ${table} WHERE keep_until <= ? LIMIT ${SWEPT})`,
      );
    });
  }

  used(link: string): number {
    return Number(this.statements.link.get(link)?.used ?? 0);
  }

  lease(link: string, id: string | undefined): Lease | undefined {
    const row = id === undefined ? undefined : this.statements.lease.get(link, id);
    return row && (JSON.parse(String(row.state)) as Lease);
  }

  joinable(
    link: string,
    id: string | undefined,
    client: string | undefined,
    now: number,
    terms: LeaseTerms,
  ): { id: string; lease: Lease } | undefined {
    const named = this.lease(link, id);
    if (id !== undefined && named && isOpen(named, now, terms)) {
      return { id, lease: named };
    }
    const row = client === undefined ? undefined : this.statements.ofClient.get(link, client);
    const lease = row && (JSON.parse(String(row.state)) as Lease);
    return lease && isOpen(lease, now, terms) ? { id: String(row.lease), lease } : undefined;
  }

  /** Writes a new lease and counts it. */
  add(link: string, id: string, lease: Lease, keepUntil: number, terms: LeaseTerms): void {
    const { client = null, openedAt } = lease;
    // The lease is of no interest once its life is over; that it was used, until the link has expired.
    const over = openedAt + terms.life;
    this.statements.putLink.run(link, 1, keepUntil);
    this.statements.addLease.run(link, id, client, openedAt, over, JSON.stringify(lease));
  }

  /** Writes what has become of a lease. */
  put(link: string, id: string, lease: Lease, keepUntil: number): void {
    this.statements.putLink.run(link, 0, keepUntil);
    this.statements.putLease.run(JSON.stringify(lease), link, id);
  }

  giveBack(link: string, id: string, keepUntil: number): void {
    this.statements.dropLease.run(link, id);
    this.statements.putLink.run(link, -1, keepUntil);
    this.statements.dropLink.run(link);
  }

  usage(link: string): LinkUsage {
    const leases = this.statements.all.all(link).map((row) => JSON.parse(String(row.state)) as Lease);
    return { used: this.used(link), leases: leases.map(leaseUsage) };
  }

  /** Forgets some of what has expired. */
  sweep(now: number): void {
    this.sweeps.forEach((statement) => statement.run(now));
  }
}
