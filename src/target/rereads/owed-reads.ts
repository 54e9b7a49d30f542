/** What a batch's changes leave to the source, and what of them is applied without it. */
import type { ChangeEvent, PartitionDelete, RangeDelete } from '../../change/change-event.ts';
import { isTimeless, triggerOf, type RereadPolicy } from '../../change/hint.ts';
import type { ApplyBatch } from '../batch.ts';
import type { BoundTable } from '../bound-table.ts';
import { boundsText } from '../control-statements.ts';
import type { RereadQueue } from './reread-queue.ts';
import type { OwedRead } from '../row-plan.ts';
import type { Statement } from '../transaction.ts';

function saysNothing(change: ChangeEvent): boolean {
  if (isTimeless(change)) return true;
  return change.kind === 'write' && change.marker === null && change.cells.every((cell) => cell === null);
}

/** The changes as far as they are certain: hints of which nothing can be applied are left out. */
export function certainOf(batch: Pick<ApplyBatch, 'changes'>, { policy }: BoundTable): readonly ChangeEvent[] {
  const changes = batch.changes.map((entry) => entry.change);
  if (policy === null) return changes;
  return changes.filter((change) => change.hint === undefined || !saysNothing(change));
}

function leavesReads(change: PartitionDelete | RangeDelete, policy: RereadPolicy): boolean {
  return change.hint !== undefined || policy.multiCell.includes(true);
}

/** The queue entries of a batch: its hints, its partition and range deletes, and what its merge asks for. */
export function owedReads(
  queue: RereadQueue,
  batch: Pick<ApplyBatch, 'changes' | 'shard'>,
  bound: BoundTable,
  merged: readonly OwedRead[],
  nowUs: bigint,
): readonly Statement[] {
  const { policy } = bound;
  if (policy === null) return [];
  const names = bound.regular.map(({ column }) => column.name);
  const owed: OwedRead[] = [...merged];
  const statements: Statement[] = [];
  for (const { change } of batch.changes) {
    if (change.kind === 'write' || change.kind === 'row-delete') {
      if (change.hint !== undefined) {
        owed.push({ key: change.key, trigger: triggerOf(change.hint, change.writeTime, names) });
      }
    } else if (leavesReads(change, policy)) {
      const timeless = isTimeless(change);
      const expansion = {
        bounds: change.kind === 'range-delete' ? boundsText(change) : null,
        writeTime: timeless ? null : change.writeTime,
        after: null,
      };
      statements.push(...queue.addExpansion(batch.shard, bound.id, change.partition.text, expansion, nowUs));
    }
  }
  statements.push(...queue.add(batch.shard, bound.id, owed, nowUs));
  return statements;
}

/** A read that is queued through another shard than its row's own. */
export function asForeign({ key, trigger }: OwedRead): OwedRead {
  return { key, trigger: { ...trigger, foreign: true } };
}
