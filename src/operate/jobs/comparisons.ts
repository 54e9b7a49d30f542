/**
 * Comparisons that members share: begun as parts in the control tables, each scanned by whoever takes it, and concluded by
 * one of them from what was stored. A verdict is made of stored parts and of nothing else, so whatever a killed worker had in
 * its memory is a part that is still due.
 */
import { randomUUID } from 'node:crypto';
import type { Configuration } from '../../config/index.ts';
import { concludeComparison, type ReconcileReport } from '../../reconcile/end-state/conclude-comparison.ts';
import { checkScannable } from '../../reconcile/end-state/reconcile-table.ts';
import { together, type TableReport } from '../../reconcile/end-state/reconcile-with-statics.ts';
import { RANGE_ATTEMPTS } from '../../reconcile/end-state/scan-ranges.ts';
import {
  partsOf,
  scanPart,
  totalsOfParts,
  type EndedPart,
  type PartPlan,
  type PartResult,
} from '../../reconcile/end-state/scan-part.ts';
import type { Clock } from '../../shared/clock.ts';
import { LockstepError, messageOf } from '../../shared/errors.ts';
import type { FindingStore } from '../../target/stores/finding-store.ts';
import type { EndedJob, JobStore } from '../../target/stores/job-store.ts';
import type { PartEnd, PartStore, StoredPart } from '../../target/stores/part-store.ts';
import type { VerifiedPoints } from '../../target/stores/verified-points.ts';
import { reportDocument } from '../end-state/report-document.ts';
import { RECONCILE } from '../end-state/run-comparison.ts';
import type { Side } from '../end-state/service-sides.ts';
import {
  coveredUntil,
  depthOf,
  isCovered,
  parametersOf,
  type ComparisonParameters,
  type ComparisonRequest,
} from './comparison-request.ts';
import type { JobMessage, JobQueue, PartMessage } from './job-queue.ts';

/** A sign of life of a run, and a look whether it was cancelled. */
const HEARTBEAT_MS = 5_000;
const DAY_MS = 86_400_000;
const LOST = 'its workers were lost again and again';

export interface ComparisonParts {
  readonly reconciliation: Configuration['reconciliation'];
  readonly queue: Pick<JobQueue, 'sendParts' | 'sendConclude'>;
  readonly jobs: JobStore;
  readonly parts: PartStore;
  readonly findings: FindingStore;
  readonly verified: VerifiedPoints;
  readonly sides: { of(table: string): Promise<readonly [Side, ...Side[]]> };
  readonly clock: Clock;
  /** Names this member beside what it has scanned. */
  readonly worker: string;
  readonly random: () => number;
  readonly onConcluded: (jobId: string, table: string, report: TableReport) => void;
}

/** Ends work of which the job has ended meanwhile. */
class JobOver extends Error {}

/** All methods reject with a LockstepError. */
export class Comparisons {
  readonly #parts: ComparisonParts;

  constructor(parts: ComparisonParts) {
    this.#parts = parts;
  }

  /**
   * Begins a comparison: from now on members scan its parts. @returns the job's ID.
   *
   * @throws LockstepError `usage` where the table can't be compared, or is not configured.
   */
  async begin(request: ComparisonRequest): Promise<string> {
    const { sides, verified, clock, reconciliation, random, queue, parts: store } = this.#parts;
    const [rows, ...others] = await sides.of(request.table);
    checkScannable(rows.parts);
    const parameters = parametersOf(request, {
      sampleSize: reconciliation.sampleSize,
      nowUs: BigInt(clock.nowMs()) * 1000n,
      verifiedUs: await verified.of(rows.parts.table.id),
      skewUs: BigInt(reconciliation.windows.skew) * 1000n,
      sourceId: await rows.sourceId(),
    });
    const planned: Pick<StoredPart, 'side' | 'part' | 'plan'>[] = [];
    for (const side of [rows, ...others]) {
      const estimatedRows = await side.estimatedRows();
      const sampleRows = parameters.sample_rows ?? 0;
      const plans = partsOf({ strategy: request.strategy, sampleRows, estimatedRows, random });
      planned.push(...plans.map((plan, part) => ({ side: side.side, part, plan })));
    }
    const id = randomUUID();
    await store.create({ id, kind: RECONCILE, parameters, requestedBy: request.requestedBy }, planned, (client) =>
      queue.sendParts(
        client,
        planned.map(({ side, part }) => ({ job_id: id, side, part })),
      ),
    );
    return id;
  }

