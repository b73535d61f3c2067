import { type RevocationListener } from '../lease-store.js';
import { type Revocation, revocationNames } from '../revocation.js';
import { type Database, type Statement } from './node-sqlite.js';

/** Milliseconds between looks for what other processes revoked. */
const LOOK_EVERY = 200;

/** The revocations of the file, in the order in which they were made. */
export class RevocationRows {
  private readonly find: Statement;
  private readonly put: Statement;
  private readonly after: Statement;
  private readonly last: Statement;
  private readonly sweep: Statement;
  private readonly listeners = new Set<RevocationListener>();
  private timer?: NodeJS.Timeout;
  private seen = 0;

  constructor(db: Database) {
    this.find = db.prepare('SELECT issued_before FROM revocations WHERE kind = ? AND name = ?');
    // Replacing gives the row a new number, which is what tells the other processes.
    this.put = db.prepare(
      `REPLACE INTO revocations (kind, name, issued_before, keep_until)
       SELECT ?1, ?2, max(?3, ifnull(max(issued_before), 0)), max(?4, ifnull(max(keep_until), 0))
       FROM revocations WHERE kind = ?1 AND name = ?2`,
    );
    this.after = db.prepare('SELECT * FROM revocations WHERE seq > ? ORDER BY seq');
    this.last = db.prepare("SELECT seq FROM sqlite_sequence WHERE name = 'revocations'");
    this.sweep = db.prepare('DELETE FROM revocations WHERE keep_until <= ?');
  }

  before(link: { linkId: string; resource: string; subject?: string }): number {
    let latest = 0;
    for (const [kind, name] of revocationNames(link)) {
      latest = Math.max(latest, Number(this.find.get(kind, name)?.issued_before ?? 0));
    }
    return latest;
  }

  add({ kind, name, issuedBefore, keepUntil }: Revocation, now: number): void {
    this.sweep.run(now);
    this.put.run(kind, name, issuedBefore, keepUntil);
  }

  subscribe(listener: RevocationListener): () => void {
    if (this.listeners.size === 0) {
      this.seen = Number(this.last.get()?.seq ?? 0);
      this.timer = setInterval(() => this.look(), LOOK_EVERY).unref();
    }
    this.listeners.add(listener);
    return () => {
      this.listeners.delete(listener);
      if (this.listeners.size === 0) {
        clearInterval(this.timer);
      }
    };
  }

  /** Tells the listeners what is new. */
  look(): void {
    let rows;
    try {
      rows = this.after.all(this.seen);
    } catch {
      // Locked or unreadable at the moment: what is new is still new at the next look.
      return;
    }
    for (const row of rows) {
      this.seen = Number(row.seq);
      const revocation = {
        kind: row.kind as Revocation['kind'],
        name: String(row.name),
        issuedBefore: Number(row.issued_before),
        keepUntil: Number(row.keep_until),
      };
      this.listeners.forEach((listener) => listener.revoked(revocation));
    }
  }

  close(): void {
    clearInterval(this.timer);
    this.listeners.clear();
  }
}
