/** The index of dead letters in PostgreSQL: listing, counting, and what was tried with them. */
import type { Pool } from 'pg';
import type { ShardId } from '../target/batch.ts';
import { classifyPostgresError } from '../target/index.ts';
import { qualified } from '../target/sql-text.ts';
import type { OutsideOutcome } from '../target/outside-door.ts';
import { checkCommitted, pipeline, type Statement, withClient } from '../target/transaction.ts';
import { letterConditions, type LetterFilter, type LetterStatus } from './letter-filter.ts';

/** One dead letter, without its bytes. */
export interface IndexedLetter {
  readonly id: bigint;
  readonly shard: ShardId;
  readonly offset: bigint;
  /** `keyspace.table`, or null where its table is not registered any more. */
  readonly table: string | null;
  readonly code: string;
  readonly reason: string;
  /** Where in the record, or ''. */
  readonly path: string;
  readonly changeId: string | null;
  readonly rowKey: string | null;
  readonly status: LetterStatus;
  readonly attempts: number;
  /** Of key and value: what a copy must have to count. */
  readonly sha256: Buffer;
  readonly valueBytes: number;
  /** Kafka's time of the source record, ms. */
  readonly recordMs: number;
  readonly firstFailedMs: number;
  readonly lastFailedMs: number;
  readonly resolvedMs: number | null;
}

/** Why a letter failed again. */
export interface LetterFailure {
  readonly code: string;
  readonly reason: string;
  /** Where in the record, or ''. */
  readonly path: string;
}

export interface LetterAttempt {
  readonly atMs: number;
  /** Null where it was tried by itself, or discarded. */
  readonly jobId: string | null;
  readonly outcome: OutsideOutcome | 'failed' | 'discarded';
  readonly code: string | null;
  readonly reason: string | null;
}

/** Letters of one code and table, with the hours in which they failed first. */
export interface LetterGroup {
  readonly table: string | null;
  readonly code: string;
  readonly status: LetterStatus;
  readonly count: number;
  readonly firstMs: number;
  readonly lastMs: number;
  /** A letter to look at. */
  readonly sampleId: bigint;
  readonly samplePath: string;
  readonly sampleReason: string;
}

/** Letters of one table and code whose first failure was in one hour. */
export interface LetterHour {
  readonly table: string | null;
  readonly code: string;
  readonly hourMs: number;
  readonly count: number;
}

export interface LetterStats {
  readonly total: number;
  readonly groups: readonly LetterGroup[];
  /** By hour of the first failure, oldest first. */
  readonly hours: readonly LetterHour[];
}

type Line = Readonly<Record<string, string | null>>;

const ms = (column: string): string => `(extract(epoch FROM ${column}) * 1000)::bigint`;
const COLUMNS = `d.id, d.topic, d.incarnation, d.partition, d."offset", t.source, d.code, d.reason, d.path, d.change_id,
  d.row_key, d.status, d.attempts, d.sha256, d.value_bytes, d.record_ms, ${ms('d.first_failed_at')} AS first_ms,
  ${ms('d.last_failed_at')} AS last_ms, ${ms('d.resolved_at')} AS resolved_ms`;
const REASON_CHARS = 2_000;

export class LetterIndex {
  readonly #pool: Pool;
  readonly #letters: string;
  readonly #attempts: string;
  readonly #tables: string;
  readonly #from: string;

  constructor(pool: Pool, controlSchema: string) {
    this.#pool = pool;
    this.#letters = qualified(controlSchema, '_cdc_dead_letters');
    this.#attempts = qualified(controlSchema, '_cdc_dead_letter_attempts');
    this.#tables = qualified(controlSchema, '_cdc_tables');
    this.#from = `${this.#letters} AS d LEFT JOIN ${this.#tables} AS t ON t.topic = d.topic`;
  }

