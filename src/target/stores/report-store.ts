/** What a report on reconciliation is made from: runs, findings and delivery windows of a span of time, summed up. */
import type { Pool } from 'pg';
import { classifyPostgresError } from '../postgres-errors.ts';
import { qualified } from '../sql-text.ts';

/** [fromMs, toMs), ms since the epoch. */
export interface ReportSpan {
  readonly fromMs: number;
  readonly toMs: number;
}

/** A job of `_cdc_jobs` with what it found. */
export interface RunRow {
  readonly id: string;
  /** The table of a comparison, the rule of a rule's run. */
  readonly subject: string;
  readonly strategy: string;
  readonly dryRun: boolean;
  readonly status: string;
  readonly verdict: string | null;
  readonly error: string | null;
  readonly requestedBy: string;
  readonly startedMs: number;
  readonly completedMs: number | null;
  /** As `reportDocument` writes it; null where the run has no verdict. */
  readonly report: Readonly<Record<string, unknown>> | null;
}

export interface FindingCount {
  readonly table: string;
  readonly type: string;
  readonly cause: string;
  readonly status: string;
  readonly count: number;
  readonly firstSeenMs: number;
}

/** Windows of one table and one verdict, summed. */
export interface WindowSum {
  readonly table: string;
  readonly verdict: 'PASS' | 'DRIFT' | 'INCONCLUSIVE';
  readonly windows: number;
  readonly startMs: number;
  readonly endMs: number;
  readonly changelog: number;
  readonly processed: number;
  readonly filtered: number;
  readonly deadLettered: number;
  readonly missing: number;
  readonly unexpected: number;
  readonly late: number;
  readonly replayed: number;
  readonly reopened: number;
}

/** Windows that begin in one of the equal parts of the span. */
export interface WindowSlot {
  readonly table: string;
  readonly slot: number;
  readonly pass: number;
  readonly drift: number;
  readonly inconclusive: number;
}

type Line = Readonly<Record<string, string | null>>;

/** Runs of one table that a report tells of; the newest. */
export const MAX_RUNS = 200;
const SUMS = [
  'changelog',
  'processed',
  'filtered',
  'dead_lettered',
  'missing',
  'unexpected',
  'late',
  'replayed',
  'reopened',
] as const;

const ms = (column: string): string => `(extract(epoch FROM ${column}) * 1000)::bigint`;
const number = (line: Line, name: string): number => Number(line[name] ?? 0);

/** All methods reject with a classified LockstepError. */
export class ReportStore {
  readonly #pool: Pool;
  readonly #name: (table: string) => string;

  constructor(pool: Pool, controlSchema: string) {
    this.#pool = pool;
    this.#name = (table) => qualified(controlSchema, table);
  }

