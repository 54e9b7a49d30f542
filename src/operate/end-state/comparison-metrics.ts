/** Metrics of comparisons, whoever ran them: read from the jobs that ended, because a command has no scrape endpoint. */
import type { Configuration } from '../../config/index.ts';
import { FINDING_TYPES } from '../../reconcile/end-state/classify.ts';
import { STRATEGIES } from '../../reconcile/end-state/comparison-plan.ts';
import { JobStore, type EndedJob } from '../../target/stores/job-store.ts';
import { UPKEEP_BACKOFF } from '../upkeep/backoff.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { repeating } from '../upkeep/repeating.ts';
import type { RunningParts } from '../service/running-parts.ts';
import type { Service } from '../service/service.ts';
import { RECONCILE } from './run-comparison.ts';

const LOOK_EVERY_MS = 15_000;
const LOOK_TIMEOUT_MS = 10_000;
/** After a restart the gauges show what was found until this long ago. */
const REMEMBERED_MS = 30 * 86_400_000;

/** What of a report is told; a dry run counts like any other comparison. */
interface Report {
  readonly drift_percentage: number;
  readonly cassandra_row_count: number;
  readonly postgres_row_count: number;
  readonly coverage: number;
  readonly dry_run: boolean;
  readonly mismatches_by_type: Readonly<Record<string, number>>;
  readonly repaired: Readonly<Record<string, number>>;
  readonly repaired_by_type: Readonly<Record<string, number>>;
}

const parametersOf = ({ parameters }: EndedJob): { readonly table: string; readonly strategy: string } =>
  parameters as { readonly table: string; readonly strategy: string };

/** What the last comparison found. */
export function showJob({ reconciliation }: Metrics, job: EndedJob): void {
  const { table } = parametersOf(job);
  const report = job.report as Report | null;
  if (report === null) return;
  reconciliation.driftPercentage.set({ table }, report.drift_percentage);
  reconciliation.cassandraRows.set({ table }, report.cassandra_row_count);
  reconciliation.postgresRows.set({ table }, report.postgres_row_count);
  reconciliation.coverageRatio.set({ table }, report.coverage);
  if (job.verdict === 'PASS') reconciliation.lastCleanPass.set({ table }, (job.completedMs ?? 0) / 1000);
}

/** Counts a job once. */
export function countJob({ reconciliation }: Metrics, job: EndedJob): void {
  const { table, strategy } = parametersOf(job);
  reconciliation.jobsCompleted.inc({ table, strategy, status: job.status });
  const report = job.report as Report | null;
  if (report === null) return;
  if (job.completedMs !== null)
    reconciliation.jobSeconds.observe({ strategy }, (job.completedMs - job.startedMs) / 1000);
  for (const [type, n] of Object.entries(report.mismatches_by_type)) reconciliation.mismatches.inc({ table, type }, n);
  if (report.dry_run) return;
  for (const [outcome, n] of Object.entries(report.repaired)) reconciliation.repairs.inc({ table, outcome }, n);
  for (const [type, n] of Object.entries(report.repaired_by_type)) {
    reconciliation.autoCorrections.inc({ table, correction_type: type }, n);
  }
}

/** What the alerts of drift compare with. Before the first scrape: a gauge that was never set shows 0. */
export function showThresholds({ reconciliation }: Metrics, settings: Configuration['reconciliation']): void {
  reconciliation.driftWarning.set(settings.driftWarningThreshold);
  reconciliation.driftCritical.set(settings.driftCriticalThreshold);
}

/** Every member shows what was found; the owner of a table's first shard counts. */
export function comparisonMetrics(parts: RunningParts): Service {
  const { pool, configuration, metrics, consumer, clock, logger } = parts;
  const jobs = new JobStore(pool, configuration.target.postgres.controlSchema);
  const startedMs = clock.nowMs();
  let sinceMs = startedMs - REMEMBERED_MS;
  // A series that begins with its first event has no increase: what alarms must begin at 0.
  for (const { name: table } of parts.prepared.tables) {
    for (const strategy of STRATEGIES) {
      metrics.reconciliation.jobsCompleted.inc({ table, strategy, status: 'FAILED' }, 0);
    }
    for (const type of FINDING_TYPES) metrics.reconciliation.autoCorrections.inc({ table, correction_type: type }, 0);
  }
  return repeating('comparison-metrics', {
    everyMs: LOOK_EVERY_MS,
    timeoutMs: LOOK_TIMEOUT_MS,
    backoff: UPKEEP_BACKOFF,
    work: async () => {
      for (const job of await jobs.endedSince(RECONCILE, sinceMs)) {
        const endedMs = job.completedMs ?? 0;
        showJob(metrics, job);
        const { table } = parametersOf(job);
        const isOwn = consumer.shards().some((shard) => shard.table === table && shard.partition === 0);
        if (isOwn && endedMs >= startedMs) countJob(metrics, job);
        // Times are told in whole ms: the next look must not see this job again.
        sinceMs = Math.max(sinceMs, endedMs + 1);
      }
    },
    onError: (error, failures) => {
      logger[failures === 1 ? 'warn' : 'debug']({ err: error, failures }, 'reading ended comparisons failed, retrying');
    },
  });
}
