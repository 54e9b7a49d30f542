import type { Pool } from 'pg';
import { classifyPostgresError } from '../postgres-errors.ts';
import { qualified } from '../sql-text.ts';

/** Records that were gone from Kafka before they were read, and that nothing accounts for yet. */
export interface OpenGap {
  readonly topic: string;
  readonly partition: number;
  /** Offsets [from, to). */
  readonly from: bigint;
  readonly to: bigint;
  /** Time of the record before them, ms since the epoch by Kafka's clock; null where there was none. */
  readonly afterMs: number | null;
  /** When they were found gone, by PostgreSQL's clock. */
  readonly foundMs: number;
}

/**
 * The gaps of a table. A comparison of every row that began after a gap was found, and passed, accounts for it: whatever the
 * records said, the target shows what the source shows. Rejects with a classified LockstepError.
 *
 * @param comparison Kind of the jobs that compare.
 */
export async function openGaps(
  pool: Pool,
  controlSchema: string,
  table: string,
  comparison: string,
): Promise<readonly OpenGap[]> {
  const of = (name: string): string => qualified(controlSchema, name);
  try {
    const { rows } = await pool.query<Record<string, string | null>>(
      `SELECT g.topic, g.partition, g.from_offset, g.to_offset, g.after_ms,
         (extract(epoch FROM g.found_at) * 1000)::bigint AS found_ms
       FROM ${of('_cdc_gaps')} AS g JOIN ${of('_cdc_tables')} AS t ON t.topic = g.topic
       WHERE t.source = $1 AND NOT EXISTS (
         SELECT 1 FROM ${of('_cdc_jobs')} AS j WHERE j.kind = $2 AND j.verdict = 'PASS' AND j.started_at > g.found_at
           AND j.parameters ->> 'table' = t.source AND j.parameters ->> 'strategy' = 'CHECKSUM')`,
      [table, comparison],
    );
    return rows.map((row) => ({
      topic: row['topic'] ?? '',
      partition: Number(row['partition']),
      from: BigInt(row['from_offset'] ?? '0'),
      to: BigInt(row['to_offset'] ?? '0'),
      afterMs: row['after_ms'] == null ? null : Number(row['after_ms']),
      foundMs: Number(row['found_ms']),
    }));
  } catch (error) {
    throw classifyPostgresError(error, `reading the gaps of ${table}`, true);
  }
}
