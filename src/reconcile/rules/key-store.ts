/**
 * Both answers of a rule by key, in a temporary SQLite database: it keeps a few megabytes in memory and spills the rest to a
 * file that nobody else sees and that goes with it. Neither side could sort the other's keys: Cassandra answers by token.
 */
import { DatabaseSync, type StatementSync } from 'node:sqlite';

/** SQLite's page cache, KiB: the memory of a comparison, however many keys there are. */
const CACHE_KIB = 8_192;

export type Side = 'source' | 'target';

export interface KeyRow {
  readonly key: string;
  /** JSON text of the values; null where the side has no such key. */
  readonly source: string | null;
  readonly target: string | null;
}

export class KeyStore {
  readonly #database = new DatabaseSync('');
  readonly #add: Readonly<Record<Side, StatementSync>>;

  constructor() {
    this.#database.exec(
      `PRAGMA cache_size = -${CACHE_KIB}; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
       CREATE TABLE both (key TEXT PRIMARY KEY, source TEXT, target TEXT) WITHOUT ROWID`,
    );
    const adding = (side: Side): StatementSync =>
      this.#database.prepare(
        `INSERT INTO both (key, ${side}) VALUES (?, ?)
         ON CONFLICT (key) DO UPDATE SET ${side} = excluded.${side} WHERE both.${side} IS NULL`,
      );
    this.#add = { source: adding('source'), target: adding('target') };
  }

  /** Adds rows of one side in one go. @returns the first key that this side had already, or null. */
  add(side: Side, rows: readonly (readonly [key: string, values: string])[]): string | null {
    const statement = this.#add[side];
    this.#database.exec('BEGIN');
    for (const [key, values] of rows) {
      if (statement.run(key, values).changes === 0) return key;
    }
    this.#database.exec('COMMIT');
    return null;
  }

  /** Every key once, in the order of its text. */
  rows(): IterableIterator<KeyRow> {
    return this.#database
      .prepare('SELECT key, source, target FROM both ORDER BY key')
      .iterate() as IterableIterator<never>;
  }

  close(): void {
    this.#database.close();
  }
}
