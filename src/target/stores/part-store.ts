/**
 * The parts of a comparison in `_cdc_job_ranges`: members scan them, and each result is stored once, whoever brings it. The
 * part that ends last leads to the conclusion, in the transaction that says so: a member that is killed can't lose it.
 */
import type { Pool, PoolClient } from 'pg';
import type { Job } from './job-store.ts';
import { classifyPostgresError } from '../postgres-errors.ts';
import { numberArray, qualified, textArray } from '../sql-text.ts';
import { checkCommitted, withClient } from '../transaction.ts';

/** The table's rows, or those of its static columns. */
export type PartSide = 'rows' | 'statics';

export interface PartId {
  readonly jobId: string;
  readonly side: PartSide;
  readonly part: number;
}

export interface StoredPart extends PartId {
  readonly plan: unknown;
  readonly status: 'DUE' | 'SCANNED' | 'UNSCANNED';
  readonly failures: number;
  readonly result: unknown;
  readonly reason: string | null;
}

/** What became of a part. */
export type PartEnd =
  { readonly kind: 'scanned'; readonly result: unknown } | { readonly kind: 'unscanned'; readonly reason: string };

/** Further statements for the same transaction, such as messages to workers. */
export type Also = (client: PoolClient) => Promise<void>;

type Line = Readonly<Record<string, string | null>>;

/** All methods reject with a classified LockstepError. */
export class PartStore {
  readonly #pool: Pool;
  readonly #jobs: string;
  readonly #parts: string;

  constructor(pool: Pool, controlSchema: string) {
    this.#pool = pool;
    this.#jobs = qualified(controlSchema, '_cdc_jobs');
    this.#parts = qualified(controlSchema, '_cdc_job_ranges');
  }

  /** A job with all its parts, or nothing of it. */
  async create(
    job: Pick<Job, 'id' | 'kind' | 'parameters' | 'requestedBy'>,
    parts: readonly Pick<StoredPart, 'side' | 'part' | 'plan'>[],
    also: Also,
  ): Promise<void> {
    await this.#transaction('beginning a comparison', async (client) => {
      await client.query(
        `INSERT INTO ${this.#jobs} (id, kind, parameters, status, total, requested_by)
         VALUES ($1, $2, $3, 'RUNNING', $4, $5)`,
        [job.id, job.kind, JSON.stringify(job.parameters), parts.length, job.requestedBy],
      );
      await client.query(
        `INSERT INTO ${this.#parts} (job_id, side, part, plan)
         SELECT $1, p.side, p.part, p.plan::jsonb FROM unnest($2::text[], $3::integer[], $4::text[]) AS p(side, part, plan)`,
        [
          job.id,
          textArray(parts.map(({ side }) => side)),
          numberArray(parts.map(({ part }) => part)),
          textArray(parts.map(({ plan }) => JSON.stringify(plan))),
        ],
      );
      await also(client);
    });
  }

  async load({ jobId, side, part }: PartId): Promise<StoredPart | null> {
    const [line] = await this.#query(`SELECT * FROM ${this.#parts} WHERE job_id = $1 AND side = $2 AND part = $3`, [
      jobId,
      side,
      part,
    ]);
    return line === undefined ? null : partFrom(line);
  }

  /** Every part of a job, in order. */
  async all(jobId: string): Promise<readonly StoredPart[]> {
    const lines = await this.#query(`SELECT * FROM ${this.#parts} WHERE job_id = $1 ORDER BY side, part`, [jobId]);
    return lines.map(partFrom);
  }

  /** A scan of the part has failed. @returns how many have by now. */
  async failed({ jobId, side, part }: PartId, reason: string): Promise<number> {
    const [line] = await this.#query(
      `UPDATE ${this.#parts} SET failures = failures + 1, reason = $4
       WHERE job_id = $1 AND side = $2 AND part = $3 RETURNING failures`,
      [jobId, side, part, reason],
    );
    return Number(line?.['failures'] ?? 0);
  }

  /**
   * Stores what became of a part. What was stored first stays: a worker that was taken for lost changes nothing.
   *
   * @param last Runs where no part is left, once a job.
   */
  async end({ jobId, side, part }: PartId, worker: string, end: PartEnd, last: Also): Promise<void> {
    await this.#transaction('storing a range of a comparison', async (client) => {
      const { rowCount } = await client.query(
        `UPDATE ${this.#parts} SET status = $4, result = $5, reason = $6, worker = $7, ended_at = now()
         WHERE job_id = $1 AND side = $2 AND part = $3 AND status = 'DUE'`,
        [
          jobId,
          side,
          part,
          end.kind === 'scanned' ? 'SCANNED' : 'UNSCANNED',
          end.kind === 'scanned' ? JSON.stringify(end.result) : null,
          end.kind === 'scanned' ? null : end.reason,
          worker,
        ],
      );
      if (rowCount !== 1) return;
      // The job's row is a lock, too: of two parts that end at once one sees that it is the last.
      const { rows } = await client.query<Line>(
        `UPDATE ${this.#jobs} SET cursor = cursor + 1, heartbeat_at = now() WHERE id = $1 AND status = 'RUNNING'
         RETURNING cursor >= total AS is_last`,
        [jobId],
      );
      if (rows[0]?.['is_last'] === 't') await last(client);
    });
  }

  async #transaction(action: string, work: Also): Promise<void> {
    try {
      await withClient(this.#pool, async (client) => {
        await client.query('BEGIN');
        await work(client);
        checkCommitted(await client.query('COMMIT'));
      });
    } catch (error) {
      throw classifyPostgresError(error, action, true);
    }
  }

  async #query(text: string, values: readonly unknown[]): Promise<Line[]> {
    try {
      return (await this.#pool.query<Line>(text, [...values])).rows;
    } catch (error) {
      throw classifyPostgresError(error, 'reading or writing ranges of a comparison', true);
    }
  }
}

function partFrom(line: Line): StoredPart {
  const json = (name: string): unknown => JSON.parse(line[name] ?? 'null') as unknown;
  return {
    jobId: line['job_id'] ?? '',
    side: line['side'] as PartSide,
    part: Number(line['part']),
    plan: json('plan'),
    status: line['status'] as StoredPart['status'],
    failures: Number(line['failures']),
    result: json('result'),
    reason: line['reason'] ?? null,
  };
}
