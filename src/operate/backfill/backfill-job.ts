/**
 * Backfill: rows that the source had before its changes were captured, or whose changes were lost, with their own write
 * times and expiries, beside the live stream. A row that is in the target already is merged with, so that backfill never
 * replaces anything newer and may be repeated; what the source does not have, it says nothing about.
 */
import { randomUUID } from 'node:crypto';
import { LockstepError } from '../../shared/errors.ts';
import type { Job, JobStore } from '../../target/stores/job-store.ts';
import { failuresOf } from '../jobs/failure-counts.ts';
import { coveredShare, stateOf } from './backfill-state.ts';

export const BACKFILL = 'backfill';

interface BackfillParameters {
  readonly table: string;
  readonly has_statics: boolean;
}

/** `failed` rows are left out, each with a code; the others are in the target when the job has moved past them. */
export type BackfillCounts = Record<'rows' | 'statics' | 'written' | 'unchanged' | 'failed', number>;

export interface BackfillProgress {
  readonly jobId: string;
  readonly table: string;
  readonly status: Job['status'];
  readonly counts: BackfillCounts;
  /** Failed rows by code. */
  readonly failures: Readonly<Record<string, number>>;
  /** Share of the ring that was read, 0 to 1. */
  readonly covered: number;
  readonly error: string | null;
}

/** A new job. @throws {LockstepError} `JOB_RUNNING` (usage) where somebody is at work on one for the table. */
export async function beginBackfill(
  jobs: JobStore,
  table: string,
  hasStatics: boolean,
  requestedBy: string,
): Promise<Job> {
  const latest = await jobs.latest(BACKFILL, table);
  if (latest !== null && (await jobs.isWorkedOn(latest.id))) {
    throw new LockstepError(`a backfill of ${table} is running: job ${latest.id}`, {
      code: 'JOB_RUNNING',
      kind: 'usage',
      remedy: 'wait for it to end; if it was killed, go on with --resume after 30 s',
    });
  }
  const parameters: BackfillParameters = { table, has_statics: hasStatics };
  return jobs.create({ id: randomUUID(), kind: BACKFILL, parameters, total: 0, requestedBy });
}

/** The table's last job, to go on with. @throws {LockstepError} `JOB_NOT_RESUMABLE` (usage) where there is none. */
export async function resumeBackfill(jobs: JobStore, table: string): Promise<Job> {
  const latest = await jobs.latest(BACKFILL, table);
  if (latest !== null) return jobs.takeOver(latest.id, BACKFILL);
  throw new LockstepError(`there is no backfill of ${table} to go on with`, {
    code: 'JOB_NOT_RESUMABLE',
    kind: 'usage',
    remedy: 'begin one: leave out --resume',
  });
}

/** Progress of a job as stored. */
export function progressOf(job: Job): BackfillProgress {
  const { table, has_statics: hasStatics } = job.parameters as BackfillParameters;
  const at = (name: string): number => job.counts[name] ?? 0;
  return {
    jobId: job.id,
    table,
    status: job.status,
    counts: {
      rows: at('rows'),
      statics: at('statics'),
      written: at('written'),
      unchanged: at('unchanged'),
      failed: at('failed'),
    },
    failures: failuresOf(job.counts),
    covered: job.status === 'COMPLETED' ? 1 : coveredShare(stateOf(job), hasStatics),
    error: job.error,
  };
}
