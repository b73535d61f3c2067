/**
 * Objects that come and go with requests, in no order. A Set replaces its table again and again then, and a
 * table that has grown old keeps what it held, and the tables after it, in memory until a full collection.
 */
export class Bag<Item> implements Iterable<Item> {
  readonly #items: Item[] = [];

  get size(): number {
    return this.#items.length;
  }

  add(item: Item): void {
    this.#items.push(item);
  }

  delete(item: Item): void {
    const place = this.#items.indexOf(item);
    if (place >= 0) {
      this.#items[place] = this.#items.at(-1)!;
      this.#items.pop();
    }
  }

  /** What is in it now: it may change meanwhile. */
  [Symbol.iterator](): Iterator<Item> {
    return [...this.#items][Symbol.iterator]();
  }
}