  /**
   * Runs of a kind that overlap the span, the newest of each subject first, and beside them the newest verdict of each
   * subject and strategy from before its end, however old.
   *
   * @param subject The name of the parameter that says what the run is about.
   */
  async runs(kind: string, subject: 'table' | 'rule', { fromMs, toMs }: ReportSpan): Promise<readonly RunRow[]> {
    const lines = await this.#query(
      `WITH jobs AS (
         SELECT id, parameters ->> $2 AS subject, coalesce(parameters ->> 'strategy', '') AS strategy,
           coalesce(parameters ->> 'dry_run', 'false') AS dry_run, status, verdict, error, requested_by, report,
           started_at, completed_at
         FROM ${this.#name('_cdc_jobs')} WHERE kind = $1 AND started_at < to_timestamp($4 / 1000.0)),
       known AS (
         SELECT *, coalesce(completed_at, 'infinity') >= to_timestamp($3 / 1000.0) AS inside,
           row_number() OVER (PARTITION BY subject ORDER BY started_at DESC, id) AS nth,
           row_number() OVER (PARTITION BY subject, strategy, verdict IS NOT NULL ORDER BY started_at DESC, id) AS nth_verdict
         FROM jobs)
       SELECT id, subject, strategy, dry_run, status, verdict, error, requested_by, report, ${ms('started_at')} AS started_ms,
         ${ms('completed_at')} AS completed_ms
       FROM known WHERE (inside AND nth <= ${MAX_RUNS}) OR (verdict IS NOT NULL AND nth_verdict = 1)
       ORDER BY subject, started_at DESC, id`,
      [kind, subject, fromMs, toMs],
    );
    return lines.map((line) => ({
      id: line['id'] ?? '',
      subject: line['subject'] ?? '',
      strategy: line['strategy'] ?? '',
      dryRun: line['dry_run'] === 'true',
      status: line['status'] ?? '',
      verdict: line['verdict'] ?? null,
      error: line['error'] ?? null,
      requestedBy: line['requested_by'] ?? '',
      startedMs: number(line, 'started_ms'),
      completedMs: line['completed_ms'] == null ? null : number(line, 'completed_ms'),
      report: JSON.parse(line['report'] ?? 'null') as RunRow['report'],
    }));
  }

  /** Findings that are open or accepted, and those that a run of the span has seen; by table, type, cause and status. */
  async findings({ fromMs, toMs }: ReportSpan): Promise<readonly FindingCount[]> {
    const lines = await this.#query(
      `SELECT t.source, f.type, f.cause, f.status, count(*) AS n, ${ms('min(f.first_seen_at)')} AS first_seen_ms
       FROM ${this.#name('_cdc_findings')} AS f JOIN ${this.#name('_cdc_tables')} AS t ON t.id = f.table_id
       WHERE f.first_seen_at < to_timestamp($2 / 1000.0)
         AND (f.status IN ('PENDING', 'IGNORED') OR f.last_seen_at >= to_timestamp($1 / 1000.0))
       GROUP BY t.source, f.type, f.cause, f.status ORDER BY t.source, n DESC, f.type, f.cause, f.status`,
      [fromMs, toMs],
    );
    return lines.map((line) => ({
      table: line['source'] ?? '',
      type: line['type'] ?? '',
      cause: line['cause'] ?? '',
      status: line['status'] ?? '',
      count: number(line, 'n'),
      firstSeenMs: number(line, 'first_seen_ms'),
    }));
  }

  /** When a row of each table was last repaired, ms. */
  async lastRepairs(): Promise<ReadonlyMap<string, number>> {
    const lines = await this.#query(
      `SELECT t.source, ${ms('max(f.resolved_at)')} AS at
       FROM ${this.#name('_cdc_findings')} AS f JOIN ${this.#name('_cdc_tables')} AS t ON t.id = f.table_id
       WHERE f.status IN ('AUTO_RESOLVED', 'MANUAL_RESOLVED') AND f.resolved_at IS NOT NULL GROUP BY t.source`,
      [],
    );
    return new Map(lines.map((line) => [line['source'] ?? '', number(line, 'at')]));
  }

  /** Delivery windows that overlap the span, by table and verdict. */
  async windowSums({ fromMs, toMs }: ReportSpan): Promise<readonly WindowSum[]> {
    const lines = await this.#query(
      `SELECT t.source, w.verdict, count(*) AS windows, min(w.start_ms) AS start_ms, max(w.end_ms) AS end_ms,
         ${SUMS.map((name) => `sum(w.${name}) AS ${name}`).join(', ')}
       FROM ${this.#name('_cdc_windows')} AS w JOIN ${this.#name('_cdc_tables')} AS t ON t.id = w.table_id
       WHERE w.end_ms > $1 AND w.start_ms < $2 GROUP BY t.source, w.verdict ORDER BY t.source, w.verdict`,
      [fromMs, toMs],
    );
    return lines.map((line) => ({
      table: line['source'] ?? '',
      verdict: line['verdict'] as WindowSum['verdict'],
      windows: number(line, 'windows'),
      startMs: number(line, 'start_ms'),
      endMs: number(line, 'end_ms'),
      changelog: number(line, 'changelog'),
      processed: number(line, 'processed'),
      filtered: number(line, 'filtered'),
      deadLettered: number(line, 'dead_lettered'),
      missing: number(line, 'missing'),
      unexpected: number(line, 'unexpected'),
      late: number(line, 'late'),
      replayed: number(line, 'replayed'),
      reopened: number(line, 'reopened'),
    }));
  }

  /** The same windows by when they begin: the span in `slots` equal parts, counted from 0; empty parts are left out. */
  async windowSlots({ fromMs, toMs }: ReportSpan, slots: number): Promise<readonly WindowSlot[]> {
    const counted = (verdict: string): string =>
      `count(*) FILTER (WHERE w.verdict = '${verdict}') AS ${verdict.toLowerCase()}`;
    const lines = await this.#query(
      `SELECT t.source, greatest(width_bucket(w.start_ms, $1, $2, $3::integer) - 1, 0) AS slot,
         ${['PASS', 'DRIFT', 'INCONCLUSIVE'].map(counted).join(', ')}
       FROM ${this.#name('_cdc_windows')} AS w JOIN ${this.#name('_cdc_tables')} AS t ON t.id = w.table_id
       WHERE w.end_ms > $1 AND w.start_ms < $2 GROUP BY 1, 2 ORDER BY 1, 2`,
      [fromMs, toMs, slots],
    );
    return lines.map((line) => ({
      table: line['source'] ?? '',
      slot: number(line, 'slot'),
      pass: number(line, 'pass'),
      drift: number(line, 'drift'),
      inconclusive: number(line, 'inconclusive'),
    }));
  }

  async #query(text: string, values: readonly unknown[]): Promise<Line[]> {
    try {
      return (await this.#pool.query<Line>(text, [...values])).rows;
    } catch (error) {
      throw classifyPostgresError(error, 'reading what reconciliation has found');
    }
  }
}
