/** Sends changes that a window lacked through the outside door, with their IDs into the ledger. */
import { LockstepError, messageOf } from '../../shared/errors.ts';
import type { BatchChange, ShardId } from '../../target/batch.ts';
import type { OutsideOutcome } from '../../target/outside-door.ts';
import type { PacedDoor } from '../../target/paced-door.ts';

/** Changes in one transaction under the exclusive gate: ≤ 50 ms of holding it (DESIGN §5). */
const BATCH_CHANGES = 50;

/** What became of one change. */
export type MissedOutcome = { readonly kind: OutsideOutcome } | { readonly kind: 'failed'; readonly reason: string };

/**
 * Resolves with what became of each change, in their order. A change that the target refuses delays none of the others.
 * Rejects where the target does not answer, or the signal aborts: what was applied until then is in the ledger.
 */
export async function applyMissed(
  door: PacedDoor,
  shard: ShardId,
  table: string,
  changes: readonly BatchChange[],
  signal: AbortSignal,
): Promise<readonly MissedOutcome[]> {
  const outcomes: MissedOutcome[] = [];
  for (let at = 0; at < changes.length; at += BATCH_CHANGES) {
    outcomes.push(...(await applyBatch(door, shard, table, changes.slice(at, at + BATCH_CHANGES), signal)));
  }
  return outcomes;
}

async function applyBatch(
  door: PacedDoor,
  shard: ShardId,
  table: string,
  changes: readonly BatchChange[],
  signal: AbortSignal,
): Promise<readonly MissedOutcome[]> {
  try {
    const outcomes = await door.apply(
      { shard, table, origin: 'replay', changes, also: () => [], dryRun: false },
      signal,
    );
    return outcomes.map((kind) => ({ kind }));
  } catch (error) {
    if (!(error instanceof LockstepError) || error.kind !== 'row') throw error;
    if (changes.length === 1) return [{ kind: 'failed', reason: messageOf(error) }];
    const middle = Math.ceil(changes.length / 2);
    return [
      ...(await applyBatch(door, shard, table, changes.slice(0, middle), signal)),
      ...(await applyBatch(door, shard, table, changes.slice(middle), signal)),
    ];
  }
}
