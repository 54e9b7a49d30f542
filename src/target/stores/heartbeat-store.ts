import type { Pool } from 'pg';
import { classifyPostgresError } from '../postgres-errors.ts';
import { qualified } from '../sql-text.ts';

/**
 * The newest heartbeat of each partition key that has come through: ms since the epoch, by the clock of the member that
 * wrote it. Rejects with a classified LockstepError.
 *
 * @param target Name of the table of heartbeats in the control schema.
 */
export async function newestHeartbeats(
  pool: Pool,
  controlSchema: string,
  target: string,
): Promise<ReadonlyMap<string, number>> {
  try {
    const { rows } = await pool.query<{ range_key: string; ms: string | null }>(
      `SELECT range_key, (extract(epoch FROM beat) * 1000)::bigint AS ms FROM ${qualified(controlSchema, target)}`,
    );
    return new Map(rows.flatMap(({ range_key: key, ms }) => (ms === null ? [] : [[key, Number(ms)] as const])));
  } catch (error) {
    throw classifyPostgresError(error, 'reading the newest heartbeats', true);
  }
}
