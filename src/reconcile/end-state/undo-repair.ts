/** Takes a repair back: the same compare-and-set with the images exchanged (DESIGN §7). */
import { rowKey } from '../../change/change-event.ts';
import { LockstepError } from '../../shared/errors.ts';
import type { AuditEntry } from '../../target/stores/audit-log.ts';
import type { ShardId } from '../../target/batch.ts';
import type { BoundTable } from '../../target/bound-table.ts';
import type { FindingStore } from '../../target/stores/finding-store.ts';
import { observationFrom } from '../../target/observation-document.ts';
import type { RepairDoor, RepairOutcome } from '../../target/repair-door.ts';
import type { Statement } from '../../target/transaction.ts';

export interface UndoParts {
  readonly table: BoundTable;
  readonly repairs: Pick<RepairDoor, 'session'>;
  readonly findings: Pick<FindingStore, 'load' | 'undone'>;
  readonly audit: (entry: AuditEntry) => Statement;
  readonly shard: ShardId;
  readonly by: string;
  readonly reason: string;
}

export type UndoOutcome = { readonly kind: 'applied' } | Exclude<RepairOutcome, { readonly kind: 'applied' }>;

/**
 * `stale`: the row has changed since the repair, so nothing was written. From then on the difference counts as accepted.
 *
 * @throws LockstepError `usage` where the finding was not repaired or its repair was taken back before; `GATE_BUSY`
 * (transient) where the stream holds the table.
 */
export async function undoRepair(parts: UndoParts, findingId: bigint): Promise<UndoOutcome> {
  const { table, findings, by, reason } = parts;
  const finding = await findings.load(findingId);
  const { before, after } = finding;
  if (before === null || after === null || finding.status === 'IGNORED' || finding.table !== table.table.name) {
    throw new LockstepError(`finding ${findingId} has no repair that could be taken back: it is ${finding.status}`, {
      code: 'FINDING_NOT_REPAIRED',
      kind: 'usage',
      remedy: 'name a finding that was repaired: lockstep reconcile findings --status AUTO_RESOLVED',
    });
  }
  const key = rowKey(JSON.parse(finding.rowKey) as string[]);
  const observed = observationFrom(table, key, after);
  const former = observationFrom(table, key, before);
  const differs = table.regular.map((_, i) => observed.row?.values[i] !== former.row?.values[i]);
  const wanted =
    former.row === null
      ? null
      : {
          // A value that no change wrote has no write time: any that is not above the others will do.
          cells: former.row.values.map((value, i) => {
            const cell = former.row?.state.cells[i] ?? null;
            return cell ?? (value === null ? null : { writeTime: 0n, value, expiry: null });
          }),
        };
  return parts.repairs.session(async (session) => {
    const { sequence } = await session.observe(table.table.name, []);
    const [outcome] = await session.repair({
      table: table.table.name,
      shard: parts.shard,
      repairs: [{ observed, wanted, differs, sequence }],
      dryRun: false,
      also: ([result]) =>
        result?.kind === 'applied'
          ? [
              ...findings.undone(findingId, by, reason),
              parts.audit({
                actor: by,
                action: 'UNDO_REPAIR',
                table: table.table.name,
                rowKey: finding.rowKey,
                reason,
                before: after.row,
                after: before.row,
                outcome: 'applied',
              }),
            ]
          : [],
    });
    return outcome === undefined || outcome.kind === 'applied' ? { kind: 'applied' } : outcome;
  });
}
