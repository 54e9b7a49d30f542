/**
 * Which table of the source the rows of a target are from. Cassandra gives every table an id; another one under the same
 * name means that the table was dropped and created again, also while nothing ran ⚠ (compared with what was read at the
 * start, a new table is never another one). The id stands in `_cdc_tables`.
 */
import type { Pool } from 'pg';
import type { BoundTable } from './bound-table.ts';
import { classifyPostgresError } from './postgres-errors.ts';
import { numberArray, qualified } from './sql-text.ts';
import { checkCommitted, gateStatement, pipeline, rollback } from './transaction.ts';

export class SourceIdentity {
  readonly #pool: Pool;
  readonly #schema: string;
  readonly #tables: string;

  constructor(pool: Pool, controlSchema: string) {
    this.#pool = pool;
    this.#schema = controlSchema;
    this.#tables = qualified(controlSchema, '_cdc_tables');
  }

  /**
   * The id that the target's rows are from. Where none was noted yet, this one is, so that members that start together
   * agree. Rejects with a classified LockstepError.
   */
  async firstOf({ id, table }: BoundTable, sourceId: string): Promise<string> {
    try {
      const { rows } = await this.#pool.query<{ source_id: string }>(
        `UPDATE ${this.#tables} SET source_id = coalesce(source_id, $2) WHERE id = $1 RETURNING source_id`,
        [id, sourceId],
      );
      return rows[0]?.source_id ?? sourceId;
    } catch (error) {
      throw classifyPostgresError(error, `comparing the source of ${table.name}`, true);
    }
  }

  /** Goes on with the new table although the target holds rows of the former one. */
  async ignore({ id, table }: BoundTable, sourceId: string): Promise<void> {
    try {
      await this.#pool.query(`UPDATE ${this.#tables} SET source_id = $2 WHERE id = $1`, [id, sourceId]);
    } catch (error) {
      throw classifyPostgresError(error, `noting the new source of ${table.name}`, true);
    }
  }

  /**
   * Goes on with the new table if the target is empty, in one transaction under the exclusive gates: tombstones, versions
   * and queued work of the former table are gone with it. Records of the former table may still be in the topic; so what
   * was written until now is behind the horizon: only the source tells what of it is there.
   *
   * @param bounds the table, and that of its static columns if it has one.
   * @returns false where a target still holds rows; nothing was done then.
   */
  async accept(bounds: readonly BoundTable[], sourceId: string): Promise<boolean> {
    const client = await this.#pool.connect();
    let healthy = true;
    const inOrder = [...bounds].sort((a, b) => a.id - b.id);
    const ids = numberArray(inOrder.map(({ id }) => id));
    try {
      const answers = await pipeline(client, [
        { text: 'BEGIN' },
        ...inOrder.map(({ id }) => ({ text: gateStatement('exclusive'), values: [id] })),
        ...inOrder.map(({ target }) => ({ text: `SELECT EXISTS (SELECT FROM ${target})` })),
      ]);
      if (answers.slice(-inOrder.length).some((answer) => answer.rows[0]?.[0] !== 'f')) {
        healthy = await rollback(client);
        return false;
      }
      const forget = ['_cdc_graveyard', '_cdc_range_tombstones', '_cdc_queue'].map((name) => ({
        text: `DELETE FROM ${qualified(this.#schema, name)} WHERE table_id = ANY ($1::integer[])`,
        values: [ids],
      }));
      const done = await pipeline(client, [
        ...forget,
        {
          text: `UPDATE ${this.#tables} SET source_id = $2,
                   purged_until = greatest(purged_until, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
                 WHERE id = ANY ($1::integer[])`,
          values: [ids, sourceId],
        },
        { text: 'COMMIT' },
      ]);
      checkCommitted(done.at(-1));
      return true;
    } catch (error) {
      healthy = await rollback(client);
      throw classifyPostgresError(error, `accepting the new source of ${bounds[0]?.table.name ?? 'a table'}`);
    } finally {
      client.release(!healthy);
    }
  }
}
