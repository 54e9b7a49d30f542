import type { ReportFacts } from '../../src/operate/report/reconciliation-report.ts';
import type { FindingCount, RunRow, WindowSlot, WindowSum } from '../../src/target/stores/report-store.ts';

/** Facts that reports are made from, for their tests: times are hours before the end of the span. */
export const END_MS = Date.parse('2026-11-29T20:00:00Z');
export const HOUR_MS = 3_600_000;
export const TABLE = 'shop.orders';

export function run(
  hoursAgo: number,
  more: Partial<RunRow> & { drift?: number; reasons?: readonly string[] } = {},
): RunRow {
  const { drift = 0, reasons: told, ...given } = more;
  const verdict = given.verdict === undefined ? 'PASS' : given.verdict;
  const reasons = told ?? (verdict === 'INCONCLUSIVE' ? ['1 of 16 ranges could not be scanned'] : []);
  const startedMs = END_MS - hoursAgo * HOUR_MS;
  return {
    id: `job-${hoursAgo}-${given.strategy ?? 'CHECKSUM'}`,
    subject: TABLE,
    strategy: 'CHECKSUM',
    dryRun: false,
    status: 'COMPLETED',
    verdict,
    error: null,
    requestedBy: 'schedule',
    startedMs,
    completedMs: startedMs + 42_000,
    report:
      verdict === null
        ? null
        : {
            coverage: verdict === 'INCONCLUSIVE' ? 0.9375 : 1,
            compared: 200_000,
            cassandra_row_count: 200_000,
            postgres_row_count: 200_000 - drift,
            mismatch_count: drift,
            drift_percentage: (drift / 200_000) * 100,
            repaired: { applied: 0 },
            reasons: [...(drift > 0 ? [`${drift} rows drift`] : []), ...reasons],
            sample: null,
          },
    ...given,
  };
}

export function findings(status: string, count: number, more: Partial<FindingCount> = {}): FindingCount {
  return {
    table: TABLE,
    type: 'DATA_MISMATCH',
    cause: 'missed-update',
    status,
    count,
    firstSeenMs: END_MS - 30 * HOUR_MS,
    ...more,
  };
}

export function windows(verdict: WindowSum['verdict'], more: Partial<WindowSum> = {}): WindowSum {
  return {
    table: TABLE,
    verdict,
    windows: 10,
    startMs: END_MS - 20 * HOUR_MS,
    endMs: END_MS - HOUR_MS,
    changelog: 1_000,
    processed: 990,
    filtered: 6,
    deadLettered: 4,
    missing: 0,
    unexpected: 0,
    late: 0,
    replayed: 0,
    reopened: 0,
    ...more,
  };
}

export function slot(at: number, more: Partial<WindowSlot> = {}): WindowSlot {
  return { table: TABLE, slot: at, pass: 12, drift: 0, inconclusive: 0, ...more };
}

export function facts(more: Partial<ReportFacts> = {}): ReportFacts {
  return {
    tables: [{ source: TABLE, target: 'public.orders' }],
    span: { fromMs: END_MS - 7 * 24 * HOUR_MS, toMs: END_MS },
    rules: [],
    nowMs: END_MS,
    windowsOn: true,
    thresholds: { warning: 1, critical: 5 },
    runs: [run(4)],
    findings: [],
    lastRepairs: new Map(),
    windows: [windows('PASS')],
    slots: [slot(100)],
    pendingLetters: new Map(),
    ...more,
  };
}
