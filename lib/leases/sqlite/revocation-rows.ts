import { type RevocationListener } from '../lease-store.js';
import { type Revocation, revocationNames } from '../revocation.js';
import { type Row, type Statement } from './sqlite-connection.js';

/** Milliseconds between looks for what other processes revoked. */
const LOOK_EVERY = 200;

const FIND = 'SELECT issued_before FROM revocations WHERE kind = ? AND name = ?';
// Replacing gives the row a new number, which is what tells the other processes.
const PUT = `REPLACE INTO revocations (kind, name, issued_before, keep_until)
  SELECT ?1, ?2, max(?3, ifnull(max(issued_before), 0)), max(?4, ifnull(max(keep_until), 0))
  FROM revocations WHERE kind = ?1 AND name = ?2`;
const SWEEP = 'DELETE FROM revocations WHERE keep_until <= ?';
const AFTER = 'SELECT * FROM revocations WHERE seq > ? ORDER BY seq';
const LAST = "SELECT seq FROM sqlite_sequence WHERE name = 'revocations'";

/** Finds the revocations that concern a link; each answers one row at the most. */
export function findRevocations(link: { linkId: string; resource: string; subject?: string }): Statement[] {
  return revocationNames(link).map((name) => ({ sql: FIND, values: name }));
}

/** The moment before which the link must not have been issued; 0 for none. */
export function revokedBefore(found: readonly Row[][]): number {
  return Math.max(0, ...found.map(([row]) => Number(row?.issued_before ?? 0)));
}

export function addRevocation({ kind, name, issuedBefore, keepUntil }: Revocation, now: number): Statement[] {
  return [
    { sql: SWEEP, values: [now] },
    { sql: PUT, values: [kind, name, issuedBefore, keepUntil] },
  ];
}

/** Tells about revocations of the file, by any process, in the order in which they were made. */
export class RevocationPolling {
  private readonly listeners = new Set<RevocationListener>();
  private timer?: NodeJS.Timeout;
  /** The last revocation that was told; undefined until the first look, which tells none. */
  private seen?: number;
  private failing = false;

  /** @param read of the file that is open at the moment */
  constructor(private readonly read: (statements: Statement[]) => Promise<Row[][]>) {}

  subscribe(listener: RevocationListener): () => void {
    this.listeners.add(listener);
    if (this.listeners.size === 1) {
      void this.look().then(() => this.lookLater());
    }
    return () => {
      this.listeners.delete(listener);
      if (this.listeners.size === 0) {
        clearTimeout(this.timer);
      }
    };
  }

  /** Another file is open: its revocations have other numbers. */
  startOver(): void {
    this.seen = undefined;
  }

  /** Tells the listeners what is new. */
  async look(): Promise<void> {
    const { seen } = this;
    try {
      const [rows] = await this.read([seen === undefined ? { sql: LAST } : { sql: AFTER, values: [seen] }]);
      this.tell(rows!, seen === undefined);
    } catch (error) {
      this.failing = true;
      this.listeners.forEach((listener) => listener.interrupted?.(error));
    }
  }

  close(): void {
    clearTimeout(this.timer);
    this.listeners.clear();
  }

  private tell(rows: Row[], first: boolean): void {
    if (first !== (this.seen === undefined)) {
      // Another look was faster.
      return;
    }
    if (first) {
      this.seen = Number(rows[0]?.seq ?? 0);
    }
    if (first || this.failing) {
      this.failing = false;
      this.listeners.forEach((listener) => listener.missed());
    }
    for (const row of first ? [] : rows) {
      if (Number(row.seq) <= this.seen!) {
        continue;
      }
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

  private lookLater(): void {
    if (this.listeners.size > 0) {
      this.timer = setTimeout(() => void this.look().then(() => this.lookLater()), LOOK_EVERY).unref();
    }
  }
}
