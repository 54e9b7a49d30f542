/** Metrics of rules, whoever ran them: read from the jobs that ended, because a command has no scrape endpoint. */
import { JobStore, type EndedJob } from '../../target/stores/job-store.ts';
import { UPKEEP_BACKOFF } from '../upkeep/backoff.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { repeating } from '../upkeep/repeating.ts';
import type { RunningParts } from '../service/running-parts.ts';
import type { Service } from '../service/service.ts';
import { RULE } from './rule-job.ts';
import { rulesOf } from './rules-of.ts';

const LOOK_EVERY_MS = 15_000;
const LOOK_TIMEOUT_MS = 10_000;
/** After a restart the gauges show what was found until this long ago. */
const REMEMBERED_MS = 30 * 86_400_000;

const parametersOf = ({ parameters }: EndedJob): { readonly rule: string; readonly severity: string } =>
  parameters as { readonly rule: string; readonly severity: string };

/** What the last run of a rule found; a run that failed says nothing of it. */
export function showRule({ reconciliation }: Metrics, job: EndedJob): void {
  const report = job.report as { readonly mismatch_count: number } | null;
  if (report === null) return;
  const { rule, severity } = parametersOf(job);
  // Its severity may have been changed since: the series of the other one would stay for ever.
  for (const each of ['warning', 'critical'])
    if (each !== severity) reconciliation.ruleMismatches.remove({ rule, severity: each });
  reconciliation.ruleMismatches.set({ rule, severity }, report.mismatch_count);
  if (job.verdict === 'PASS') reconciliation.ruleLastPass.set({ rule }, (job.completedMs ?? 0) / 1000);
}

/** Every member shows what was found; the owner of the first table's first shard counts. Rules that are no more are left out. */
export function ruleMetrics(parts: RunningParts): Service {
  const { pool, configuration, metrics, consumer, clock, logger } = parts;
  const jobs = new JobStore(pool, configuration.target.postgres.controlSchema);
  const names = new Set(rulesOf(configuration).map(({ name }) => name));
  const first = configuration.tables[0]?.source;
  const startedMs = clock.nowMs();
  let sinceMs = startedMs - REMEMBERED_MS;
  for (const rule of names) {
    for (const verdict of ['PASS', 'DRIFT', 'INCONCLUSIVE', 'FAILED'])
      metrics.reconciliation.ruleRuns.inc({ rule, verdict }, 0);
  }
  return repeating('rule-metrics', {
    everyMs: LOOK_EVERY_MS,
    timeoutMs: LOOK_TIMEOUT_MS,
    backoff: UPKEEP_BACKOFF,
    work: async () => {
      if (names.size === 0) return;
      for (const job of await jobs.endedSince(RULE, sinceMs)) {
        const endedMs = job.completedMs ?? 0;
        const { rule } = parametersOf(job);
        // Times are told in whole ms: the next look must not see this job again.
        sinceMs = Math.max(sinceMs, endedMs + 1);
        if (!names.has(rule)) continue;
        showRule(metrics, job);
        const isOwn = consumer.shards().some(({ table, partition }) => table === first && partition === 0);
        if (isOwn && endedMs >= startedMs)
          metrics.reconciliation.ruleRuns.inc({ rule, verdict: job.verdict ?? job.status });
      }
    },
    onError: (error, failures) => {
      logger[failures === 1 ? 'warn' : 'debug']({ err: error, failures }, 'reading runs of rules failed, retrying');
    },
  });
}
