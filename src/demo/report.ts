/** The end of a demo: one document for machines, one page for people. */
import Table from 'cli-table3';
import { mismatchesOf } from './proof/compare-tables.ts';
import type { ProofResult, Verdict } from './proof/prove.ts';
import type { LossOutcome } from './losses/find-losses.ts';
import type { InjectedFaults } from './faults/fault-plan.ts';
import type { BoardEvent } from './screen/board.ts';
import { clock, count, secondsOf, wrap } from './screen/format.ts';
import type { Paint } from './screen/paint.ts';
import type { StalenessSummary } from './staleness-probes.ts';
import type { Check } from './proof/check-ledger.ts';

/** Everything that a demo ends with. */
export interface DemoOutcome {
  readonly seed: number;
  readonly seconds: number;
  readonly rate: number;
  /** Null where both sides did not come to rest in time; then there is no proof. */
  readonly proof: ProofResult | null;
  /** Why there is no proof. */
  readonly inconclusive: string | null;
  readonly written: number;
  readonly injected: InjectedFaults;
  /** What the connector was made to lose, and what was done by hand; empty without faults. */
  readonly losses: readonly LossOutcome[];
  readonly restarts: number;
  readonly staleness: StalenessSummary;
  readonly stalenessUndisturbed: StalenessSummary;
  readonly events: readonly BoardEvent[];
  /** What the demo itself checks beside the proof. */
  readonly checks: readonly Check[];
  readonly dir: string;
  readonly tookMs: number;
}

/** The verdict: that of the proof, unless a check of the demo fails or there is no proof. */
export function outcomeVerdict({ proof, checks }: Pick<DemoOutcome, 'proof' | 'checks'>): Verdict {
  if (proof === null) return 'INCONCLUSIVE';
  return checks.some(({ ok }) => !ok) ? 'DRIFT' : proof.verdict;
}

/** The one document of `--json`. Field names are fixed. */
export function outcomeDocument(outcome: DemoOutcome): Record<string, unknown> {
  const { proof } = outcome;
  return {
    verdict: outcomeVerdict(outcome),
    ...(outcome.inconclusive === null ? {} : { reason: outcome.inconclusive }),
    seed: outcome.seed,
    seconds: outcome.seconds,
    rate: outcome.rate,
    tables: Object.fromEntries(
      Object.entries(proof?.tables ?? {}).map(([name, table]) => [
        name,
        {
          rows_source: table.rowsSource,
          rows_target: table.rowsTarget,
          mismatches: mismatchesOf(table),
          missing: table.missing,
          extra: table.extra,
          differing: table.differing,
          unreadable: table.unreadable,
          values_compared: table.valuesCompared,
          ...(table.examples.length === 0 ? {} : { examples: table.examples }),
        },
      ]),
    ),
    changes: proof?.ledger.changes ?? 0,
    changes_written: outcome.written,
    changes_replayed: proof?.ledger.replayed ?? 0,
    records: proof?.ledger.records ?? 0,
    duplicates: proof?.ledger.duplicates ?? 0,
    restarts: outcome.restarts,
    dead_letters: proof?.deadLetters.indexed ?? 0,
    staleness_ms: { ...outcome.staleness, undisturbed: outcome.stalenessUndisturbed },
    injected: outcome.injected,
    losses: outcome.losses,
    checks: [...(proof?.checks ?? []), ...outcome.checks],
    events: outcome.events.map(({ atMs, kind, text }) => ({ at_ms: Math.round(atMs), kind, text })),
    took_ms: Math.round(outcome.tookMs),
    dir: outcome.dir,
  };
}

const MAX_EXAMPLES = 3;
const DETAIL_INDENT = '     ';

