/** The report on reconciliation as a document: what is served, printed and drawn. Pure; field names are snake_case. */
import type { FindingCount, ReportSpan, RunRow, WindowSlot, WindowSum } from '../../target/stores/report-store.ts';
import { standingOf, together, type NotChecked, type Verdict } from './table-standing.ts';

/** Parts that the span is cut into where windows are drawn. */
export const WINDOW_SLOTS = 120;

export interface RunEntry {
  readonly job_id: string;
  readonly validation_strategy: string;
  readonly dry_run: boolean;
  readonly status: string;
  readonly verdict: Verdict | null;
  readonly started_at: string;
  readonly completed_at: string | null;
  readonly requested_by: string;
  readonly coverage: number | null;
  readonly compared: number | null;
  readonly cassandra_row_count: number | null;
  readonly postgres_row_count: number | null;
  readonly mismatch_count: number | null;
  readonly drift_percentage: number | null;
  readonly repaired: number | null;
  /** Of a sample: drift of a smaller share of the partitions may have been missed. */
  readonly smallest_seen: number | null;
  readonly reasons: readonly string[];
  readonly error: string | null;
}

export interface FindingEntry {
  readonly mismatch_type: string;
  readonly cause: string;
  readonly total: number;
  readonly by_status: Readonly<Record<string, number>>;
  readonly first_seen_at: string;
}

export interface WindowAccount {
  readonly configured: boolean;
  readonly verified: number;
  readonly by_verdict: Readonly<Record<Verdict, number>>;
  readonly from: string | null;
  readonly to: string | null;
  readonly changelog: number;
  readonly processed: number;
  readonly filtered: number;
  readonly dead_lettered: number;
  readonly missing: number;
  /** changelog = processed + filtered + dead_lettered + missing. */
  readonly identity_holds: boolean;
  readonly unexpected: number;
  readonly late: number;
  readonly replayed: number;
  readonly reopened: number;
  /** Windows by when they begin, in equal parts of the span; parts without windows are left out. */
  readonly timeline: readonly (Omit<WindowSlot, 'table'> & { readonly from: string })[];
}

export interface TableReport {
  readonly table_name: string;
  readonly target: string;
  readonly verdict: Verdict;
  readonly reasons: readonly string[];
  readonly proven_until: string | null;
  readonly not_checked: readonly NotChecked[];
  readonly open_findings: number;
  readonly accepted_findings: number;
  readonly dead_letters_pending: number;
  /** Newest first; those of the span, and older ones that are the newest verdict of their strategy. */
  readonly runs: readonly RunEntry[];
  readonly findings: readonly FindingEntry[];
  readonly windows: WindowAccount;
}

export interface RuleEntry {
  readonly rule: string;
  readonly severity: string;
  readonly schedule: string | null;
  /** Of its newest run that ended with one; INCONCLUSIVE where none has, or a later one failed. */
  readonly verdict: Verdict;
  readonly reasons: readonly string[];
  readonly last_run_at: string | null;
  readonly last_pass_at: string | null;
  readonly cassandra_keys: number | null;
  readonly postgres_keys: number | null;
  readonly open_findings: number;
  readonly accepted_findings: number;
}

export interface ReconciliationReport {
  readonly generated_at: string;
  readonly from: string;
  readonly to: string;
  readonly verdict: Verdict;
  readonly drift_warning_threshold: number;
  readonly drift_critical_threshold: number;
  readonly tables: readonly TableReport[];
  readonly rules: readonly RuleEntry[];
}

/** What is known of a rule: its settings, its runs (newest first), its findings. */
export interface RuleFacts {
  readonly name: string;
  readonly severity: string;
  readonly schedule: string | null;
  readonly runs: readonly RunRow[];
  readonly open: number;
  readonly accepted: number;
}

export interface ReportFacts {
  readonly rules: readonly RuleFacts[];
  readonly tables: readonly { readonly source: string; readonly target: string }[];
  readonly span: ReportSpan;
  readonly nowMs: number;
  readonly windowsOn: boolean;
  readonly thresholds: { readonly warning: number; readonly critical: number };
  readonly runs: readonly RunRow[];
  readonly findings: readonly FindingCount[];
  readonly lastRepairs: ReadonlyMap<string, number>;
  readonly windows: readonly WindowSum[];
  readonly slots: readonly WindowSlot[];
  readonly pendingLetters: ReadonlyMap<string, number>;
}

const iso = (timeMs: number): string => new Date(timeMs).toISOString();

function runEntry(run: RunRow): RunEntry {
  const report = run.report ?? {};
  const figure = (name: string): number | null => (typeof report[name] === 'number' ? report[name] : null);
  const repaired = report['repaired'] as Readonly<Record<string, number>> | undefined;
  const sample = report['sample'] as { readonly smallest_seen?: number } | null | undefined;
  return {
    job_id: run.id,
    validation_strategy: run.strategy,
    dry_run: run.dryRun,
    status: run.status,
    verdict: run.verdict as Verdict | null,
    started_at: iso(run.startedMs),
    completed_at: run.completedMs === null ? null : iso(run.completedMs),
    requested_by: run.requestedBy,
    coverage: figure('coverage'),
    compared: figure('compared'),
    cassandra_row_count: figure('cassandra_row_count'),
    postgres_row_count: figure('postgres_row_count'),
    mismatch_count: figure('mismatch_count'),
    drift_percentage: figure('drift_percentage'),
    repaired: run.dryRun ? null : (repaired?.['applied'] ?? null),
    smallest_seen: sample?.smallest_seen ?? null,
    reasons: (report['reasons'] as readonly string[] | undefined) ?? [],
    error: run.error,
  };
}

