/** One comparison as a job: its row in `_cdc_jobs`, the run, and what became of it. */
import { randomUUID } from 'node:crypto';
import type { Depth } from '../../reconcile/end-state/compare-range.ts';
import type { Strategy } from '../../reconcile/end-state/comparison-plan.ts';
import type { ReconcileRequest } from '../../reconcile/end-state/reconcile-table.ts';
import { reconcileWithStatics, type TableReport } from '../../reconcile/end-state/reconcile-with-statics.ts';
import { messageOf } from '../../shared/errors.ts';
import { coveredUntil, depthOf, isCovered, parametersOf, type ComparisonRequest } from '../jobs/comparison-request.ts';
import type { OpenEndState } from './opened.ts';
import { reportDocument } from './report-document.ts';

export const RECONCILE = 'reconcile';

/** A sign of life of the job, so that others see that it is worked on. */
const HEARTBEAT_MS = 10_000;

/** As `ComparisonRequest` of members, with how repairs are bounded. */
export interface CommandComparison extends Pick<ReconcileRequest, 'repair' | 'dryRun' | 'mayBeEmpty' | 'actor'> {
  readonly strategy: Strategy;
  /** Write times of TIMESTAMP_RANGE, as members are asked for them. */
  readonly span: ComparisonRequest['span'];
  readonly sampleRows: number;
}

export interface RanComparison {
  readonly document: Record<string, unknown>;
  readonly report: TableReport;
  /** What TIMESTAMP_RANGE compared, µs; null for other strategies. */
  readonly writtenUs: Depth['writtenUs'];
  /** Where the runs before had come to; null where none has covered the table. */
  readonly verifiedUs: bigint | null;
}

/** Rejects as `reconcileWithStatics` does; the job's row then says FAILED and why. */
export async function runComparison(
  open: Pick<OpenEndState, 'parts' | 'jobs' | 'estimatedRows' | 'statics' | 'verified' | 'skewUs'>,
  request: CommandComparison,
  signal: AbortSignal,
): Promise<RanComparison> {
  const { parts, jobs, verified } = open;
  const { strategy, span, sampleRows, actor } = request;
  const table = parts.table.table.name;
  // Counters have no write times that would tell what was written since.
  const verifiedUs = parts.table.table.ofCounters === true ? null : await verified.of(parts.table.id);
  const asked: ComparisonRequest = {
    table,
    strategy,
    jobType: 'MANUAL',
    repair: request.repair !== null,
    dryRun: request.dryRun,
    mayBeEmpty: request.mayBeEmpty,
    sampleRows,
    span,
    requestedBy: actor,
  };
  const context = { sampleSize: sampleRows, nowUs: parts.nowUs(), verifiedUs, skewUs: open.skewUs, sourceId: null };
  const parameters = parametersOf(asked, context);
  const { writtenUs } = depthOf(parameters);
  const job = await jobs.create({ id: randomUUID(), kind: RECONCILE, parameters, total: 0, requestedBy: actor });
  const beat = setInterval(() => void jobs.heartbeat(job.id).catch(() => false), HEARTBEAT_MS);
  try {
    const estimatedRows = await open.estimatedRows();
    const plan = { strategy, writtenUs, sampleRows, estimatedRows, random: Math.random };
    const statics =
      open.statics === null ? null : { parts: open.statics.parts, estimatedRows: await open.statics.estimatedRows() };
    const { repair, dryRun } = request;
    const whole = { plan, repair, dryRun, mayBeEmpty: parameters.may_be_empty, actor, jobId: job.id };
    const report = await reconcileWithStatics(parts, statics, whole, signal);
    const head = {
      jobId: job.id,
      table,
      strategy,
      startedMs: job.startedMs,
      completedMs: Date.now(),
      dryRun,
      writtenUs,
    };
    const document = reportDocument(head, report);
    await jobs.conclude(job.id, report.verdict, document);
    const until = coveredUntil(parameters);
    if (until !== null && isCovered(report) && parts.table.table.ofCounters !== true) {
      await verified.moveTo(parts.table.id, until, job.id);
    }
    return { document, report, writtenUs, verifiedUs };
  } catch (error) {
    await jobs.finish(job.id, signal.aborted ? 'CANCELLED' : 'FAILED', messageOf(error)).catch(() => undefined);
    throw error;
  } finally {
    clearInterval(beat);
  }
}
