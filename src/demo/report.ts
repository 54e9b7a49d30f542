/** The end of a demo: one document for machines, one page for people. */
import Table from 'cli-table3';
import { mismatchesOf } from './proof/compare-tables.ts';
import type { ProofResult, Verdict } from './proof/prove.ts';
import type { InjectedFaults } from './faults/fault-plan.ts';
import type { BoardEvent } from './screen/board.ts';
import { clock, count, secondsOf } from './screen/format.ts';
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
    records: proof?.ledger.records ?? 0,
    duplicates: proof?.ledger.duplicates ?? 0,
    restarts: outcome.restarts,
    dead_letters: proof?.deadLetters.indexed ?? 0,
    staleness_ms: { ...outcome.staleness, undisturbed: outcome.stalenessUndisturbed },
    injected: outcome.injected,
    checks: [...(proof?.checks ?? []), ...outcome.checks],
    events: outcome.events.map(({ atMs, kind, text }) => ({ at_ms: Math.round(atMs), kind, text })),
    took_ms: Math.round(outcome.tookMs),
    dir: outcome.dir,
  };
}

const MAX_EXAMPLES = 3;

function tablesText(proof: ProofResult, paint: Paint): string {
  const table = new Table({
    head: ['table', 'rows in Cassandra', 'rows in PostgreSQL', 'values compared', 'mismatches'],
    colAligns: ['left', 'right', 'right', 'right', 'right'],
    style: { head: [], border: [], 'padding-left': 1, 'padding-right': 1 },
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
  return table.toString();
}

const VERDICT_TEXTS: Readonly<Record<Verdict, string>> = {
  PASS: 'PostgreSQL holds exactly what Cassandra holds, and the ledger accounts for every change.',
  DRIFT: 'Source and target disagree, or the ledger does not account for every change.',
  INCONCLUSIVE: 'Nothing is proven either way.',
};

/** The report for people. */
export function outcomeText(outcome: DemoOutcome, paint: Paint): string {
  const { proof } = outcome;
  const verdict = outcomeVerdict(outcome);
  const style = { PASS: paint.good, DRIFT: paint.bad, INCONCLUSIVE: paint.warn }[verdict];
  const lines = ['', ` ${style(paint.strong(verdict))}  ${VERDICT_TEXTS[verdict]}`, ''];
  if (outcome.inconclusive !== null) lines.push(` ${outcome.inconclusive}`, '');
  if (proof !== null) {
    lines.push(
      ...tablesText(proof, paint)
        .split('\n')
        .map((line) => ` ${line}`),
      '',
    );
    for (const { name, ok, found } of [...proof.checks, ...outcome.checks]) {
      lines.push(` ${ok ? paint.good('✔') : paint.bad('✖')} ${name} ${paint.faint(`(${found})`)}`);
    }
    for (const [name, { examples }] of Object.entries(proof.tables)) {
      for (const example of examples.slice(0, MAX_EXAMPLES)) lines.push(`   ${paint.bad(name)} ${example}`);
    }
    lines.push('');
  }
  const facts: [string, string][] = [
    ['changes', `${count(proof?.ledger.changes ?? 0)} different ones in ${count(proof?.ledger.records ?? 0)} records`],
    [
      'duplicates',
      `${count(proof?.ledger.duplicates ?? 0)} dropped; ${count(outcome.injected.redelivered)} records were delivered again on purpose`,
    ],
    ['crashes', `${outcome.injected.kills} × SIGKILL, ${outcome.restarts} restarts`],
    [
      'dead letters',
      `${proof?.deadLetters.indexed ?? 0}${proof === null || proof.deadLetters.codes.length === 0 ? '' : ` (${proof.deadLetters.codes.join(', ')})`}`,
    ],
    [
      'staleness',
      `p50 ${secondsOf(outcome.stalenessUndisturbed.p50)}, p99 ${secondsOf(outcome.stalenessUndisturbed.p99)} while Lockstep ran; p99 ${secondsOf(outcome.staleness.p99)} with the crashes`,
    ],
    ['seed', `${outcome.seed}: lockstep demo --seed ${outcome.seed} makes the same choices again`],
    ['took', clock(outcome.tookMs)],
  ];
  if (verdict !== 'PASS') facts.push(['kept', `data and logs in ${outcome.dir}`]);
  const width = Math.max(...facts.map(([name]) => name.length));
  for (const [name, text] of facts) lines.push(` ${paint.faint(name.padEnd(width))}  ${text}`);
  lines.push('');
  return lines.join('\n');
}
