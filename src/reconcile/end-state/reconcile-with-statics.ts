/**
 * A comparison of a table and of its static columns, which stand in a table of their own: one verdict over both. No event
 * tells of static columns, so their table is as the last backfill or repairing comparison left it.
 */
import { reconcileTable, type ReconcileParts, type ReconcileReport, type ReconcileRequest } from './reconcile-table.ts';
import { NO_REPAIRS } from './repair-drift.ts';
import type { Verdict } from './verdict.ts';

/** Row counts, digests and sample are those of the rows alone; everything else is of both. */
export interface TableReport extends ReconcileReport {
  /** Null where the table has no static columns. */
  readonly statics: ReconcileReport | null;
}

export interface StaticsRequest {
  readonly parts: ReconcileParts;
  /** Partitions with static values, roughly. */
  readonly estimatedRows: number;
}

const WORST_FIRST: readonly Verdict[] = ['DRIFT', 'INCONCLUSIVE', 'PASS'];

function sums(left: Readonly<Record<string, number>>, right: Readonly<Record<string, number>>): Record<string, number> {
  const total: Record<string, number> = { ...left };
  for (const [name, n] of Object.entries(right)) total[name] = (total[name] ?? 0) + n;
  return total;
}

/** Pure. */
export function together(rows: ReconcileReport, statics: ReconcileReport | null): TableReport {
  if (statics === null) return { ...rows, statics };
  const rangesDue = rows.rangesDue + statics.rangesDue;
  const rangesScanned = rows.rangesScanned + statics.rangesScanned;
  const refused = [rows.repairRefused, statics.repairRefused].filter((reason) => reason !== null);
  return {
    ...rows,
    verdict: WORST_FIRST.find((verdict) => rows.verdict === verdict || statics.verdict === verdict) ?? 'INCONCLUSIVE',
    reasons: [...rows.reasons, ...statics.reasons.map((reason) => `static columns: ${reason}`)],
    rangesDue,
    rangesScanned,
    coverage: rangesDue === 0 ? 0 : rangesScanned / rangesDue,
    notChecked: [
      ...rows.notChecked,
      ...statics.notChecked.map((part) => ({ ...part, where: `static columns: ${part.where}` })),
    ],
    compared: rows.compared + statics.compared,
    drift: [...rows.drift, ...statics.drift],
    repairedBefore: sums(rows.repairedBefore, statics.repairedBefore),
    followed: rows.followed && statics.followed,
    ignored: rows.ignored + statics.ignored,
    following: rows.following + statics.following,
    inFlight: rows.inFlight + statics.inFlight,
    unproven: rows.unproven + statics.unproven,
    superseded: rows.superseded + statics.superseded,
    repaired: { ...NO_REPAIRS, ...sums(rows.repaired, statics.repaired) },
    repairedByType: sums(rows.repairedByType, statics.repairedByType),
    repairRefused: refused.length === 0 ? null : refused.join('; '),
    statics,
  };
}

/** Rejects as `reconcileTable` does. A table without any static value may pass: writers need not use the columns. */
export async function reconcileWithStatics(
  parts: ReconcileParts,
  statics: StaticsRequest | null,
  request: ReconcileRequest,
  signal: AbortSignal,
): Promise<TableReport> {
  const rows = await reconcileTable(parts, request, signal);
  if (statics === null) return together(rows, null);
  const plan = { ...request.plan, estimatedRows: statics.estimatedRows };
  return together(rows, await reconcileTable(statics.parts, { ...request, plan, mayBeEmpty: true }, signal));
}