  /** Scans a part and stores what it shows; or why it could not be scanned, once that is given up. */
  async scan(message: PartMessage, signal: AbortSignal): Promise<void> {
    const { jobs, parts: store, sides } = this.#parts;
    const id = { jobId: message.job_id, side: message.side, part: message.part };
    const job = await jobs.load(id.jobId);
    const part = await store.load(id);
    if (job?.status !== 'RUNNING' || part?.status !== 'DUE') return;
    const parameters = job.parameters as ComparisonParameters;
    try {
      await this.#watched(id.jobId, signal, async (watched) => {
        const side = (await sides.of(parameters.table)).find((each) => each.side === id.side);
        if (side === undefined) throw gone(parameters.table);
        const result = await scanPart(side.parts, part.plan as PartPlan, depthOf(parameters), watched);
        await this.#end(id, { kind: 'scanned', result });
      });
    } catch (error) {
      if (error instanceof JobOver) return;
      signal.throwIfAborted();
      const reason = messageOf(error);
      const failures = await store.failed(id, reason);
      const isHopeless = error instanceof LockstepError && error.kind !== 'transient';
      if (!isHopeless && failures < RANGE_ATTEMPTS) throw error;
      // A range that can't be scanned is missing from the coverage; the others are worth knowing.
      await this.#end(id, { kind: 'unscanned', reason });
    }
  }

  /** Makes the verdict of what was stored. May be called again where a worker was lost over it. */
  async conclude({ job_id: jobId }: JobMessage, signal: AbortSignal): Promise<void> {
    const { jobs } = this.#parts;
    const { jobs: found } = await jobs.newest(RECONCILE, { id: jobId }, { limit: 1, offset: 0 });
    const [job] = found;
    if (job?.status !== 'RUNNING') return;
    try {
      await this.#watched(jobId, signal, (watched) => this.#conclude(job, watched));
    } catch (error) {
      if (error instanceof JobOver) return;
      signal.throwIfAborted();
      if (!(error instanceof LockstepError) || error.kind === 'transient') throw error;
      await jobs.finish(jobId, 'FAILED', messageOf(error));
    }
  }

  /** The workers of a message were lost too often, or it failed too often. */
  async giveUp(message: PartMessage | JobMessage): Promise<void> {
    if ('part' in message) {
      const id = { jobId: message.job_id, side: message.side, part: message.part };
      await this.#end(id, { kind: 'unscanned', reason: LOST });
    } else await this.#parts.jobs.finish(message.job_id, 'FAILED', LOST);
  }

  async #end(id: { jobId: string; side: StoredPart['side']; part: number }, end: PartEnd): Promise<void> {
    const { parts: store, queue, worker } = this.#parts;
    await store.end(id, worker, end, (client) => queue.sendConclude(client, { job_id: id.jobId }));
  }

  async #conclude(job: EndedJob, signal: AbortSignal): Promise<void> {
    const { jobs, parts: store, sides, verified, onConcluded } = this.#parts;
    const parameters = job.parameters as ComparisonParameters;
    const stored = await store.all(job.id);
    const report = await this.#reportOf(job, parameters, await sides.of(parameters.table), stored, signal);
    const document = reportDocument(
      {
        jobId: job.id,
        table: parameters.table,
        strategy: parameters.strategy,
        startedMs: job.startedMs,
        completedMs: this.#parts.clock.nowMs(),
        dryRun: parameters.dry_run,
        writtenUs: depthOf(parameters).writtenUs,
      },
      report,
    );
    await jobs.conclude(job.id, report.verdict, document);
    const until = coveredUntil(parameters);
    if (until !== null && isCovered(report)) {
      const [rows] = await sides.of(parameters.table);
      await verified.moveTo(rows.parts.table.id, until, job.id);
    }
    onConcluded(job.id, parameters.table, report);
  }

  /** One verdict over the rows and the static columns. */
  async #reportOf(
    job: EndedJob,
    parameters: ComparisonParameters,
    [rows, statics]: readonly [Side, ...Side[]],
    stored: readonly StoredPart[],
    signal: AbortSignal,
  ): Promise<TableReport> {
    const conclude = async (side: Side): Promise<ReconcileReport> =>
      concludeComparison(
        { ...side.parts, schemaChange: () => side.changedSince(parameters.source_id) },
        {
          jobId: job.id,
          strategy: parameters.strategy,
          repair: parameters.repair ? await this.#repair(side.parts.table.id) : null,
          dryRun: parameters.dry_run,
          // A table without any static value may pass: writers need not use the columns.
          mayBeEmpty: parameters.may_be_empty || side.side === 'statics',
          actor: job.requestedBy,
        },
        totalsOfParts(stored.filter((part) => part.side === side.side).map(endedPart)),
        signal,
      );
    const ofRows = await conclude(rows);
    return together(ofRows, statics === undefined ? null : await conclude(statics));
  }

  async #repair(tableId: number) {
    const { findings, clock, reconciliation } = this.#parts;
    const { maxRows, maxPercent, maxRowsPerDay, rowsPerSecond } = reconciliation.repair;
    const today = await findings.autoResolvedSince(tableId, clock.nowMs() - DAY_MS);
    const leftToday = Math.max(0, maxRowsPerDay - today);
    return {
      limits: { maxRows, maxShare: maxPercent / 100, leftToday, rowsPerSecond },
      status: 'AUTO_RESOLVED' as const,
    };
  }

  /** Does work of a job while it runs, and gives signs of life. */
  async #watched(jobId: string, signal: AbortSignal, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const { jobs } = this.#parts;
    const over = new AbortController();
    const beat = setInterval(() => {
      // Where the database does not answer, the work itself finds out.
      void jobs.heartbeat(jobId).then(
        (isRunning) => {
          if (!isRunning) over.abort(new JobOver('the job has ended'));
        },
        () => undefined,
      );
    }, HEARTBEAT_MS);
    try {
      await work(AbortSignal.any([signal, over.signal]));
    } catch (error) {
      over.signal.throwIfAborted();
      throw error;
    } finally {
      clearInterval(beat);
    }
  }
}

function endedPart({ plan, status, result, reason }: StoredPart): EndedPart {
  const base = { plan: plan as PartPlan };
  return status === 'SCANNED'
    ? { ...base, result: result as PartResult, reason: null }
    : { ...base, result: null, reason };
}

function gone(table: string): LockstepError {
  return new LockstepError(`the static columns of ${table} are gone`, {
    code: 'STATICS_GONE',
    kind: 'batch',
    remedy: 'none needed: the next comparison is of the columns that there are',
  });
}