/** No lines between rows: four tables are few enough to tell apart. */
const TABLE_LINES = { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' };

function tablesText(proof: ProofResult, paint: Paint): string[] {
  const table = new Table({
    head: ['table', 'source rows', 'target rows', 'values', 'mismatches'].map(paint.strong),
    colAligns: ['left', 'right', 'right', 'right', 'right'],
    style: { head: [], border: [] },
    chars: TABLE_LINES,
  });
  for (const [name, comparison] of Object.entries(proof.tables)) {
    const mismatches = mismatchesOf(comparison);
    table.push([
      name,
      count(comparison.rowsSource),
      count(comparison.rowsTarget),
      count(comparison.valuesCompared),
      (mismatches === 0 ? paint.good : paint.bad)(count(mismatches)),
    ]);
  }
  return table
    .toString()
    .split('\n')
    .map((line) => ` ${line}`);
}

/** What was lost, found and repaired, one line each. */
function lossesText(losses: readonly LossOutcome[], paint: Paint): string[] {
  if (losses.length === 0) return [];
  const width = Math.max(...losses.map(({ what }) => what.length));
  const lines = losses.map(({ what, rows, type, cause, lost, found, repaired, by }) => {
    const ok = !lost || (found === rows && repaired === rows);
    const became = lost
      ? `${found} of ${rows} found, ${repaired} repaired ${paint.faint(`${type} ${cause}, by ${by}`)}`
      : 'was captured after all';
    return ` ${ok ? paint.good('✔') : paint.bad('✖')} ${what.padEnd(width)}  ${became}`;
  });
  return [` ${paint.strong('lost')}`, ...lines, ''];
}

const VERDICT_TEXTS: Readonly<Record<Verdict, string>> = {
  PASS: 'PostgreSQL holds exactly what Cassandra holds, and the ledger accounts for every change.',
  DRIFT: 'Source and target disagree, or the ledger does not account for every change.',
  INCONCLUSIVE: 'Nothing is proven either way.',
};

/** Checks with what they found, behind them or below them. */
function checksText(checks: readonly Check[], width: number, paint: Paint): string[] {
  return checks.flatMap(({ name, ok, found }) => {
    const line = ` ${ok ? paint.good('✔') : paint.bad('✖')} ${name}`;
    if (name.length + found.length + 6 <= width) return [`${line} ${paint.faint(`(${found})`)}`];
    return [line, ...wrap(found, width - DETAIL_INDENT.length).map((part) => DETAIL_INDENT + paint.faint(part))];
  });
}

function factsOf(outcome: DemoOutcome, verdict: Verdict): [string, string][] {
  const { proof, injected, staleness, stalenessUndisturbed } = outcome;
  const codes = proof?.deadLetters.codes ?? [];
  const facts: [string, string][] = [
    [
      'changes',
      `${count(proof?.ledger.changes ?? 0)} different ones in ${count(proof?.ledger.records ?? 0)} records, ${count(proof?.ledger.replayed ?? 0)} replayed`,
    ],
    [
      'duplicates',
      `${count(proof?.ledger.duplicates ?? 0)} dropped (${count(injected.redelivered)} records delivered again on purpose)`,
    ],
    ['crashes', `${injected.kills} × SIGKILL, ${outcome.restarts} restarts`],
    ['dead letters', `${proof?.deadLetters.indexed ?? 0}${codes.length === 0 ? '' : ` (${codes.join(', ')})`}`],
    [
      'staleness',
      `p50 ${secondsOf(stalenessUndisturbed.p50)}, p99 ${secondsOf(stalenessUndisturbed.p99)} while Lockstep ran`,
    ],
  ];
  if (injected.kills > 0) {
    facts.push(['', `p50 ${secondsOf(staleness.p50)}, p99 ${secondsOf(staleness.p99)} with the crashes`]);
  }
  facts.push(['seed', String(outcome.seed)], ['took', clock(outcome.tookMs)]);
  if (verdict !== 'PASS') facts.push(['kept', `data and logs in ${outcome.dir}`]);
  return facts;
}

/** The report for people, for a terminal of that width. The verdict comes last, where it is seen. */
export function outcomeText(outcome: DemoOutcome, columns: number, paint: Paint): string {
  const { proof } = outcome;
  const verdict = outcomeVerdict(outcome);
  const width = columns - 1;
  const lines = [''];
  if (proof !== null) {
    lines.push(...lossesText(outcome.losses, paint), ...tablesText(proof, paint), '');
    lines.push(...checksText([...proof.checks, ...outcome.checks], width, paint));
    for (const [name, { examples }] of Object.entries(proof.tables)) {
      for (const example of examples.slice(0, MAX_EXAMPLES)) lines.push(`   ${paint.bad(name)} ${example}`);
    }
    lines.push('');
  }
  const facts = factsOf(outcome, verdict);
  const nameWidth = Math.max(...facts.map(([name]) => name.length));
  for (const [name, text] of facts) lines.push(` ${paint.faint(name.padEnd(nameWidth))}  ${text}`);
  const style = { PASS: paint.good, DRIFT: paint.bad, INCONCLUSIVE: paint.warn }[verdict];
  const explained =
    outcome.inconclusive === null ? VERDICT_TEXTS[verdict] : `${VERDICT_TEXTS[verdict]} ${outcome.inconclusive}`;
  const [first = '', ...rest] = wrap(explained, width - verdict.length - 3);
  lines.push('', ` ${style(paint.strong(verdict))}  ${first}`);
  lines.push(...rest.map((line) => `${' '.repeat(verdict.length + 3)}${line}`), '');
  return `${lines.join('\n')}\n`;
}
