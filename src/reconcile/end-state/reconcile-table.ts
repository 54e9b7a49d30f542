/**
 * One comparison of a table's end state (DESIGN §7 C) in one process: its ranges, a few beside one another, then what follows.
 * Members of a group share the ranges of a run instead (operate/jobs).
 */
import { WHOLE_RING } from '../../change/token-range.ts';
import { LockstepError } from '../../shared/errors.ts';
import type { TokenScan } from '../../target/scan/token-scan.ts';
import { planOf, type PlanRequest } from './comparison-plan.ts';
import {
  concludeComparison,
  type ConcludeParts,
  type ConcludeRequest,
  type ReconcileReport,
} from './conclude-comparison.ts';
import { scanRanges, type ScanRangesParts } from './scan-ranges.ts';
import { addScans, NOTHING_SCANNED, Suspects } from './scan-totals.ts';

export type { ReconcileReport } from './conclude-comparison.ts';

export interface ReconcileParts extends ScanRangesParts, Omit<ConcludeParts, 'target'> {
  readonly target: Pick<TokenScan, 'range' | 'byKeys' | 'tokenless'>;
}

export interface ReconcileRequest extends Omit<ConcludeRequest, 'strategy'> {
  readonly plan: PlanRequest;
}

/**
 * Rejects with a LockstepError where the target fails; what can't be scanned is missing from the coverage, with its reason.
 */
export async function reconcileTable(
  parts: ReconcileParts,
  request: ReconcileRequest,
  signal: AbortSignal,
): Promise<ReconcileReport> {
  const { strategy } = request.plan;
  const { ofCounters } = parts.table.table;
  if (ofCounters === true && strategy !== 'ROW_COUNT' && strategy !== 'CHECKSUM') {
    throw new LockstepError(`${strategy} does not fit counters: their copy has neither tokens nor write times`, {
      code: 'COUNTER_STRATEGY',
      kind: 'usage',
      remedy: 'compare counters by ROW_COUNT or CHECKSUM',
    });
  }
  checkScannable(parts);
  const planned = planOf(request.plan);
  // Without tokens no part of the ring can be told from another.
  const plan = ofCounters === true ? { ...planned, ranges: [WHOLE_RING], rangeCount: 1 } : planned;
  const suspects = new Suspects();
  const { accounts, ...scan } = await scanRanges(parts, plan, (key) => suspects.add(key), signal);
  const totals = {
    ...accounts.reduce((sums, account) => addScans(sums, account), NOTHING_SCANNED),
    ...scan,
    suspects: suspects.keys,
    notFollowed: suspects.notFollowed,
  };
  return concludeComparison(parts, { ...request, strategy: request.plan.strategy }, totals, signal);
}

/** @throws LockstepError `usage` where a table has no policy: its key's bytes, and so its tokens, are not known. */
export function checkScannable({ table }: Pick<ReconcileParts, 'table'>): void {
  if (table.policy === null) throw unscannable(table.table.name);
}

function unscannable(table: string): LockstepError {
  return new LockstepError(
    `${table} can not be compared: the bytes of its key type are not known, so it has no tokens`,
    {
      code: 'TABLE_UNSCANNABLE',
      kind: 'usage',
      remedy: 'compare its rows by a query of your own',
    },
  );
}
