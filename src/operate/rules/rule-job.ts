/** One run of a rule as a job: its row in `_cdc_jobs`, the run, its findings, and what became of it. */
import { randomUUID } from 'node:crypto';
import { runRule, type RuleParts, type RuleReport } from '../../reconcile/rules/run-rule.ts';
import type { Mismatch } from '../../reconcile/rules/rule.ts';
import { messageOf } from '../../shared/errors.ts';
import type { Job, JobStore } from '../../target/stores/job-store.ts';
import type { RuleFinding, RuleFindingStore } from '../../target/stores/rule-finding-store.ts';
import type { ScheduledRule } from './rules-of.ts';

/** Kind of these jobs. */
export const RULE = 'rule';

/** A sign of life of the job, so that others see that it is worked on. */
const HEARTBEAT_MS = 10_000;
/** Mismatches that stand in the job's report; all of them are findings. */
const LISTED = 100;

export interface RuleRun {
  readonly parts: RuleParts;
  readonly jobs: JobStore;
  readonly findings: RuleFindingStore;
}

/** A mismatch as JSON. */
export function mismatchDocument({ key, kind, columns, source, target }: Mismatch): Record<string, unknown> {
  return { key, mismatch_type: kind, columns, cassandra_values: source, postgres_values: target };
}

/** A finding of a rule as JSON. */
export function ruleFindingDocument(finding: RuleFinding): Record<string, unknown> {
  return {
    mismatch_id: Number(finding.id),
    rule: finding.rule,
    severity: finding.severity,
    key: finding.key,
    mismatch_type: finding.kind,
    columns: finding.columns,
    cassandra_values: finding.source,
    postgres_values: finding.target,
    resolution_status: finding.status,
    resolution_notes: finding.notes,
    resolved_by: finding.resolvedBy,
    job_id: finding.jobId,
    seen: finding.seen,
    detected_at: new Date(finding.firstSeenMs).toISOString(),
    last_seen_at: new Date(finding.lastSeenMs).toISOString(),
    resolved_at: finding.resolvedMs === null ? null : new Date(finding.resolvedMs).toISOString(),
  };
}

interface Noted {
  readonly open: number;
  readonly accepted: number;
  readonly superseded: number;
}

/** Accepted differences are no drift; what remains decides. */
function verdictOf(report: RuleReport, { open }: Noted): RuleReport['verdict'] {
  if (report.verdict !== 'DRIFT' || open > 0) return report.verdict;
  return report.unproven.length + report.notFollowed > 0 ? 'INCONCLUSIVE' : 'PASS';
}

async function note(run: RuleRun, rule: ScheduledRule, jobId: string, report: RuleReport): Promise<Noted> {
  const { open, accepted } = await run.findings.record(rule, jobId, report.mismatches);
  // Where not every difference is known, nobody knows which of the open ones are gone.
  const superseded =
    report.notFollowed > 0
      ? 0
      : await run.findings.supersede(
          rule.name,
          jobId,
          [...report.mismatches, ...report.unproven].map(({ key }) => key),
        );
  return { open, accepted, superseded };
}

interface RuleOutcome {
  readonly document: Record<string, unknown>;
  readonly verdict: RuleReport['verdict'];
}

/** A run that others see, and that may have to wait for its turn. */
export interface BegunRule {
  readonly id: string;
  /** Once. Rejects as `runRule` does; the job's row then says FAILED and why. */
  run(): Promise<RuleOutcome>;
}

/** Creates the job's row, and gives signs of life of it from now on. */
export async function beginRuleJob(
  run: RuleRun,
  rule: ScheduledRule,
  actor: string,
  signal: AbortSignal,
): Promise<BegunRule> {
  const { jobs } = run;
  const job = await jobs.create({
    id: randomUUID(),
    kind: RULE,
    parameters: { rule: rule.name, severity: rule.severity },
    total: 0,
    requestedBy: actor,
  });
  const cancelled = new AbortController();
  const beat = setInterval(() => {
    // Where the database does not answer, the work itself finds out.
    void jobs.heartbeat(job.id).then(
      (isRunning) => {
        if (!isRunning) cancelled.abort(new Error('the job was cancelled'));
      },
      () => undefined,
    );
  }, HEARTBEAT_MS);
  const until = AbortSignal.any([signal, cancelled.signal]);
  return {
    id: job.id,
    run: () => endOf(run, rule, job, until).finally(() => clearInterval(beat)),
  };
}

/** Rejects as `runRule` does; the job's row then says FAILED and why. */
export async function runRuleJob(
  run: RuleRun,
  rule: ScheduledRule,
  actor: string,
  signal: AbortSignal,
): Promise<RuleOutcome> {
  return (await beginRuleJob(run, rule, actor, signal)).run();
}

async function endOf(run: RuleRun, rule: ScheduledRule, job: Job, signal: AbortSignal): Promise<RuleOutcome> {
  const { jobs } = run;
  try {
    signal.throwIfAborted();
    const report = await runRule(rule, run.parts, signal);
    const noted = await note(run, rule, job.id, report);
    const verdict = verdictOf(report, noted);
    const document = {
      job_id: job.id,
      rule: rule.name,
      severity: rule.severity,
      started_at: new Date(job.startedMs).toISOString(),
      completed_at: new Date().toISOString(),
      verdict,
      reasons: verdict === 'PASS' ? [] : report.reasons,
      cassandra_keys: report.sourceKeys,
      postgres_keys: report.targetKeys,
      mismatch_count: noted.open,
      accepted: noted.accepted,
      unproven: report.unproven.length,
      in_flight: report.inFlight,
      not_followed: report.notFollowed,
      superseded: noted.superseded,
      looks: report.looks,
      mismatches: report.mismatches.slice(0, LISTED).map(mismatchDocument),
    };
    await jobs.conclude(job.id, verdict, document);
    return { document, verdict };
  } catch (error) {
    await jobs
      .finish(
        job.id,
        signal.aborted ? 'CANCELLED' : 'FAILED',
        signal.aborted ? 'it was stopped before its end' : messageOf(error),
      )
      .catch(() => undefined);
    throw error;
  }
}
