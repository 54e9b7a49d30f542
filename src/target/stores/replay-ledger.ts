import type { Pool } from 'pg';
import type { ChangeId } from '../../change/change-id.ts';
import type { ShardId } from '../batch.ts';
import { ControlStatements } from '../control-statements.ts';
import { classifyPostgresError } from '../postgres-errors.ts';

/**
 * Notes change IDs as processed whose rows have been proven equal to the source: what the changes wrote is there, or
 * something newer is. They have no place in a log. Rejects with a classified LockstepError.
 */
export async function noteAccounted(
  pool: Pool,
  controlSchema: string,
  tableId: number,
  shard: ShardId,
  ids: readonly ChangeId[],
): Promise<void> {
  if (ids.length === 0) return;
  const { text, values } = new ControlStatements(controlSchema).outsideSegment(
    { shard, origin: 'replay', changes: ids.map((id) => ({ id, offset: 0n })) },
    tableId,
  );
  try {
    await pool.query(text, [...(values ?? [])]);
  } catch (error) {
    throw classifyPostgresError(error, 'noting replayed changes in the ledger', true);
  }
}
