import type { Pool } from 'pg';
import { classifyPostgresError } from '../postgres-errors.ts';
import { qualified } from '../sql-text.ts';

/** PostgreSQL's own clock, ms since the epoch: what stands in its tables was stamped by it, and no other may be compared. */
export async function databaseNowMs(pool: Pool): Promise<number> {
  try {
    const { rows } = await pool.query<{ ms: string }>(
      'SELECT ceil(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS ms',
    );
    return Number(rows[0]?.ms);
  } catch (error) {
    throw classifyPostgresError(error, 'asking for the time');
  }
}

/**
 * Work of a table that was queued before a moment and is not done: re-reads, existence checks, dead letters that wait for
 * another row. While there is any, not everything that has been consumed has reached its rows (the barrier of DESIGN §7).
 * What is to be read when something expires later is not owed before that. `atMs` is by PostgreSQL's clock.
 */
export async function queuedBefore(pool: Pool, controlSchema: string, table: string, atMs: number): Promise<number> {
  const of = (name: string): string => qualified(controlSchema, name);
  try {
    const { rows } = await pool.query<{ n: string }>(
      `SELECT (SELECT count(*) FROM ${of('_cdc_queue')} AS q JOIN ${of('_cdc_tables')} AS t ON t.id = q.table_id
               WHERE t.source = $1 AND q.kind <> 'expiry' AND q.queued_at <= to_timestamp($2 / 1000.0)
                 AND (q.due_us <= $2::bigint * 1000 OR NOT q.trigger @> '[{"later": true}]'))
            + (SELECT count(*) FROM ${of('_cdc_dead_letters')} AS d JOIN ${of('_cdc_tables')} AS t ON t.topic = d.topic
               WHERE t.source = $1 AND d.status = 'waiting' AND d.first_failed_at <= to_timestamp($2 / 1000.0)) AS n`,
      [table, atMs],
    );
    return Number(rows[0]?.n ?? 0);
  } catch (error) {
    throw classifyPostgresError(error, `counting queued work of ${table}`);
  }
}
