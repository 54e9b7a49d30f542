/** What the runs of a table prove of it together, and what they do not. Pure; PASS is proven or it is not said. */
import type { FindingCount, RunRow, WindowSum } from '../../target/stores/report-store.ts';

export type Verdict = 'PASS' | 'DRIFT' | 'INCONCLUSIVE';

/** What was not checked, and why. */
export interface NotChecked {
  readonly what: string;
  readonly why: string;
}

export interface TableFacts {
  /** Newest first. */
  readonly runs: readonly RunRow[];
  readonly findings: readonly FindingCount[];
  readonly lastRepairMs: number | null;
  readonly windows: readonly WindowSum[];
  /** Delivery windows are configured. */
  readonly windowsOn: boolean;
  readonly deadLettersPending: number;
  readonly fromMs: number;
}

export interface Standing {
  readonly verdict: Verdict;
  readonly reasons: readonly string[];
  readonly notChecked: readonly NotChecked[];
  /** When the comparison began that passed last: what was written before was compared. Null: none has. */
  readonly provenUntilMs: number | null;
}

/** The strategy that compares every value of every row; of the others none proves a table. */
const WHOLE = 'CHECKSUM';

const plural = (n: number, noun: string): string => `${n.toLocaleString('en-US')} ${noun}${n === 1 ? '' : 's'}`;
const at = (timeMs: number): string => `${new Date(timeMs).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
const reasonsOf = (run: RunRow): readonly string[] => (run.report?.['reasons'] as readonly string[] | undefined) ?? [];

function sum(counts: readonly FindingCount[], status: string): number {
  return counts.reduce((total, each) => total + (each.status === status ? each.count : 0), 0);
}

/** What else than whole comparisons was done, and why it does not do. */
function lesser(runs: readonly RunRow[]): string {
  const others = [...new Set(runs.filter(({ verdict }) => verdict !== null).map(({ strategy }) => strategy))];
  if (others.length === 0) return 'no comparison has ended with a verdict';
  const means: Readonly<Record<string, string>> = {
    ROW_COUNT: 'ROW_COUNT looks at no values',
    SAMPLE: 'SAMPLE looks at a part of the rows',
    TIMESTAMP_RANGE: 'TIMESTAMP_RANGE looks at the rows of a span',
  };
  return `only ${others.join(', ')} ran: ${others.map((name) => means[name] ?? name).join('; ')}`;
}

function comparisonGaps(facts: TableFacts, whole: RunRow | undefined, pass: RunRow | undefined): NotChecked[] {
  const gaps: NotChecked[] = [];
  const { runs, fromMs } = facts;
  if (whole === undefined) gaps.push({ what: 'every value of every row', why: lesser(runs) });
  else if ((whole.completedMs ?? whole.startedMs) < fromMs) {
    gaps.push({
      what: 'every value of every row, in this span',
      why: `the last such comparison began ${at(whole.startedMs)}`,
    });
  }
  const newest = runs.find(({ verdict }) => verdict !== null);
  for (const run of new Set([whole, newest])) {
    if (run === undefined || run.verdict === 'PASS') continue;
    for (const reason of reasonsOf(run)) {
      if (!/^\d+ rows drift$/.test(reason)) gaps.push({ what: `${run.strategy} of ${at(run.startedMs)}`, why: reason });
    }
  }
  const decidedMs = newest?.startedMs ?? Number.NEGATIVE_INFINITY;
  for (const run of runs) {
    if (run.startedMs < decidedMs) break;
    if (run.status === 'FAILED' || run.status === 'CANCELLED') {
      gaps.push({
        what: `${run.strategy} of ${at(run.startedMs)}`,
        why: `${run.status}: ${run.error ?? 'no reason is known'}`,
      });
    } else if (run.status === 'RUNNING') {
      gaps.push({ what: `${run.strategy} of ${at(run.startedMs)}`, why: 'it is under way' });
    }
  }
  if (facts.lastRepairMs !== null && pass !== undefined && facts.lastRepairMs > pass.startedMs) {
    gaps.push({
      what: `rows repaired until ${at(facts.lastRepairMs)}`,
      why: 'a repair is no verification: no comparison has passed since',
    });
  }
  return gaps;
}

function deliveryGaps({ windows, windowsOn, deadLettersPending }: TableFacts): NotChecked[] {
  const gaps: NotChecked[] = [];
  const open = windows.find(({ verdict }) => verdict === 'INCONCLUSIVE');
  if (!windowsOn) gaps.push({ what: 'delivery of every change', why: 'reconciliation.windows.changelog is off' });
  else if (windows.length === 0)
    gaps.push({ what: 'delivery of every change', why: 'no window of this span was verified yet' });
  if (open !== undefined) {
    gaps.push({
      what: `${plural(open.windows, 'delivery window')} between ${at(open.startMs)} and ${at(open.endMs)}`,
      why: 'INCONCLUSIVE; lockstep reconcile windows has the reason of each',
    });
  }
  if (deadLettersPending > 0) {
    gaps.push({
      what: plural(deadLettersPending, 'dead letter'),
      why: 'set aside and not redriven; their rows may be behind the source',
    });
  }
  return gaps;
}

/**
 * DRIFT: something that was proven to differ, or never to have arrived, stands open. PASS: the newest comparison of every
 * value passed within the span, nothing was repaired since, and no window is open. Everything else is INCONCLUSIVE. Whether
 * windows are configured at all does not decide: it is told of.
 */
export function standingOf(facts: TableFacts): Standing {
  const { runs, findings, windows } = facts;
  const whole = runs.find(({ strategy, verdict }) => strategy === WHOLE && verdict !== null);
  const pass = runs.find(({ strategy, verdict }) => strategy === WHOLE && verdict === 'PASS');
  const notChecked = [...comparisonGaps(facts, whole, pass), ...deliveryGaps(facts)];
  const provenUntilMs = pass?.startedMs ?? null;

  const drift: string[] = [];
  const open = sum(findings, 'PENDING');
  if (open > 0) drift.push(`${plural(open, 'finding')} open`);
  const newest = runs.find(({ verdict }) => verdict !== null);
  // A dry run notes no findings; what it has proven stands until a later run.
  if (newest?.verdict === 'DRIFT' && newest.dryRun) drift.push(`the dry run of ${at(newest.startedMs)} found drift`);
  const missing = windows.find(({ verdict }) => verdict === 'DRIFT');
  if (missing !== undefined) {
    drift.push(`${plural(missing.missing, 'change')} of ${plural(missing.windows, 'window')} never arrived`);
  }
  if (drift.length > 0) return { verdict: 'DRIFT', reasons: drift, notChecked, provenUntilMs };

  const doubts: string[] = [];
  if (whole === undefined) doubts.push('no comparison of every value has ended with a verdict');
  else if (whole.verdict !== 'PASS') doubts.push(`the newest comparison of every value is ${whole.verdict ?? 'open'}`);
  else if ((whole.completedMs ?? 0) < facts.fromMs) doubts.push('no comparison of every value in this span');
  else if (newest !== undefined && newest.verdict !== 'PASS')
    doubts.push(`the newest comparison (${newest.strategy}) is ${newest.verdict ?? 'open'}`);
  if (facts.lastRepairMs !== null && pass !== undefined && facts.lastRepairMs > pass.startedMs) {
    doubts.push('rows were repaired since the last comparison that passed');
  }
  if (windows.some(({ verdict }) => verdict === 'INCONCLUSIVE')) doubts.push('delivery windows are open');
  const verdict = doubts.length === 0 ? 'PASS' : 'INCONCLUSIVE';
  return { verdict, reasons: doubts, notChecked, provenUntilMs };
}

/** The verdict of several: drift is drift, and PASS needs every one of them. INCONCLUSIVE of none. */
export function together(verdicts: readonly Verdict[]): Verdict {
  if (verdicts.includes('DRIFT')) return 'DRIFT';
  return verdicts.length > 0 && verdicts.every((verdict) => verdict === 'PASS') ? 'PASS' : 'INCONCLUSIVE';
}
