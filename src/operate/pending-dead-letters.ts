import type { Pool } from 'pg';
import { classifyPostgresError } from '../target/index.ts';
import { qualified } from '../target/sql-text.ts';

/** Dead letters in the index that somebody still has to deal with, by source table (cdc_dead_letters_pending). */
export async function pendingDeadLetters(pool: Pool, controlSchema: string): Promise<ReadonlyMap<string, number>> {
  const { rows } = await pool
    .query<{ source: string; pending: string }>(
      `SELECT t.source, count(d.id) AS pending
     FROM ${qualified(controlSchema, '_cdc_tables')} t
     LEFT JOIN ${qualified(controlSchema, '_cdc_dead_letters')} d ON d.topic = t.topic AND d.status = 'pending'
     GROUP BY t.source`,
    )
    .catch((error: unknown) => {
      throw classifyPostgresError(error, 'counting dead letters', true);
    });
  return new Map(rows.map(({ source, pending }) => [source, Number(pending)]));
}