  /** Letters in the order of their IDs, those after `after`. */
  async page(filter: LetterFilter, after: bigint, limit: number): Promise<readonly IndexedLetter[]> {
    const { sql, values } = letterConditions(filter);
    const lines = await this.#query(
      `SELECT ${COLUMNS} FROM ${this.#from} WHERE ${sql} AND d.id > $${values.length + 1} ORDER BY d.id LIMIT ${limit}`,
      [...values, String(after)],
    );
    return lines.map(letterFrom);
  }

  /** The newest letters first, for people. */
  async newest(filter: LetterFilter, limit: number, offset: number): Promise<readonly IndexedLetter[]> {
    const { sql, values } = letterConditions(filter);
    const lines = await this.#query(
      `SELECT ${COLUMNS} FROM ${this.#from} WHERE ${sql} ORDER BY d.id DESC LIMIT ${limit} OFFSET ${offset}`,
      values,
    );
    return lines.map(letterFrom);
  }

  async count(filter: LetterFilter): Promise<number> {
    const { sql, values } = letterConditions(filter);
    const [line] = await this.#query(`SELECT count(*) AS n FROM ${this.#from} WHERE ${sql}`, values);
    return Number(line?.['n'] ?? 0);
  }

  async stats(filter: LetterFilter): Promise<LetterStats> {
    const { sql, values } = letterConditions(filter);
    const groups = await this.#query(
      `SELECT t.source, d.code, d.status, count(*) AS n, ${ms('min(d.first_failed_at)')} AS first_ms,
         ${ms('max(d.first_failed_at)')} AS last_ms, max(d.id) AS sample,
         (array_agg(d.reason ORDER BY d.id DESC))[1] AS reason, (array_agg(d.path ORDER BY d.id DESC))[1] AS path
       FROM ${this.#from} WHERE ${sql} GROUP BY 1, 2, 3 ORDER BY 4 DESC, 2`,
      values,
    );
    const hours = await this.#query(
      `SELECT ${ms("date_trunc('hour', d.first_failed_at)")} AS hour_ms, t.source, d.code, count(*) AS n
       FROM ${this.#from} WHERE ${sql} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3`,
      values,
    );
    return {
      total: groups.reduce((sum, line) => sum + Number(line['n']), 0),
      groups: groups.map((line) => ({
        table: line['source'] ?? null,
        code: line['code'] ?? '',
        status: line['status'] as LetterStatus,
        count: Number(line['n']),
        firstMs: Number(line['first_ms']),
        lastMs: Number(line['last_ms']),
        sampleId: BigInt(line['sample'] ?? '0'),
        samplePath: line['path'] ?? '',
        sampleReason: line['reason'] ?? '',
      })),
      hours: hours.map((line) => ({
        table: line['source'] ?? null,
        code: line['code'] ?? '',
        hourMs: Number(line['hour_ms']),
        count: Number(line['n']),
      })),
    };
  }

  /** How many letters of the filter are open, since when, and how large records are on average. */
  async openLetters(
    filter: LetterFilter,
  ): Promise<{ readonly open: number; readonly oldestMs: number | null; readonly averageBytes: number }> {
    const { sql, values } = letterConditions(filter);
    const isOpen = `d.status IN ('pending', 'waiting')`;
    const [line] = await this.#query(
      `SELECT count(*) FILTER (WHERE ${isOpen}) AS open, avg(d.value_bytes) AS bytes,
         ${ms(`min(d.first_failed_at) FILTER (WHERE ${isOpen})`)} AS oldest_ms
       FROM ${this.#from} WHERE ${sql}`,
      values,
    );
    return {
      open: Number(line?.['open'] ?? 0),
      oldestMs: line?.['oldest_ms'] == null ? null : Number(line['oldest_ms']),
      averageBytes: Number(line?.['bytes'] ?? 0),
    };
  }

  /** Names of the columns that belong to no key, by source table: what a row key can not tell. */
  async regularColumns(): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
    const lines = await this.#query(`SELECT source, ordinals FROM ${this.#tables}`, []);
    return new Map(
      lines.map((line) => [
        line['source'] ?? '',
        new Set(Object.keys(JSON.parse(line['ordinals'] ?? '{}') as Record<string, unknown>)),
      ]),
    );
  }

  async attempts(id: bigint): Promise<readonly LetterAttempt[]> {
    const lines = await this.#query(
      `SELECT ${ms('at')} AS at_ms, job_id, outcome, code, reason FROM ${this.#attempts} WHERE letter_id = $1 ORDER BY at`,
      [String(id)],
    );
    return lines.map((line) => ({
      atMs: Number(line['at_ms']),
      jobId: line['job_id'] ?? null,
      outcome: line['outcome'] as LetterAttempt['outcome'],
      code: line['code'] ?? null,
      reason: line['reason'] ?? null,
    }));
  }

  /**
   * Says that a letter has gone through the door; for the door's own transaction. Where somebody else (the owner of its
   * shard, another job) has brought it through since it was read, that is noted already and not counted again.
   */
  redriven({ id, attempts }: IndexedLetter, jobId: string | null, outcome: OutsideOutcome): readonly Statement[] {
    return [
      {
        text: `WITH noted AS (
            UPDATE ${this.#letters} SET status = 'redriven', attempts = attempts + 1, resolved_at = now()
            WHERE id = $1 AND (attempts = $4 OR status IN ('pending', 'waiting')) RETURNING id)
          INSERT INTO ${this.#attempts} (letter_id, job_id, outcome) SELECT id, $2::uuid, $3 FROM noted`,
        values: [String(id), jobId, outcome, attempts],
      },
    ];
  }

  /**
   * A letter that failed again is the same letter with one more attempt; `move` commits with it. Where somebody else has
   * tried it since it was read, that attempt stands for both.
   */
  async failedAgain(
    letter: IndexedLetter,
    jobId: string,
    { code, reason, path }: LetterFailure,
    move: Statement,
  ): Promise<void> {
    await this.run([
      {
        text: `WITH noted AS (
            UPDATE ${this.#letters} SET attempts = attempts + 1, code = $3, reason = $4, path = $6, last_failed_at = now()
            WHERE id = $1 AND attempts = $5 RETURNING id)
          INSERT INTO ${this.#attempts} (letter_id, job_id, outcome, code, reason)
          SELECT id, $2::uuid, 'failed', $3, $4 FROM noted`,
        values: [String(letter.id), jobId, code, storable(reason), letter.attempts, path],
      },
      move,
    ]);
  }

  /** Letters of a shard that wait for another row and are due, oldest first. */
  async dueWaiting(shard: ShardId, limit: number): Promise<readonly IndexedLetter[]> {
    const lines = await this.#query(
      `SELECT ${COLUMNS} FROM ${this.#from} WHERE d.status = 'waiting' AND d.topic = $1 AND d.incarnation = $2
         AND d.partition = $3 AND coalesce(d.next_try_at, d.first_failed_at + interval '1 second') <= now()
       ORDER BY d.id LIMIT ${limit}`,
      [shard.topic, shard.incarnation, shard.partition],
    );
    return lines.map(letterFrom);
  }

  /**
   * A waiting letter failed again. It waits on — for half its age, a second at least and a minute at most — until its
   * time is over or it fails for a reason that waiting does not mend: then it is pending.
   *
   * @param mayWaitMs how long after the first failure it may still wait; 0 = no more.
   * @returns true where it is pending now. False also where somebody else has tried it meanwhile: it is read again then.
   */
  async waitedInVain(
    letter: IndexedLetter,
    { code, reason, path }: LetterFailure,
    mayWaitMs: number,
  ): Promise<boolean> {
    const [line] = await this.#query(
      `UPDATE ${this.#letters} AS d SET attempts = attempts + 1, code = $2, reason = $3, path = $6, last_failed_at = now(),
         status = CASE WHEN now() - d.first_failed_at < $4::float8 * interval '1 millisecond' THEN 'waiting' ELSE 'pending' END,
         next_try_at = now() + greatest(interval '1 second', least(interval '1 minute', (now() - d.first_failed_at) / 2))
       WHERE id = $1 AND status = 'waiting' AND attempts = $5 RETURNING d.status`,
      [String(letter.id), code, storable(reason), mayWaitMs, letter.attempts, path],
    );
    return line?.['status'] === 'pending';
  }

  /** Statements in one transaction of their own. */
  async run(statements: readonly Statement[]): Promise<void> {
    await withClient(this.#pool, async (client) => {
      try {
        const all = [{ text: 'BEGIN' }, ...statements, { text: 'COMMIT' }];
        checkCommitted((await pipeline(client, all)).at(-1));
      } catch (error) {
        throw classifyPostgresError(error, 'writing the index of dead letters', true);
      }
    });
  }

  async #query(text: string, values: readonly unknown[]): Promise<Line[]> {
    try {
      return (await this.#pool.query<Line>(text, [...values])).rows;
    } catch (error) {
      throw classifyPostgresError(error, 'reading or writing the index of dead letters', true);
    }
  }
}

/** A reason as a text that PostgreSQL takes, of bounded length. */
function storable(reason: string): string {
  return reason.replaceAll('\0', '\\u0000').slice(0, REASON_CHARS);
}

function letterFrom(line: Line): IndexedLetter {
  const number = (name: string): number => Number(line[name] ?? 0);
  return {
    id: BigInt(line['id'] ?? '0'),
    shard: { topic: line['topic'] ?? '', incarnation: number('incarnation'), partition: number('partition') },
    offset: BigInt(line['offset'] ?? '0'),
    table: line['source'] ?? null,
    code: line['code'] ?? '',
    reason: line['reason'] ?? '',
    path: line['path'] ?? '',
    changeId: line['change_id']?.replaceAll('-', '') ?? null,
    rowKey: line['row_key'] ?? null,
    status: line['status'] as LetterStatus,
    attempts: number('attempts'),
    sha256: Buffer.from((line['sha256'] ?? '\\x').slice(2), 'hex'),
    valueBytes: number('value_bytes'),
    recordMs: number('record_ms'),
    firstFailedMs: number('first_ms'),
    lastFailedMs: number('last_ms'),
    resolvedMs: line['resolved_ms'] == null ? null : number('resolved_ms'),
  };
}
