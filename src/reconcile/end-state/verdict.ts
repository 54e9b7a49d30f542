/** The verdict of a comparison: a function of what was scanned and of nothing else (invariant 7). */
import { notCheckedReasons, type NotChecked } from './not-checked.ts';
import { clopperPearson, smallestSeen, wilson, type Interval } from './interval.ts';

export type Verdict = 'PASS' | 'DRIFT' | 'INCONCLUSIVE';

/** What a run has done. All counts are of rows unless they say otherwise. */
export interface RunAccount {
  /** Ranges that had to be scanned, and those that were, completely. */
  readonly rangesDue: number;
  readonly rangesScanned: number;
  readonly compared: number;
  /** The table may be empty, or the span without writes. */
  readonly mayBeEmpty: boolean;
  /** Proven differences that nobody has accepted. */
  readonly drift: number;
  readonly inFlight: number;
  readonly unproven: number;
  readonly unreadable: number;
  /** Rows that differed and were too many to be looked at again. */
  readonly notFollowed: number;
  /** What was not looked at, or not to its end. */
  readonly notChecked: readonly NotChecked[];
  /** Why differences are not proven, each once. */
  readonly unprovenReasons: readonly string[];
}

export interface Judgement {
  readonly verdict: Verdict;
  /** What stands against PASS; empty for PASS. */
  readonly reasons: readonly string[];
  /** Share of the due ranges that were scanned, 0 to 1. */
  readonly coverage: number;
}

/** Drift is drift however little was scanned; PASS needs everything. */
export function judge(account: RunAccount): Judgement {
  const reasons: string[] = [];
  const { rangesDue, rangesScanned } = account;
  if (account.drift > 0) reasons.push(`${account.drift} rows drift`);
  if (rangesScanned < rangesDue)
    reasons.push(`${rangesDue - rangesScanned} of ${rangesDue} ranges could not be scanned`);
  reasons.push(...notCheckedReasons(account.notChecked));
  if (rangesDue === 0) reasons.push('nothing was scanned');
  if (account.compared === 0 && !account.mayBeEmpty)
    reasons.push('no row was compared (--allow-empty where that is right)');
  if (account.inFlight > 0) reasons.push(`${account.inFlight} rows moved whenever they were looked at`);
  if (account.unproven > 0) {
    reasons.push(
      `${account.unproven} rows differ, and it is not proven that they drift: ${account.unprovenReasons.join('; ')}`,
    );
  }
  if (account.unreadable > 0) reasons.push(`${account.unreadable} rows of the source can not be read exactly`);
  if (account.notFollowed > 0) reasons.push(`${account.notFollowed} more rows differ and were not looked at again`);
  const verdict = account.drift > 0 ? 'DRIFT' : reasons.length === 0 ? 'PASS' : 'INCONCLUSIVE';
  return { verdict, reasons, coverage: rangesDue === 0 ? 0 : rangesScanned / rangesDue };
}

/** What a sample says of the table. Shares are of partitions, the unit that is sampled. */
export interface SampleEstimate {
  readonly partitions: number;
  readonly drifted: number;
  readonly confidence: number;
  readonly wilson: Interval;
  readonly clopperPearson: Interval;
  /** Drift rarer than this may well have been missed. */
  readonly smallestSeen: number;
}

const CONFIDENCE = 0.95;

/** Null for a sample without partitions: it says nothing. */
export function estimate(partitions: number, drifted: number): SampleEstimate | null {
  if (partitions === 0) return null;
  return {
    partitions,
    drifted,
    confidence: CONFIDENCE,
    wilson: wilson(drifted, partitions, CONFIDENCE),
    clopperPearson: clopperPearson(drifted, partitions, CONFIDENCE),
    smallestSeen: smallestSeen(partitions, CONFIDENCE),
  };
}
