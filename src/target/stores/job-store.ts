/** Long work that a person asked for, in `_cdc_jobs`: what it is, how far it is, whether somebody still works on it. */
import type { Pool } from 'pg';
import { LockstepError } from '../../shared/errors.ts';
import { classifyPostgresError } from '../postgres-errors.ts';
import { qualified } from '../sql-text.ts';
import type { Statement } from '../transaction.ts';

export type JobStatus = 'RUNNING' | 'COMPLETED' | 'FAILED' | 'CANCELLED';

export interface Job {
  readonly id: string;
  readonly kind: string;
  readonly parameters: unknown;
  readonly status: JobStatus;
  /** What is done: everything up to this position, in the order that the kind of job defines. */
  readonly cursor: bigint;
  readonly total: number;
  readonly counts: Readonly<Record<string, number>>;
  /** Where the job stands, as its kind has it, where the cursor does not tell; null until it has moved. */
  readonly state: unknown;
  readonly error: string | null;
  readonly requestedBy: string;
  readonly startedMs: number;
  readonly heartbeatMs: number;
  readonly completedMs: number | null;
}

export interface EndedJob extends Job {
  /** Of a comparison: PASS, DRIFT or INCONCLUSIVE; null where it failed. */
  readonly verdict: string | null;
  readonly report: unknown;
}

/** Which jobs of a kind; everything that is given must hold. Times are of the start, [from, to). */
export interface JobFilter {
  readonly table?: string;
  readonly rule?: string;
  readonly strategy?: string;
  readonly jobType?: string;
  readonly status?: JobStatus;
  readonly fromMs?: number;
  readonly toMs?: number;
  readonly id?: string;
}

/** A runner that was not heard of for this long is gone, and its job may be taken over, seconds. */
const SILENT_AFTER_S = 30;

type Line = Readonly<Record<string, string | null>>;

const ms = (column: string): string => `(extract(epoch FROM ${column}) * 1000)::bigint`;
const COLUMNS = `id, kind, parameters, status, cursor, total, counts, state, error, requested_by, ${ms('started_at')} AS started_ms,
  ${ms('heartbeat_at')} AS heartbeat_ms, ${ms('completed_at')} AS completed_ms`;

export class JobStore {
  readonly #pool: Pool;
  readonly #jobs: string;

  constructor(pool: Pool, controlSchema: string) {
    this.#pool = pool;
    this.#jobs = qualified(controlSchema, '_cdc_jobs');
  }

