import { LRUCache } from 'lru-cache';
import type { Pool } from 'pg';
import { textArray } from './sql-text.ts';

/** A constraint may be altered while we run: what was read is believed this long. */
const KEEP_MS = 60_000;
const MAX_KEPT = 1_000;

/** Of CHECKs, keys and foreign keys; a unique index needs no constraint. Expressions in an index are no columns. */
const CONSTRAINT_COLUMNS = `SELECT DISTINCT a.attname::text
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN (SELECT conrelid AS relid, conname AS name, conkey AS columns FROM pg_constraint
        UNION ALL SELECT i.indrelid, x.relname, i.indkey::smallint[] FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid) k
    ON k.relid = c.oid AND k.name = $3
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (k.columns) AND a.attnum > 0
  WHERE n.nspname = $1 AND c.relname = $2 ORDER BY 1`;

/** Triggers of users may change the key of a row, or write other rows. */
const BEGINS_WITH = `SELECT
    (SELECT array_agg(first.name ORDER BY first.place) FROM (
       SELECT a.attname::text AS name, a.attnum AS place FROM pg_attribute a
       WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
       ORDER BY a.attnum LIMIT cardinality($3::text[])) AS first) = $3::text[]
    AND NOT EXISTS (SELECT 1 FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2`;

/** A table as PostgreSQL names it. */
export interface TargetName {
  readonly schema: string;
  readonly table: string;
}

/**
 * What the catalogue of the target says about refusals. Asked outside any transaction, seldom, and never in the way: where
 * it can't be asked, nothing is known.
 */
export class TargetCatalogue {
  readonly #pool: Pool;
  readonly #kept = new LRUCache<string, readonly (string | null)[]>({ max: MAX_KEPT, ttl: KEEP_MS });

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  /** Columns of a constraint or unique index, by name; empty where there is none of that name. */
  async columnsOf({ schema, table }: TargetName, constraint: string): Promise<readonly string[]> {
    const names = await this.#ask(CONSTRAINT_COLUMNS, [schema, table, constraint]);
    return names.filter((name) => name !== null);
  }

  /**
   * Whether "Failing row contains (…" of this table begins with these columns and is a row that was sent: they are its
   * first ones, and no trigger has a hand in it.
   */
  async beginsWith({ schema, table }: TargetName, columns: readonly string[]): Promise<boolean> {
    return (await this.#ask(BEGINS_WITH, [schema, table, textArray(columns)]))[0] === 't';
  }

  /** The first column of the answer. */
  async #ask(text: string, values: readonly string[]): Promise<readonly (string | null)[]> {
    const key = JSON.stringify([text, ...values]);
    const kept = this.#kept.get(key);
    if (kept !== undefined) return kept;
    try {
      const { rows } = await this.#pool.query<(string | null)[]>({ text, values: [...values], rowMode: 'array' });
      const found = rows.map(([value = null]) => value);
      this.#kept.set(key, found);
      return found;
    } catch {
      // The refusal itself is what is told of.
      return [];
    }
  }
}
