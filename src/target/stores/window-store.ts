import type { Pool } from 'pg';
import { classifyPostgresError } from '../postgres-errors.ts';
import { qualified } from '../sql-text.ts';

/** One row of `_cdc_windows`: what the last verification of a delivery window found. */
export interface WindowRow {
  readonly table: string;
  /** [startMs, endMs) of write time, ms since the epoch. */
  readonly startMs: number;
  readonly endMs: number;
  readonly rounds: number;
  readonly changelog: number;
  readonly processed: number;
  readonly filtered: number;
  readonly deadLettered: number;
  readonly missing: number;
  readonly unexpected: number;
  readonly late: number;
  readonly replayed: number;
  readonly reopened: number;
  readonly verdict: 'PASS' | 'DRIFT' | 'INCONCLUSIVE';
  readonly reason: string | null;
  readonly verifiedAt: Date;
}

/** A verification to store. `late`, `replayed` and `reopened` are added to what stands there. */
export type WindowUpdate = Omit<WindowRow, 'verifiedAt' | 'reopened'> & { readonly reopened: boolean };

export interface WindowFilter {
  readonly table?: string;
  readonly fromMs?: number;
  readonly toMs?: number;
  readonly verdict?: WindowRow['verdict'];
  readonly limit: number;
  readonly offset: number;
}

type Line = Readonly<Record<string, string | null>>;

const COUNTS = ['changelog', 'processed', 'filtered', 'dead_lettered', 'missing', 'unexpected'] as const;

/** The delivery windows in PostgreSQL. All methods reject with a classified LockstepError. */
export class WindowStore {
  readonly #pool: Pool;
  readonly #windows: string;
  readonly #tables: string;

  constructor(pool: Pool, controlSchema: string) {
    this.#pool = pool;
    this.#windows = qualified(controlSchema, '_cdc_windows');
    this.#tables = qualified(controlSchema, '_cdc_tables');
  }

  /**
   * Where verification has to go on, ms: every window before has passed all its horizons. At first the moment when the
   * table was registered: before that there is no ledger to compare with.
   */
  async unfinishedSinceMs(table: string, horizons: number): Promise<number | null> {
    const [row] = await this.#query(
      `SELECT coalesce((SELECT min(start_ms) FILTER (WHERE w.rounds < $2 OR w.verdict <> 'PASS') FROM ${this.#windows} AS w
                        WHERE w.table_id = t.id),
                       (SELECT max(end_ms) FROM ${this.#windows} AS w WHERE w.table_id = t.id),
                       (extract(epoch FROM t.registered_at) * 1000)::bigint) AS ms
       FROM ${this.#tables} AS t WHERE t.source = $1`,
      [table, horizons],
    );
    return row === undefined ? null : Number(row['ms']);
  }

  async save(update: WindowUpdate): Promise<void> {
    await this.#query(
      `INSERT INTO ${this.#windows} AS w (table_id, start_ms, end_ms, rounds, ${COUNTS.join(', ')}, late, replayed,
         reopened, verdict, reason)
       VALUES ((SELECT id FROM ${this.#tables} WHERE source = $1), $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,
         $13::integer, $14, $15)
       ON CONFLICT (table_id, start_ms) DO UPDATE SET end_ms = EXCLUDED.end_ms, rounds = greatest(w.rounds, EXCLUDED.rounds),
         ${COUNTS.map((name) => `${name} = EXCLUDED.${name}`).join(', ')}, late = w.late + EXCLUDED.late,
         replayed = w.replayed + EXCLUDED.replayed, reopened = w.reopened + EXCLUDED.reopened,
         verdict = EXCLUDED.verdict, reason = EXCLUDED.reason, verified_at = now()`,
      [
        update.table,
        update.startMs,
        update.endMs,
        update.rounds,
        update.changelog,
        update.processed,
        update.filtered,
        update.deadLettered,
        update.missing,
        update.unexpected,
        update.late,
        update.replayed,
        update.reopened ? 1 : 0,
        update.verdict,
        update.reason,
      ],
    );
  }

  /** Changes of a table that are proven missing, over all windows that drift. */
  async missing(table: string): Promise<number> {
    const [row] = await this.#query(
      `SELECT coalesce(sum(w.missing), 0) AS n FROM ${this.#windows} AS w
       WHERE w.verdict = 'DRIFT' AND w.table_id = (SELECT id FROM ${this.#tables} WHERE source = $1)`,
      [table],
    );
    return Number(row?.['n'] ?? 0);
  }

  async list(filter: WindowFilter): Promise<readonly WindowRow[]> {
    const { where, values } = conditions(filter);
    const lines = await this.#query(
      `SELECT t.source, w.start_ms, w.end_ms, w.rounds, ${COUNTS.map((name) => `w.${name}`).join(', ')}, w.late, w.replayed,
         w.reopened, w.verdict, w.reason, (extract(epoch FROM w.verified_at) * 1000)::bigint AS verified_ms
       FROM ${this.#windows} AS w JOIN ${this.#tables} AS t ON t.id = w.table_id
       ${where} ORDER BY w.start_ms DESC, t.source LIMIT ${filter.limit} OFFSET ${filter.offset}`,
      values,
    );
    return lines.map(windowFrom);
  }

  async count(filter: WindowFilter): Promise<number> {
    const { where, values } = conditions(filter);
    const [row] = await this.#query(
      `SELECT count(*) AS n FROM ${this.#windows} AS w JOIN ${this.#tables} AS t ON t.id = w.table_id ${where}`,
      values,
    );
    return Number(row?.['n'] ?? 0);
  }

  async #query(text: string, values: readonly unknown[]): Promise<Line[]> {
    try {
      return (await this.#pool.query<Line>(text, [...values])).rows;
    } catch (error) {
      throw classifyPostgresError(error, 'reading or writing delivery windows');
    }
  }
}

function conditions(filter: WindowFilter): { readonly where: string; readonly values: readonly unknown[] } {
  const values: unknown[] = [];
  const parts: string[] = [];
  const add = (sql: string, value: unknown): void => {
    if (value === undefined) return;
    values.push(value);
    parts.push(sql.replace('?', `$${values.length}`));
  };
  add('t.source = ?', filter.table);
  add('w.end_ms > ?', filter.fromMs);
  add('w.start_ms < ?', filter.toMs);
  add('w.verdict = ?', filter.verdict);
  return { where: parts.length === 0 ? '' : `WHERE ${parts.join(' AND ')}`, values };
}

function windowFrom(line: Line): WindowRow {
  const number = (name: string): number => Number(line[name] ?? 0);
  return {
    table: line['source'] ?? '',
    startMs: number('start_ms'),
    endMs: number('end_ms'),
    rounds: number('rounds'),
    changelog: number('changelog'),
    processed: number('processed'),
    filtered: number('filtered'),
    deadLettered: number('dead_lettered'),
    missing: number('missing'),
    unexpected: number('unexpected'),
    late: number('late'),
    replayed: number('replayed'),
    reopened: number('reopened'),
    verdict: line['verdict'] as WindowRow['verdict'],
    reason: line['reason'] ?? null,
    verifiedAt: new Date(number('verified_ms')),
  };
}
