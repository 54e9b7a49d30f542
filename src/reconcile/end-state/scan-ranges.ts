/**
 * The ranges of a comparison, a few beside one another. A range that can't be scanned is missing from the coverage, with its
 * reason; the others are worth knowing.
 */
import type { RowKey } from '../../change/change-event.ts';
import { LockstepError, messageOf } from '../../shared/errors.ts';
import type { Pacing } from '../../target/paced-door.ts';
import type { TokenRange } from '../../change/token-range.ts';
import { compareByKey, compareRange, type RangeAccount, type RangeParts } from './compare-range.ts';
import type { ComparisonPlan } from './comparison-plan.ts';
import { rangesNotChecked, type NotChecked } from './not-checked.ts';

/** A range whose scan fails for a while is tried this often: the sides have been patient already. */
export const RANGE_ATTEMPTS = 3;
/** Pause before a range is tried again, doubled once: a target that restarts is back by then. */
const RETRY_MS = 5_000;
/** While one waits for source or target, another is compared: 3, with larger pages of the target, were 7 % quicker than 2. */
export const RANGES_AT_ONCE = 3;
/**
 * After so many ranges in a row that can't be scanned, and more than one moment can meet, the side is away: the others are
 * not tried.
 */
const FAILED_IN_A_ROW = 3;

export interface RangeScan {
  /** Of the ranges that were scanned, also those with parts that were passed over. */
  readonly accounts: readonly RangeAccount[];
  readonly rangesDue: number;
  /** Ranges that were scanned whole. */
  readonly rangesScanned: number;
  readonly notChecked: readonly NotChecked[];
}

export interface ScanRangesParts extends RangeParts {
  readonly pacing: Pacing;
  /** Ranges that are scanned beside one another; left out: `RANGES_AT_ONCE`. */
  readonly rangesAtOnce?: number;
  readonly onProgress: (progress: { readonly scanned: number; readonly ranges: number; readonly rows: number }) => void;
}

/** Why a side could not be asked. Bugs, and what somebody has to mend before anything can be compared, are thrown on. */
export function reasonOf(error: unknown): string {
  if (error instanceof LockstepError && error.kind !== 'bug' && error.kind !== 'usage') return messageOf(error);
  throw error;
}

/** Rejects only when the signal aborts, and for bugs. */
export async function scanRanges(
  parts: ScanRangesParts,
  plan: ComparisonPlan,
  onSuspect: (key: RowKey) => void,
  signal: AbortSignal,
): Promise<RangeScan> {
  const accounts: RangeAccount[] = [];
  const failed: { range: TokenRange; reason: string }[] = [];
  const ranges = plan.ranges[Symbol.iterator]();
  let [due, compared, inARow] = [0, 0, 0];
  let away: string | null = null;
  // A sample ends when it has enough: which arcs it has must not depend on which are quick.
  const atOnce = plan.enoughRows === null ? (parts.rangesAtOnce ?? RANGES_AT_ONCE) : 1;
  const isEnough = (): boolean => plan.enoughRows !== null && (compared >= plan.enoughRows || away !== null);
  const worker = async (): Promise<void> => {
    while (!isEnough()) {
      const next = ranges.next();
      if (next.done === true) return;
      const range = next.value;
      due += 1;
      if (away !== null) {
        failed.push({ range, reason: away });
        continue;
      }
      const result = await attempted(parts, plan, range, onSuspect, signal);
      if ('account' in result) {
        accounts.push(result.account);
        compared += result.account.compared;
        inARow = 0;
      } else {
        failed.push({ range, reason: result.reason });
        inARow += 1;
        if (result.forGood || (inARow >= FAILED_IN_A_ROW && inARow > atOnce)) away = result.reason;
      }
      parts.onProgress({ scanned: accounts.length, ranges: plan.rangeCount, rows: compared });
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  failed.sort((left, right) => (left.range.after < right.range.after ? -1 : 1));
  return {
    accounts,
    rangesDue: due,
    rangesScanned: accounts.filter(({ unread }) => unread.length === 0).length,
    notChecked: [...rangesNotChecked(failed), ...accounts.flatMap(({ unread }) => unread)],
  };
}

type Attempted = { readonly account: RangeAccount } | { readonly reason: string; readonly forGood: boolean };

async function attempted(
  parts: ScanRangesParts,
  plan: ComparisonPlan,
  range: TokenRange,
  onSuspect: (key: RowKey) => void,
  signal: AbortSignal,
): Promise<Attempted> {
  const compare = parts.table.table.ofCounters === true ? compareByKey : compareRange;
  for (let attempt = 1; ; attempt++) {
    try {
      return { account: await compare(parts, range, plan.depth, onSuspect, signal) };
    } catch (error) {
      signal.throwIfAborted();
      const reason = reasonOf(error);
      const forGood = error instanceof LockstepError && error.kind !== 'transient';
      if (forGood || attempt === RANGE_ATTEMPTS) return { reason, forGood };
      await parts.pacing.pause(RETRY_MS * attempt, signal);
    }
  }
}
