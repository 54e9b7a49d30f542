/** Findings of business rules in `_cdc_rule_findings`: one open entry for a key of a rule, however often it is seen. */
import type { Pool } from 'pg';
import { LockstepError } from '../../shared/errors.ts';
import type { FindingStatus } from './finding-store.ts';
import { classifyPostgresError } from '../postgres-errors.ts';
import { jsonbText, qualified, textArray } from '../sql-text.ts';

export interface NewRuleFinding {
  readonly key: string;
  readonly kind: string;
  readonly columns: readonly string[];
  readonly source: Readonly<Record<string, string | null>> | null;
  readonly target: Readonly<Record<string, string | null>> | null;
}

export interface RuleFinding extends NewRuleFinding {
  readonly id: bigint;
  readonly rule: string;
  readonly severity: string;
  readonly status: FindingStatus;
  readonly notes: string | null;
  readonly resolvedBy: string | null;
  readonly jobId: string;
  readonly seen: number;
  readonly firstSeenMs: number;
  readonly lastSeenMs: number;
  readonly resolvedMs: number | null;
}

export interface RuleFindingFilter {
  readonly rule?: string;
  readonly status?: FindingStatus;
  readonly limit: number;
  readonly offset?: number;
}

type Line = Readonly<Record<string, string | null>>;

const ms = (column: string): string => `(extract(epoch FROM ${column}) * 1000)::bigint`;

/** All methods reject with a classified LockstepError. */
export class RuleFindingStore {
  readonly #pool: Pool;
  readonly #findings: string;
  readonly #audit: string;

  constructor(pool: Pool, controlSchema: string) {
    this.#pool = pool;
    this.#audit = qualified(controlSchema, '_cdc_audit_log');
    this.#findings = qualified(controlSchema, '_cdc_rule_findings');
  }

