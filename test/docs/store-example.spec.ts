import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { describeLeaseStore } from '../../lib/leases/testing/index.js';
import { textOf } from './support/pages.js';
import { TableLeaseStore } from './support/table-store.js';
import type { Item, ItemChange, Table } from './support/table-store.js';

/** A table in memory whose answers take a turn of the event loop, and its items the way through JSON. */
class FakeTable implements Table {
  private readonly items = new Map<string, string>();

  async get(key: string, sortKeys: readonly string[]): Promise<Item[]> {
    await turn();
    return sortKeys.map((sortKey) => this.item(key, sortKey)).filter((item) => item !== undefined);
  }

  async query(key: string, after = ''): Promise<Item[]> {
    await turn();
    const keys = [...this.items.keys()].filter((name) => name.startsWith(`${key}/`)).sort();
    const sortKeys = keys.map((name) => name.slice(key.length + 1)).filter((sortKey) => sortKey > after);
    return sortKeys.map((sortKey) => this.item(key, sortKey)!);
  }

  async write(items: readonly ItemChange[]): Promise<boolean> {
    await turn();
    if (items.some(({ key, sortKey, was }) => this.item(key, sortKey)?.version !== was)) {
      return false;
    }
    for (const { key, sortKey, version, value } of items) {
      if (value) {
        this.items.set(`${key}/${sortKey}`, JSON.stringify({ sortKey, version, value }));
      } else {
        this.items.delete(`${key}/${sortKey}`);
      }
    }
    return true;
  }

  private item(key: string, sortKey: string): Item | undefined {
    const text = this.items.get(`${key}/${sortKey}`);
    return text === undefined ? undefined : (JSON.parse(text) as Item);
  }
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('the store that docs/stores.md has as an example', () => {
  it('is the one that is tested here', () => {
    const code = readFileSync(new URL('./support/table-store.ts', import.meta.url), 'utf8');
    expect(textOf('docs/stores.md')).toContain(`\`\`\`ts\n${code}\`\`\`\n`);
  });

  describeLeaseStore({
    test: it,
    create: () => {
      const table = new FakeTable();
      return { store: new TableLeaseStore(table), other: new TableLeaseStore(table) };
    },
  });
});
