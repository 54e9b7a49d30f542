/** One comparison as a job: its row in `_cdc_jobs`, the run, and what became of it. */
import { randomUUID } from 'node:crypto';
import type { PlanRequest } from '../../reconcile/end-state/comparison-plan.ts';
import type { ReconcileRequest } from '../../reconcile/end-state/reconcile-table.ts';
import { reconcileWithStatics, type TableReport } from '../../reconcile/end-state/reconcile-with-statics.ts';
import { messageOf } from '../../shared/errors.ts';
import type { OpenEndState } from './open-end-state.ts';
import { reportDocument } from './report-document.ts';

export const RECONCILE = 'reconcile';

/** A sign of life of the job, so that others see that it is worked on. */
const HEARTBEAT_MS = 10_000;

export interface ComparisonRequest extends Omit<ReconcileRequest, 'jobId' | 'plan'> {
  readonly plan: Omit<PlanRequest, 'estimatedRows' | 'random'>;
}

/** Rejects as `reconcileWithStatics` does; the job's row then says FAILED and why. */
export async function runComparison(
  open: Pick<OpenEndState, 'parts' | 'jobs' | 'estimatedRows' | 'statics'>,
  request: ComparisonRequest,
  signal: AbortSignal,
): Promise<{ readonly document: Record<string, unknown>; readonly report: TableReport }> {
  const { parts, jobs } = open;
  const { strategy, writtenUs, sampleRows } = request.plan;
  const table = parts.table.table.name;
  const job = await jobs.create({
    id: randomUUID(),
    kind: RECONCILE,
    parameters: {
      table,
      strategy,
      from_us: writtenUs === null ? null : String(writtenUs.from),
      to_us: writtenUs === null ? null : String(writtenUs.to),
      sample_rows: strategy === 'SAMPLE' ? sampleRows : null,
      repair: request.repair !== null,
      dry_run: request.dryRun,
    },
    total: 0,
    requestedBy: request.actor,
  });
  const beat = setInterval(() => void jobs.heartbeat(job.id).catch(() => false), HEARTBEAT_MS);
  try {
    const plan = { ...request.plan, estimatedRows: await open.estimatedRows(), random: Math.random };
    const statics =
      open.statics === null ? null : { parts: open.statics.parts, estimatedRows: await open.statics.estimatedRows() };
    const report = await reconcileWithStatics(parts, statics, { ...request, plan, jobId: job.id }, signal);
    const head = {
      jobId: job.id,
      table,
      strategy,
      startedMs: job.startedMs,
      completedMs: Date.now(),
      dryRun: request.dryRun,
    };
    const document = reportDocument(head, report);
    await jobs.conclude(job.id, report.verdict, document);
    return { document, report };
  } catch (error) {
    await jobs.finish(job.id, signal.aborted ? 'CANCELLED' : 'FAILED', messageOf(error)).catch(() => undefined);
    throw error;
  } finally {
    clearInterval(beat);
  }
}