function findingEntries(counts: readonly FindingCount[]): FindingEntry[] {
  const entries = new Map<string, FindingCount[]>();
  for (const each of counts) {
    const name = `${each.type} ${each.cause}`;
    entries.set(name, [...(entries.get(name) ?? []), each]);
  }
  return [...entries.values()]
    .flatMap((same) => {
      const [first] = same;
      if (first === undefined) return [];
      return [
        {
          mismatch_type: first.type,
          cause: first.cause,
          total: same.reduce((n, { count }) => n + count, 0),
          by_status: Object.fromEntries(same.map(({ status, count }) => [status, count])),
          first_seen_at: iso(Math.min(...same.map(({ firstSeenMs }) => firstSeenMs))),
        },
      ];
    })
    .sort((left, right) => right.total - left.total);
}

function windowAccount(facts: ReportFacts, table: string): WindowAccount {
  const sums = facts.windows.filter((each) => each.table === table);
  const of = (name: keyof WindowSum): number => sums.reduce((n, each) => n + Number(each[name]), 0);
  const count = (verdict: Verdict): number => sums.find((each) => each.verdict === verdict)?.windows ?? 0;
  const { fromMs, toMs } = facts.span;
  return {
    configured: facts.windowsOn,
    verified: of('windows'),
    by_verdict: { PASS: count('PASS'), DRIFT: count('DRIFT'), INCONCLUSIVE: count('INCONCLUSIVE') },
    from: sums.length === 0 ? null : iso(Math.min(...sums.map(({ startMs }) => startMs))),
    to: sums.length === 0 ? null : iso(Math.max(...sums.map(({ endMs }) => endMs))),
    changelog: of('changelog'),
    processed: of('processed'),
    filtered: of('filtered'),
    dead_lettered: of('deadLettered'),
    missing: of('missing'),
    identity_holds: of('changelog') === of('processed') + of('filtered') + of('deadLettered') + of('missing'),
    unexpected: of('unexpected'),
    late: of('late'),
    replayed: of('replayed'),
    reopened: of('reopened'),
    timeline: facts.slots
      .filter((each) => each.table === table)
      .map(({ slot, pass, drift, inconclusive }) => ({
        from: iso(fromMs + (slot * (toMs - fromMs)) / WINDOW_SLOTS),
        slot,
        pass,
        drift,
        inconclusive,
      })),
  };
}

function tableReport(facts: ReportFacts, source: string, target: string): TableReport {
  const runs = facts.runs.filter(({ subject }) => subject === source);
  // The table of a table's static columns has a name of its own, and is the same table to whoever reads this.
  const isOwn = (name: string): boolean => name === source || name.startsWith(`${source}#`);
  const findings = facts.findings.filter(({ table }) => isOwn(table));
  const repairs = [...facts.lastRepairs].filter(([name]) => isOwn(name)).map(([, timeMs]) => timeMs);
  const deadLettersPending = facts.pendingLetters.get(source) ?? 0;
  const standing = standingOf({
    runs,
    findings,
    lastRepairMs: repairs.length === 0 ? null : Math.max(...repairs),
    windows: facts.windows.filter(({ table }) => table === source),
    windowsOn: facts.windowsOn,
    deadLettersPending,
    fromMs: facts.span.fromMs,
  });
  const count = (status: string): number =>
    findings.reduce((n, each) => n + (each.status === status ? each.count : 0), 0);
  return {
    table_name: source,
    target,
    verdict: standing.verdict,
    reasons: standing.reasons,
    proven_until: standing.provenUntilMs === null ? null : iso(standing.provenUntilMs),
    not_checked: standing.notChecked,
    open_findings: count('PENDING'),
    accepted_findings: count('IGNORED'),
    dead_letters_pending: deadLettersPending,
    runs: runs.map(runEntry),
    findings: findingEntries(findings),
    windows: windowAccount(facts, source),
  };
}

function ruleEntry({ name, severity, schedule, runs, open, accepted }: RuleFacts): RuleEntry {
  const ended = runs.filter(({ status }) => status !== 'RUNNING');
  const [newest] = ended;
  const decided = ended.find(({ verdict }) => verdict !== null);
  const figure = (key: string): number | null =>
    typeof decided?.report?.[key] === 'number' ? decided.report[key] : null;
  const reasons =
    newest === undefined
      ? ['it has not run yet']
      : newest.verdict === null
        ? [`the newest run ended without a verdict: ${newest.error ?? newest.status}`]
        : ((newest.report?.['reasons'] as readonly string[] | undefined) ?? []);
  const passed = ended.find(({ verdict }) => verdict === 'PASS');
  const verdict = open > 0 ? 'DRIFT' : ((newest?.verdict ?? 'INCONCLUSIVE') as Verdict);
  return {
    rule: name,
    severity,
    schedule,
    verdict,
    reasons,
    last_run_at: newest === undefined ? null : iso(newest.startedMs),
    last_pass_at: passed === undefined ? null : iso(passed.startedMs),
    cassandra_keys: figure('cassandra_keys'),
    postgres_keys: figure('postgres_keys'),
    open_findings: open,
    accepted_findings: accepted,
  };
}

/** Tables and rules stand in the order of the configuration. */
export function reconciliationReport(facts: ReportFacts): ReconciliationReport {
  const tables = facts.tables.map(({ source, target }) => tableReport(facts, source, target));
  const rules = facts.rules.map(ruleEntry);
  return {
    generated_at: iso(facts.nowMs),
    from: iso(facts.span.fromMs),
    to: iso(facts.span.toMs),
    verdict: together([...tables, ...rules].map(({ verdict }) => verdict)),
    drift_warning_threshold: facts.thresholds.warning,
    drift_critical_threshold: facts.thresholds.critical,
    tables,
    rules,
  };
}
