import type { LeaseStore, LinkCommit, LinkQuery, LinkState, RecordChange } from '../../../lib/index.js';

/** What a link has in memory of a record that is not written yet. */
interface Deferred extends RecordChange {
  readonly commit: LinkCommit;
}

/** A store that writes the progress of downloads to another store only when it is told to. */
export class DeferringStore implements LeaseStore {
  readonly open: LeaseStore['open'];
  readonly revoke: LeaseStore['revoke'];
  readonly subscribe: LeaseStore['subscribe'];
  private readonly links = new Map<string, Map<string, Deferred>>();

  constructor(private readonly inner: LeaseStore) {
    this.open = inner.open.bind(inner);
    this.revoke = inner.revoke.bind(inner);
    this.subscribe = inner.subscribe.bind(inner);
  }

  async read(query: LinkQuery): Promise<LinkState> {
    const state = await this.inner.read(query);
    const deferred = this.links.get(query.linkId);
    const records = state.records.map((record) => {
      const { version, value } = deferred?.get(record.id) ?? record;
      return { id: record.id, version, value: value! };
    });
    return { ...state, records };
  }

  async commit(commit: LinkCommit): Promise<boolean> {
    const deferred = this.links.get(commit.linkId) ?? new Map<string, Deferred>();
    // Only what exists is deferred: nothing then hides a record that another process adds or removes
    if (commit.deferrable && commit.changes.every(({ was, value }) => was !== undefined && value)) {
      const state = await this.read({
        ...commit,
        records: commit.changes.map(({ id }) => id),
        revocations: [],
      });
      const versions = new Map(state.records.map(({ id, version }) => [id, version]));
      if (commit.changes.some(({ id, was }) => versions.get(id) !== was)) {
        return false;
      }
      for (const change of commit.changes) {
        const was = deferred.get(change.id)?.was ?? change.was;
        deferred.set(change.id, { ...change, was, commit });
      }
      this.links.set(commit.linkId, deferred);
      return true;
    }
    const changes = commit.changes.map((change) => {
      const known = deferred.get(change.id);
      return known?.version === change.was ? { ...change, was: known?.was } : change;
    });
    const done = await this.inner.commit({ ...commit, changes });
    commit.changes.forEach(({ id }) => deferred.delete(id));
    return done;
  }

  /** Writes what waits; what no longer fits is lost. */
  async flush(): Promise<void> {
    for (const deferred of this.links.values()) {
      for (const { commit, ...change } of deferred.values()) {
        await this.inner.commit({ ...commit, changes: [change] });
      }
    }
    this.links.clear();
  }

  async close(): Promise<void> {
    await this.flush();
    await this.inner.close();
  }
}
