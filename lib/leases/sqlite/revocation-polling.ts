import type { RevocationListener } from '../lease-store.js';
import type { Row, Statement } from './sqlite-connection.js';

/** How often to look for what other processes revoked, ms. */
const LOOK_EVERY = 200;

const AFTER = 'SELECT * FROM revocations WHERE seq > ? ORDER BY seq';
const LAST = "SELECT seq FROM sqlite_sequence WHERE name = 'revocations'";

/** Tells listeners about revocations that any process wrote to the file, in their order. */
export class RevocationPolling {
  private readonly listeners = new Set<RevocationListener>();
  private timer?: NodeJS.Timeout;
  /** The last revocation that listeners were told of; undefined until the first look, which tells none. */
  private seen?: number;
  private failing = false;

  /** @param read reads from the file that is open at the moment */
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

  /** To be called for a new file: its revocations have other numbers. */
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
