/** The part of `node:sqlite` that is used: its types are not those of the oldest Node supported. */
export interface Database {
  exec(sql: string): void;
  prepare(sql: string): Statement;
  close(): void;
}

export interface Statement {
  get(...values: Value[]): Row | undefined;
  all(...values: Value[]): Row[];
  run(...values: Value[]): { changes: number | bigint };
}

export type Value = string | number | null;
export type Row = Record<string, Value>;

interface NodeSqlite {
  DatabaseSync: new (file: string) => Database;
}

/**
 * `node:sqlite`, looked up only when asked for, so that the module loads on a Node without it.
 *
 * @throws Error saying what to do, on Node before 22.13
 */
export function nodeSqlite(): NodeSqlite {
  const found = process.getBuiltinModule('node:sqlite') as unknown as NodeSqlite | undefined;
  if (!found) {
    throw new Error(
      `The SQLite lease store needs node:sqlite, which Node ${process.versions.node} does not have. ` +
        'Run Node 22.13 or later, or use the Redis store (nestjs-download-auth/redis), ' +
        'or the memory store if there is one process only.',
    );
  }
  return found;
}
