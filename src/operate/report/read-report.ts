/** Reads what a report is made from, and makes it. */
import type { Pool } from 'pg';
import type { Configuration } from '../../config/index.ts';
import { ReportStore, type ReportSpan } from '../../target/stores/report-store.ts';
import { RuleFindingStore } from '../../target/stores/rule-finding-store.ts';
import { RECONCILE } from '../end-state/run-comparison.ts';
import { RULE } from '../rules/rule-job.ts';
import { openDeadLetters } from '../upkeep/open-dead-letters.ts';
import { reconciliationReport, WINDOW_SLOTS, type ReconciliationReport } from './reconciliation-report.ts';

/** What a report is about; a table that the configuration does not have is an empty report. */
export interface ReportRequest extends ReportSpan {
  readonly table: string | null;
}

const DEFAULT_SPAN_MS = 7 * 86_400_000;

/** The span that is meant: the last seven days where nothing is said. */
export function spanOf(from: number | undefined, to: number | undefined, nowMs: number): ReportSpan {
  const toMs = to ?? nowMs;
  return { fromMs: from ?? toMs - DEFAULT_SPAN_MS, toMs };
}

/** Rejects with a classified LockstepError where PostgreSQL can't be read. */
export async function readReport(
  pool: Pool,
  configuration: Configuration,
  { table, fromMs, toMs }: ReportRequest,
  nowMs: number,
): Promise<ReconciliationReport> {
  const { controlSchema } = configuration.target.postgres;
  const { windows, driftWarningThreshold, driftCriticalThreshold, heartbeats } = configuration.reconciliation;
  const store = new ReportStore(pool, controlSchema);
  const span = { fromMs, toMs };
  // One after the other: a report is not worth several connections of the stream's pool.
  const runs = await store.runs(RECONCILE, 'table', span);
  const findings = await store.findings(span);
  const lastRepairs = await store.lastRepairs();
  const sums = await store.windowSums(span);
  const slots = await store.windowSlots(span, WINDOW_SLOTS);
  const letters = await openDeadLetters(pool, controlSchema);
  const settings = table === null ? configuration.reconciliation.rules : [];
  const ruleRuns = settings.length === 0 ? [] : await store.runs(RULE, 'rule', span);
  const ruleFindings = settings.length === 0 ? null : await new RuleFindingStore(pool, controlSchema).counts();
  return reconciliationReport({
    rules: settings.map(({ name, severity, schedule }) => ({
      name,
      severity,
      schedule,
      runs: ruleRuns.filter(({ subject }) => subject === name),
      open: ruleFindings?.get(name)?.open ?? 0,
      accepted: ruleFindings?.get(name)?.accepted ?? 0,
    })),
    tables: configuration.tables.filter(
      ({ source }) => source !== heartbeats?.table && (table === null || source === table),
    ),
    span,
    nowMs,
    windowsOn: windows.changelog !== 'off',
    thresholds: { warning: driftWarningThreshold, critical: driftCriticalThreshold },
    runs,
    findings,
    lastRepairs,
    windows: sums,
    slots,
    pendingLetters: new Map([...letters].map(([name, { pending }]) => [name, pending])),
  });
}
