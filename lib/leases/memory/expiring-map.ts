/**
 * Entries looked at per insertion: more than one, so that what expires is found faster than entries are
 * added.
 */
const LOOKED_AT = 4;

/** How often a full map is searched for what has expired, ms. */
const FULL_SEARCH_EVERY = 1000;

interface Expiring {
  readonly keepUntil: number;
}

/** A map of bounded size that forgets expired entries: a few with each insertion, so it needs no timer. */
export class ExpiringMap<V extends Expiring> {
  private readonly map = new Map<string, V>();
  private unseen = this.map.entries();
  private searchedAt = -Infinity;

  /** @param dropped is told of each entry that was forgotten */
  constructor(
    private readonly capacity: number,
    private readonly dropped: (value: V) => void = () => {},
  ) {}

  get size(): number {
    return this.map.size;
  }

  get(key: string): V | undefined {
    return this.map.get(key);
  }

  set(key: string, value: V): void {
    this.map.set(key, value);
  }

  delete(key: string): void {
    this.map.delete(key);
  }

  /**
   * Makes room for one more.
   *
   * @param size what counts against the capacity
   * @throws Error if the map is full and nothing has expired
   */
  makeRoom(now: number, size: () => number = () => this.map.size): void {
    for (let i = 0; i < LOOKED_AT; i++) {
      const { done, value } = this.unseen.next();
      if (done) {
        this.unseen = this.map.entries();
        break;
      }
      this.dropExpired(value, now);
    }
    const mayHaveExpired = now >= this.searchedAt + FULL_SEARCH_EVERY || now < this.searchedAt;
    if (size() >= this.capacity && mayHaveExpired) {
      this.searchedAt = now;
      for (const entry of this.map) {
        this.dropExpired(entry, now);
      }
    }
    if (size() >= this.capacity) {
      throw new Error(
        `The memory store is full (${this.capacity} entries, none expired). ` +
          'Give it a larger capacity, or use the SQLite or Redis store.',
      );
    }
  }

  private dropExpired([key, value]: [string, V], now: number): void {
    if (value.keepUntil <= now) {
      this.map.delete(key);
      this.dropped(value);
    }
  }
}
