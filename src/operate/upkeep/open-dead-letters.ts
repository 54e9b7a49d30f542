import type { Pool } from 'pg';
import { classifyPostgresError } from '../../target/index.ts';
import { qualified } from '../../target/sql-text.ts';

export interface OpenLetters {
  /** Somebody has to deal with them. */
  readonly pending: number;
  /** Tried again by themselves. */
  readonly waiting: number;
}

/** Dead letters in the index that are not settled, by source table. */
export async function openDeadLetters(pool: Pool, controlSchema: string): Promise<ReadonlyMap<string, OpenLetters>> {
  const { rows } = await pool
    .query<{ source: string; pending: string; waiting: string }>(
      `SELECT t.source, count(d.id) FILTER (WHERE d.status = 'pending') AS pending,
         count(d.id) FILTER (WHERE d.status = 'waiting') AS waiting
       FROM ${qualified(controlSchema, '_cdc_tables')} t
       LEFT JOIN ${qualified(controlSchema, '_cdc_dead_letters')} d
         ON d.topic = t.topic AND d.status IN ('pending', 'waiting')
       GROUP BY t.source`,
    )
    .catch((error: unknown) => {
      throw classifyPostgresError(error, 'counting dead letters', true);
    });
  return new Map(
    rows.map(({ source, pending, waiting }) => [source, { pending: Number(pending), waiting: Number(waiting) }]),
  );
}
