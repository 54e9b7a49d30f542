/** Jobs of every kind as `GET /jobs/{id}` shows them: what they are, how far they are, what came of them. Pure. */
import { BACKFILL, progressOf as backfillProgress } from '../backfill/backfill-job.ts';
import { RECONCILE } from '../end-state/run-comparison.ts';
import { REDRIVE, progressOf as redriveProgress } from '../redrive/redrive-job.ts';
import { RULE } from '../rules/rule-job.ts';
import type { EndedJob, JobStatus } from '../../target/stores/job-store.ts';

export interface JobDocument {
  readonly job_id: string;
  /** redrive, reconcile, backfill, rule; one that a newer version stored is named as it is. */
  readonly kind: string;
  readonly status: JobStatus;
  readonly requested_by: string;
  readonly started_at: string;
  /** When its runner was last heard of. */
  readonly heard_at: string;
  readonly completed_at: string | null;
  /** What it is about; null where that is no table or no rule. */
  readonly table: string | null;
  readonly rule: string | null;
  readonly validation_strategy: string | null;
  readonly dry_run: boolean;
  /** What `total`, `done` count: letters, ranges, rows, keys; null where nobody counts. */
  readonly unit: string | null;
  /** 0 where it is not known before the end. */
  readonly total: number;
  readonly done: number;
  /** Share of the work that is done, 0 to 1; null where it is not known. */
  readonly progress: number | null;
  readonly counts: Readonly<Record<string, number>>;
  /** Failures by code. */
  readonly failures: Readonly<Record<string, number>>;
  readonly verdict: string | null;
  /** What stands against PASS. */
  readonly reasons: readonly string[];
  readonly error: string | null;
}

type Progress = Pick<JobDocument, 'unit' | 'total' | 'done' | 'progress' | 'counts' | 'failures'>;

interface Parameters {
  readonly table?: string;
  readonly rule?: string;
  readonly strategy?: string;
  readonly dry_run?: boolean;
}

const iso = (ms: number): string => new Date(ms).toISOString();

/** Numbers of a report that tell what came of a job. */
function figures(report: unknown, names: readonly string[]): Record<string, number> {
  const all = (report ?? {}) as Readonly<Record<string, unknown>>;
  return Object.fromEntries(
    names.flatMap((name): [string, number][] => {
      const value = all[name];
      return typeof value === 'number' ? [[name, value]] : [];
    }),
  );
}

function ofComparison(job: EndedJob): Progress {
  const {
    ranges_scanned: scanned,
    ranges_due: due,
    repaired,
  } = (job.report ?? {}) as {
    readonly ranges_scanned?: number;
    readonly ranges_due?: number;
    readonly repaired?: Readonly<Record<string, number>>;
  };
  const [total, done] = [due ?? job.total, scanned ?? Number(job.cursor)];
  return {
    unit: 'ranges',
    total,
    done,
    progress: share(job, done, total),
    counts: {
      ...figures(job.report, [
        'compared',
        'cassandra_row_count',
        'postgres_row_count',
        'mismatch_count',
        'ignored',
        'in_flight',
        'unproven',
        'superseded',
      ]),
      ...Object.fromEntries(Object.entries(repaired ?? {}).map(([outcome, n]) => [`repair_${outcome}`, n])),
    },
    failures: {},
  };
}

function ofRule(job: EndedJob): Progress {
  const counts = figures(job.report, [
    'cassandra_keys',
    'postgres_keys',
    'mismatch_count',
    'accepted',
    'unproven',
    'in_flight',
    'not_followed',
    'superseded',
    'looks',
  ]);
  const keys = Math.max(counts['cassandra_keys'] ?? 0, counts['postgres_keys'] ?? 0);
  return { unit: 'keys', total: keys, done: keys, progress: share(job, 0, 0), counts, failures: {} };
}

function ofBackfill(job: EndedJob): Progress {
  const { counts, failures, covered } = backfillProgress(job);
  return { unit: 'rows', total: 0, done: counts.rows + counts.statics, progress: covered, counts, failures };
}

function ofRedrive(job: EndedJob): Progress {
  const { total, done, counts, failures } = redriveProgress(job);
  return { unit: 'letters', total, done, progress: share(job, done, total), counts, failures };
}

function ofOther(job: EndedJob): Progress {
  const done = Number(job.cursor);
  return {
    unit: null,
    total: job.total,
    done,
    progress: share(job, done, job.total),
    counts: job.counts,
    failures: {},
  };
}

function share({ status }: EndedJob, done: number, total: number): number | null {
  if (status === 'COMPLETED') return 1;
  return total === 0 ? null : Math.min(1, done / total);
}

const PROGRESS: Readonly<Record<string, (job: EndedJob) => Progress>> = {
  [REDRIVE]: ofRedrive,
  [RECONCILE]: ofComparison,
  [BACKFILL]: ofBackfill,
  [RULE]: ofRule,
};

export function jobDocument(job: EndedJob): JobDocument {
  const { table = null, rule = null, strategy = null, dry_run: dryRun = false } = (job.parameters ?? {}) as Parameters;
  const { reasons = [] } = (job.report ?? {}) as { readonly reasons?: readonly string[] };
  return {
    job_id: job.id,
    kind: job.kind,
    status: job.status,
    requested_by: job.requestedBy,
    started_at: iso(job.startedMs),
    heard_at: iso(job.heartbeatMs),
    completed_at: job.completedMs === null ? null : iso(job.completedMs),
    table,
    rule,
    validation_strategy: strategy,
    dry_run: dryRun,
    ...(PROGRESS[job.kind] ?? ofOther)(job),
    verdict: job.verdict,
    reasons,
    error: job.error,
  };
}
