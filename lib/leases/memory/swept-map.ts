/** Entries looked at per insertion: two would already outrun the insertions. */
const LOOKED_AT = 4;

/** Milliseconds between full searches for room, so that a full map does not search at each insertion. */
const FULL_SEARCH_EVERY = 1000;

/**
 * A map that forgets what has expired, and nothing else. It has no timer: each insertion looks at
 * a few entries in turn, so that time and memory stay proportional to use.
 */
export class SweptMap<V extends object> {
  private readonly map = new Map<string, V>();
  private hand?: MapIterator<[string, V]>;
  private searchedAt = -Infinity;
  private weight = 0;

  constructor(
    private readonly capacity: number,
    private readonly expired: (value: V, now: number) => boolean,
    private readonly weigh: (value: V) => number = () => 1,
  ) {}

  /** What all entries weigh together. */
  get size(): number {
    return this.weight;
  }

  get(key: string): V | undefined {
    return this.map.get(key);
  }

  /** @throws Error if the map is full of what has not expired */
  set(key: string, value: V, now: number): void {
    this.sweep(now);
    const known = this.map.get(key);
    if (!known) {
      this.makeRoom(now);
    }
    this.weight += this.weigh(value) - (known ? this.weigh(known) : 0);
    this.map.set(key, value);
  }

  /** Changes an entry in place. @throws Error if it would be a further one and the map is full */
  update<T>(value: V, now: number, change: () => T, grows = false): T {
    if (grows) {
      this.makeRoom(now);
    }
    const before = this.weigh(value);
    const result = change();
    this.weight += this.weigh(value) - before;
    return result;
  }

  delete(key: string): void {
    const known = this.map.get(key);
    if (known) {
      this.weight -= this.weigh(known);
      this.map.delete(key);
    }
  }

  private sweep(now: number): void {
    this.hand ??= this.map.entries();
    for (let i = 0; i < LOOKED_AT; i++) {
      const next = this.hand.next();
      if (next.done) {
        this.hand = undefined;
        return;
      }
      this.drop(next.value, now);
    }
  }

  private makeRoom(now: number): void {
    if (this.weight < this.capacity) {
      return;
    }
    if (now >= this.searchedAt + FULL_SEARCH_EVERY || now < this.searchedAt) {
      this.searchedAt = now;
      for (const entry of this.map) {
        this.drop(entry, now);
      }
    }
    if (this.weight >= this.capacity) {
      throw new Error(
        `The memory store is full (${this.capacity} entries, none expired). Give it a larger capacity, or use the SQLite or Redis store.`,
      );
    }
  }

  private drop([key, value]: [string, V], now: number): void {
    if (this.expired(value, now)) {
      this.delete(key);
    }
  }
}
