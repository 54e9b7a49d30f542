/** Looks one change ID up in the ledger. */
import type { Pool } from 'pg';
import type { ChangeId } from '../../change/change-id.ts';
import type { Outcome } from '../batch.ts';
import { classifyPostgresError } from '../postgres-errors.ts';
import { qualified } from '../sql-text.ts';

/** One segment that holds the ID. */
export interface LedgerHit {
  readonly table: string | null;
  readonly outcome: Outcome;
  /** stream, redrive, replay. */
  readonly origin: string;
  readonly topic: string;
  readonly incarnation: number;
  readonly partition: number;
  /** The batch's records: [from, next). */
  readonly from: bigint;
  readonly next: bigint;
  readonly processedMs: number;
}

const OUTCOMES: readonly Outcome[] = ['processed', 'filtered', 'dead_lettered'];
const ID_BYTES = 16;

/** Every segment that holds the ID, oldest first. The index by the segments' smallest and largest ID narrows them down. */
export async function findInLedger(pool: Pool, controlSchema: string, id: ChangeId): Promise<readonly LedgerHit[]> {
  try {
    const { rows } = await pool.query<Record<string, string | null>>(
      `SELECT t.source, l.origin, l.topic, l.incarnation, l.partition, l.from_offset, l.next_offset, l.ids, l.outcomes,
         (extract(epoch FROM l.processed_at) * 1000)::bigint AS ms
       FROM ${qualified(controlSchema, '_cdc_tables')} AS t
       JOIN ${qualified(controlSchema, '_cdc_ledger')} AS l ON l.table_id = t.id AND l.min_id <= $1 AND l.max_id >= $1
       ORDER BY l.processed_at`,
      [id],
    );
    return rows.flatMap((row) => {
      const at = positionOf(row['ids'] ?? '\\x', id);
      if (at === null) return [];
      const outcomeByte = Number.parseInt((row['outcomes'] ?? '').slice(2 + at * 2, 4 + at * 2), 16);
      return [
        {
          table: row['source'] ?? null,
          outcome: OUTCOMES[outcomeByte] ?? 'dead_lettered',
          origin: row['origin'] ?? '',
          topic: row['topic'] ?? '',
          incarnation: Number(row['incarnation']),
          partition: Number(row['partition']),
          from: BigInt(row['from_offset'] ?? '0'),
          next: BigInt(row['next_offset'] ?? '0'),
          processedMs: Number(row['ms']),
        },
      ];
    });
  } catch (error) {
    throw classifyPostgresError(error, `looking for ${id} in the ledger`, true);
  }
}

/** Which of the packed IDs (`\x…`, 32 digits each) it is, or null. */
function positionOf(packed: string, id: ChangeId): number | null {
  for (let at = packed.indexOf(id, 2); at >= 0; at = packed.indexOf(id, at + 1)) {
    // The same digits across two neighbours are no ID.
    if ((at - 2) % (ID_BYTES * 2) === 0) return (at - 2) / (ID_BYTES * 2);
  }
  return null;
}