  /**
   * Notes what a run has proven; a key that is open already is the same finding, seen again. One that was accepted stays
   * accepted while both sides say the same.
   *
   * @returns how many are open, and how many accepted.
   */
  async record(
    rule: { readonly name: string; readonly severity: string },
    jobId: string,
    found: readonly NewRuleFinding[],
  ): Promise<{ readonly open: number; readonly accepted: number }> {
    if (found.length === 0) return { open: 0, accepted: 0 };
    const lines = await this.#query(
      `INSERT INTO ${this.#findings} AS f (rule, severity, job_id, key, kind, columns, source_values, target_values, status)
       SELECT $1, $2, $3, g.key, g.kind, g.columns, nullif(g.source, 'null'), nullif(g.target, 'null'), 'PENDING'
       FROM jsonb_to_recordset($4::jsonb) AS g(key text, kind text, columns jsonb, source jsonb, target jsonb)
       ON CONFLICT (rule, key) WHERE status IN ('PENDING', 'IGNORED') DO UPDATE
         SET kind = EXCLUDED.kind, severity = EXCLUDED.severity, columns = EXCLUDED.columns,
           source_values = EXCLUDED.source_values, target_values = EXCLUDED.target_values, job_id = EXCLUDED.job_id,
           seen = f.seen + 1, last_seen_at = now(),
           status = CASE WHEN f.status = 'IGNORED' AND f.source_values IS NOT DISTINCT FROM EXCLUDED.source_values
             AND f.target_values IS NOT DISTINCT FROM EXCLUDED.target_values THEN 'IGNORED' ELSE 'PENDING' END
       RETURNING status`,
      [rule.name, rule.severity, jobId, jsonbText(found)],
    );
    const accepted = lines.filter((line) => line['status'] === 'IGNORED').length;
    return { open: lines.length - accepted, accepted };
  }

  /** A later run has seen every key: what was open and does not differ now says nothing any more. @returns how many. */
  async supersede(rule: string, jobId: string, differing: readonly string[]): Promise<number> {
    const lines = await this.#query(
      `UPDATE ${this.#findings} SET status = 'SUPERSEDED', resolved_at = now(), job_id = $2, notes = 'equal at a later run'
       WHERE rule = $1 AND status IN ('PENDING', 'IGNORED') AND key <> ALL($3::text[]) RETURNING id`,
      [rule, jobId, textArray(differing)],
    );
    return lines.length;
  }

  /** Rejects with a `usage` error where there is none. */
  async load(id: bigint): Promise<RuleFinding> {
    const [line] = await this.#query(`SELECT ${COLUMNS} FROM ${this.#findings} AS f WHERE f.id = $1`, [String(id)]);
    if (line !== undefined) return findingFrom(line);
    throw new LockstepError(`there is no finding ${id} of a rule`, {
      code: 'RULE_FINDING_UNKNOWN',
      kind: 'usage',
      remedy: 'lockstep reconcile rules --findings lists them',
    });
  }

  /**
   * A person's decision, told in the audit log. An accepted finding may still be closed as resolved. Rejects with a `usage`
   * error where there is no such open finding.
   */
  async resolve(id: bigint, status: 'MANUAL_RESOLVED' | 'IGNORED', by: string, notes: string): Promise<RuleFinding> {
    const from = status === 'IGNORED' ? ['PENDING'] : ['PENDING', 'IGNORED'];
    const lines = await this.#query(
      `WITH f AS (
         UPDATE ${this.#findings} SET status = $2, resolved_by = $3, notes = $4, resolved_at = now()
         WHERE id = $1 AND status = ANY($5::text[]) RETURNING *),
       told AS (
         INSERT INTO ${this.#audit} (actor, action, row_key, reason, outcome)
         SELECT $3, $2, f.rule || ' ' || f.key, $4, 'finding rule-' || f.id || ' is ' || $2 FROM f)
       SELECT ${COLUMNS} FROM f`,
      [String(id), status, by, notes, textArray(from)],
    );
    const [line] = lines;
    if (line !== undefined) return findingFrom(line);
    const { status: found } = await this.load(id);
    throw new LockstepError(`finding ${id} of a rule is not open any more: it is ${found}`, {
      code: 'FINDING_RESOLVED',
      kind: 'usage',
      remedy: 'lockstep reconcile rules --findings lists those that are open',
    });
  }

  /** Newest first. */
  async list(filter: RuleFindingFilter): Promise<readonly RuleFinding[]> {
    const lines = await this.#query(
      `SELECT ${COLUMNS} FROM ${this.#findings} AS f
       WHERE ($1::text IS NULL OR f.rule = $1) AND ($2::text IS NULL OR f.status = $2)
       ORDER BY f.id DESC LIMIT ${filter.limit} OFFSET ${filter.offset ?? 0}`,
      [filter.rule ?? null, filter.status ?? null],
    );
    return lines.map(findingFrom);
  }

  async count(filter: Omit<RuleFindingFilter, 'limit' | 'offset'>): Promise<number> {
    const [line] = await this.#query(
      `SELECT count(*) AS n FROM ${this.#findings} AS f
       WHERE ($1::text IS NULL OR f.rule = $1) AND ($2::text IS NULL OR f.status = $2)`,
      [filter.rule ?? null, filter.status ?? null],
    );
    return Number(line?.['n'] ?? 0);
  }

  /** Open and accepted findings by rule. */
  async counts(): Promise<ReadonlyMap<string, { readonly open: number; readonly accepted: number }>> {
    const lines = await this.#query(
      `SELECT rule, count(*) FILTER (WHERE status = 'PENDING') AS open, count(*) FILTER (WHERE status = 'IGNORED') AS accepted
       FROM ${this.#findings} WHERE status IN ('PENDING', 'IGNORED') GROUP BY rule`,
      [],
    );
    return new Map(
      lines.map((line) => [line['rule'] ?? '', { open: Number(line['open']), accepted: Number(line['accepted']) }]),
    );
  }

  async #query(text: string, values: readonly unknown[]): Promise<Line[]> {
    try {
      return (await this.#pool.query<Line>(text, [...values])).rows;
    } catch (error) {
      throw classifyPostgresError(error, 'reading or writing findings of rules', true);
    }
  }
}

const COLUMNS = `f.id, f.rule, f.key, f.kind, f.severity, f.columns, f.source_values, f.target_values, f.status, f.notes,
  f.resolved_by, f.job_id, f.seen, ${ms('f.first_seen_at')} AS first_seen_ms, ${ms('f.last_seen_at')} AS last_seen_ms,
  ${ms('f.resolved_at')} AS resolved_ms`;

function findingFrom(line: Line): RuleFinding {
  const json = (name: string): unknown => JSON.parse(line[name] ?? 'null') as unknown;
  return {
    id: BigInt(line['id'] ?? '0'),
    rule: line['rule'] ?? '',
    key: line['key'] ?? '',
    kind: line['kind'] ?? '',
    severity: line['severity'] ?? '',
    columns: (json('columns') ?? []) as string[],
    source: json('source_values') as RuleFinding['source'],
    target: json('target_values') as RuleFinding['target'],
    status: line['status'] as FindingStatus,
    notes: line['notes'] ?? null,
    resolvedBy: line['resolved_by'] ?? null,
    jobId: line['job_id'] ?? '',
    seen: Number(line['seen']),
    firstSeenMs: Number(line['first_seen_ms']),
    lastSeenMs: Number(line['last_seen_ms']),
    resolvedMs: line['resolved_ms'] == null ? null : Number(line['resolved_ms']),
  };
}