  async create(job: Pick<Job, 'id' | 'kind' | 'parameters' | 'total' | 'requestedBy'>): Promise<Job> {
    const [line] = await this.#query(
      `INSERT INTO ${this.#jobs} (id, kind, parameters, status, total, requested_by) VALUES ($1, $2, $3, 'RUNNING', $4, $5)
       RETURNING ${COLUMNS}`,
      [job.id, job.kind, JSON.stringify(job.parameters), job.total, job.requestedBy],
    );
    return jobFrom(line ?? {});
  }

  async load(id: string): Promise<Job | null> {
    const [line] = await this.#query(`SELECT ${COLUMNS} FROM ${this.#jobs} WHERE id = $1`, [id]);
    return line === undefined ? null : jobFrom(line);
  }

  /** A job of whatever kind, with its verdict and report where it has them. */
  async find(id: string): Promise<EndedJob | null> {
    const [line] = await this.#query(`SELECT ${COLUMNS}, verdict, report FROM ${this.#jobs} WHERE id = $1`, [id]);
    return line === undefined ? null : endedFrom(line);
  }

  /**
   * Takes over a job whose runner is gone, or that had failed. Rejects with a `usage` error where there is no such job, it
   * has ended, or somebody is at work on it.
   */
  async takeOver(id: string, kind: string): Promise<Job> {
    const [line] = await this.#query(
      `UPDATE ${this.#jobs} SET status = 'RUNNING', error = NULL, completed_at = NULL, heartbeat_at = now()
       WHERE id = $1 AND kind = $2 AND (status = 'FAILED'
         OR (status = 'RUNNING' AND heartbeat_at < now() - make_interval(secs => ${SILENT_AFTER_S})))
       RETURNING ${COLUMNS}`,
      [id, kind],
    );
    if (line !== undefined) return jobFrom(line);
    const job = await this.load(id);
    const found =
      job === null
        ? 'there is none'
        : job.kind !== kind
          ? `it is a ${job.kind} job`
          : job.status === 'RUNNING'
            ? `somebody works on it (heard ${new Date(job.heartbeatMs).toISOString()}; gone after ${SILENT_AFTER_S} s of silence)`
            : `it is ${job.status}`;
    throw new LockstepError(`job ${id} can not be resumed: ${found}`, {
      code: 'JOB_NOT_RESUMABLE',
      kind: 'usage',
      remedy: 'name a job that was interrupted or has failed',
    });
  }

  /** The newest job of a kind for a table (its parameter `table`). */
  async latest(kind: string, table: string): Promise<Job | null> {
    return this.latestOf(kind, 'table', table);
  }

  /** The newest job of a kind of which a parameter has this value. */
  async latestOf(kind: string, parameter: string, value: string): Promise<Job | null> {
    const [line] = await this.#query(
      `SELECT ${COLUMNS} FROM ${this.#jobs} WHERE kind = $1 AND parameters ->> $2 = $3
       ORDER BY started_at DESC LIMIT 1`,
      [kind, parameter, value],
    );
    return line === undefined ? null : jobFrom(line);
  }

  /** Whether somebody is at work on a job: it is running, and its runner was heard of. */
  async isWorkedOn(id: string): Promise<boolean> {
    const lines = await this.#query(
      `SELECT 1 FROM ${this.#jobs} WHERE id = $1 AND status = 'RUNNING'
         AND heartbeat_at >= now() - make_interval(secs => ${SILENT_AFTER_S})`,
      [id],
    );
    return lines.length > 0;
  }

  /** As `advance`, for a job whose position is not a number. */
  moveTo(id: string, state: unknown, counts: Readonly<Record<string, number>>): Statement {
    return {
      name: 'move-job',
      text: `UPDATE ${this.#jobs} SET state = $2, counts = $3, heartbeat_at = now() WHERE id = $1 AND status = 'RUNNING'`,
      values: [id, JSON.stringify(state), JSON.stringify(counts)],
    };
  }

  /** Executes such a statement by itself, where no work goes with it. */
  async run({ text, values }: Statement): Promise<void> {
    await this.#query(text, values ?? []);
  }

  /** Moves a running job on; for the transaction that did the work. */
  advance(id: string, cursor: bigint, counts: Readonly<Record<string, number>>): Statement {
    return {
      text: `UPDATE ${this.#jobs} SET cursor = $2, counts = $3, heartbeat_at = now() WHERE id = $1 AND status = 'RUNNING'`,
      values: [id, String(cursor), JSON.stringify(counts)],
    };
  }

  /** A sign of life. False where the job was cancelled meanwhile. */
  async heartbeat(id: string): Promise<boolean> {
    const lines = await this.#query(
      `UPDATE ${this.#jobs} SET heartbeat_at = now() WHERE id = $1 AND status = 'RUNNING' RETURNING id`,
      [id],
    );
    return lines.length > 0;
  }

  async finish(id: string, status: Exclude<JobStatus, 'RUNNING'>, error: string | null): Promise<void> {
    await this.#query(
      `UPDATE ${this.#jobs} SET status = $2, error = $3, completed_at = now() WHERE id = $1 AND status = 'RUNNING'`,
      [id, status, error],
    );
  }

  /** Ends running jobs of a kind of which nobody was heard for so long. @returns their IDs. */
  async endSilent(kind: string, silentMs: number, error: string): Promise<readonly string[]> {
    const lines = await this.#query(
      `UPDATE ${this.#jobs} SET status = 'FAILED', error = $3, completed_at = now()
       WHERE kind = $1 AND status = 'RUNNING' AND heartbeat_at < now() - $2::float8 * interval '1 ms' RETURNING id`,
      [kind, silentMs, error],
    );
    return lines.map((line) => line['id'] ?? '');
  }

  /** Forgets jobs of a kind that ended so long ago, with what hangs on them. */
  async forget(kind: string, olderMs: number): Promise<void> {
    await this.#query(
      `DELETE FROM ${this.#jobs} WHERE kind = $1 AND completed_at < now() - $2::float8 * interval '1 ms'`,
      [kind, olderMs],
    );
  }

  /** Ends a comparison with what it found. */
  async conclude(id: string, verdict: 'PASS' | 'DRIFT' | 'INCONCLUSIVE', report: unknown): Promise<void> {
    await this.#query(
      `UPDATE ${this.#jobs} SET status = 'COMPLETED', verdict = $2, report = $3, completed_at = now()
       WHERE id = $1 AND status = 'RUNNING'`,
      [id, verdict, JSON.stringify(report)],
    );
  }

  /** Jobs of a kind that ended after a moment, oldest first, each with its verdict and report. */
  async endedSince(kind: string, sinceMs: number): Promise<readonly EndedJob[]> {
    const lines = await this.#query(
      `SELECT ${COLUMNS}, verdict, report FROM ${this.#jobs}
       WHERE kind = $1 AND completed_at > to_timestamp($2 / 1000.0) ORDER BY completed_at`,
      [kind, sinceMs],
    );
    return lines.map(endedFrom);
  }

  /** The newest jobs of a kind, whether they have ended or not, and how many there are. */
  async newest(
    kind: string,
    filter: JobFilter,
    page: { readonly limit: number; readonly offset: number },
  ): Promise<{ readonly jobs: readonly EndedJob[]; readonly total: number }> {
    const values: unknown[] = [kind];
    const parts = ['kind = $1'];
    const add = (sql: string, value: unknown): void => {
      if (value === undefined) return;
      values.push(value);
      parts.push(sql.replace('?', `$${values.length}`));
    };
    add(`parameters ->> 'table' = ?`, filter.table);
    add(`parameters ->> 'rule' = ?`, filter.rule);
    add(`parameters ->> 'strategy' = ?`, filter.strategy);
    add(`parameters ->> 'job_type' = ?`, filter.jobType);
    add('status = ?', filter.status);
    add('started_at >= to_timestamp(?::float8 / 1000)', filter.fromMs);
    add('started_at < to_timestamp(?::float8 / 1000)', filter.toMs);
    add('id = ?', filter.id);
    const from = `FROM ${this.#jobs} WHERE ${parts.join(' AND ')}`;
    const lines = await this.#query(
      `SELECT ${COLUMNS}, verdict, report ${from} ORDER BY started_at DESC, id LIMIT ${page.limit} OFFSET ${page.offset}`,
      values,
    );
    const [count] = await this.#query(`SELECT count(*) AS n ${from}`, values);
    return { jobs: lines.map(endedFrom), total: Number(count?.['n'] ?? 0) };
  }

  async #query(text: string, values: readonly unknown[]): Promise<Line[]> {
    try {
      return (await this.#pool.query<Line>(text, [...values])).rows;
    } catch (error) {
      throw classifyPostgresError(error, 'reading or writing jobs', true);
    }
  }
}

function endedFrom(line: Line): EndedJob {
  return {
    ...jobFrom(line),
    verdict: line['verdict'] ?? null,
    report: JSON.parse(line['report'] ?? 'null') as unknown,
  };
}

function jobFrom(line: Line): Job {
  return {
    id: line['id'] ?? '',
    kind: line['kind'] ?? '',
    parameters: JSON.parse(line['parameters'] ?? 'null') as unknown,
    status: line['status'] as JobStatus,
    cursor: BigInt(line['cursor'] ?? '0'),
    total: Number(line['total']),
    counts: JSON.parse(line['counts'] ?? '{}') as Record<string, number>,
    state: JSON.parse(line['state'] ?? 'null') as unknown,
    error: line['error'] ?? null,
    requestedBy: line['requested_by'] ?? '',
    startedMs: Number(line['started_ms']),
    heartbeatMs: Number(line['heartbeat_ms']),
    completedMs: line['completed_ms'] == null ? null : Number(line['completed_ms']),
  };
}
