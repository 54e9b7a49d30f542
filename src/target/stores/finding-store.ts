/** Findings of comparisons in `_cdc_findings`: one open entry for a row and a type, however often it is seen. */
import type { Pool } from 'pg';
import { staticsName } from '../../catalog/static-table.ts';
import { LockstepError } from '../../shared/errors.ts';
import type { BoundTable } from '../bound-table.ts';
import { classifyPostgresError } from '../postgres-errors.ts';
import { observationDocument, type ImageDocument, type ObservationDocument } from '../observation-document.ts';
import type { Observation } from '../row-observation.ts';
import { jsonbText, qualified, textArray } from '../sql-text.ts';
import type { Statement } from '../transaction.ts';

export const FINDING_STATUSES = ['PENDING', 'AUTO_RESOLVED', 'MANUAL_RESOLVED', 'IGNORED', 'SUPERSEDED'] as const;
export type FindingStatus = (typeof FINDING_STATUSES)[number];

export interface NewFinding {
  readonly rowKey: string;
  readonly type: string;
  readonly cause: string;
  readonly columns: readonly string[];
  readonly sourceImage: ImageDocument | null;
  readonly targetImage: ImageDocument | null;
  readonly sourceChecksum: string | null;
  readonly targetChecksum: string | null;
}

export interface Finding extends NewFinding {
  readonly id: bigint;
  readonly table: string;
  readonly status: FindingStatus;
  readonly notes: string | null;
  readonly resolvedBy: string | null;
  readonly jobId: string;
  readonly seen: number;
  readonly firstSeenMs: number;
  readonly lastSeenMs: number;
  readonly resolvedMs: number | null;
  readonly before: ObservationDocument | null;
  readonly after: ObservationDocument | null;
}

export interface FindingFilter {
  /** A source table; findings of its static columns are its own. */
  readonly table?: string;
  readonly type?: string;
  readonly status?: string;
  /** Those that this run saw. */
  readonly jobId?: string;
  readonly limit: number;
  readonly offset: number;
}

/** How a finding was dealt with. */
export interface Resolution {
  readonly status: Exclude<FindingStatus, 'PENDING'>;
  readonly by: string;
  readonly notes: string | null;
  readonly before: Observation | null;
  readonly after: Observation | null;
}

type Line = Readonly<Record<string, string | null>>;

const ms = (column: string): string => `(extract(epoch FROM ${column}) * 1000)::bigint`;

/** All methods reject with a classified LockstepError. */
export class FindingStore {
  readonly #pool: Pool;
  readonly #findings: string;
  readonly #tables: string;
  readonly #seenBy: string;

  constructor(pool: Pool, controlSchema: string) {
    this.#pool = pool;
    this.#findings = qualified(controlSchema, '_cdc_findings');
    this.#tables = qualified(controlSchema, '_cdc_tables');
    this.#seenBy = qualified(controlSchema, '_cdc_job_findings');
  }

  /**
   * Notes what a pass has proven; an open finding of the same row and type is the same one, seen again. One that was
   * accepted stays accepted while it looks the same. Open ones of another type of these rows are superseded.
   *
   * @returns IDs and statuses, in the order given.
   */
  async record(
    tableId: number,
    jobId: string,
    found: readonly NewFinding[],
  ): Promise<readonly { readonly id: bigint; readonly status: FindingStatus }[]> {
    if (found.length === 0) return [];
    const documents = found.map((each) => ({
      row_key: each.rowKey,
      type: each.type,
      cause: each.cause,
      columns: each.columns,
      source_image: each.sourceImage,
      target_image: each.targetImage,
      source_checksum: each.sourceChecksum,
      target_checksum: each.targetChecksum,
    }));
    const lines = await this.#query(
      `WITH given AS (
         SELECT * FROM jsonb_to_recordset($3::jsonb) AS g(row_key text, type text, cause text, columns jsonb,
           source_image jsonb, target_image jsonb, source_checksum text, target_checksum text)),
       other AS (
         UPDATE ${this.#findings} AS f SET status = 'SUPERSEDED', resolved_at = now(), notes = 'seen as ' || g.type
         FROM given AS g WHERE f.table_id = $1 AND f.row_key = g.row_key AND f.type <> g.type AND f.status = 'PENDING'),
       noted AS (
       INSERT INTO ${this.#findings} AS f (table_id, row_key, type, cause, columns, source_image, target_image,
         source_checksum, target_checksum, status, job_id)
       SELECT $1, g.row_key, g.type, g.cause, g.columns, nullif(g.source_image, 'null'), nullif(g.target_image, 'null'),
         g.source_checksum, g.target_checksum, 'PENDING', $2 FROM given AS g
       ON CONFLICT (table_id, row_key, type) WHERE status IN ('PENDING', 'IGNORED') DO UPDATE
         SET cause = EXCLUDED.cause, columns = EXCLUDED.columns, source_image = EXCLUDED.source_image,
           target_image = EXCLUDED.target_image, source_checksum = EXCLUDED.source_checksum,
           target_checksum = EXCLUDED.target_checksum, job_id = EXCLUDED.job_id, seen = f.seen + 1, last_seen_at = now(),
           status = CASE WHEN f.status = 'IGNORED' AND f.source_checksum IS NOT DISTINCT FROM EXCLUDED.source_checksum
             AND f.target_checksum IS NOT DISTINCT FROM EXCLUDED.target_checksum THEN 'IGNORED' ELSE 'PENDING' END
       RETURNING id, status, row_key, type),
       seen_by AS (
         INSERT INTO ${this.#seenBy} (job_id, finding_id)
         SELECT $2, n.id FROM noted AS n ON CONFLICT DO NOTHING)
       SELECT * FROM noted`,
      [tableId, jobId, jsonbText(documents)],
    );
    const byRow = new Map(lines.map((line) => [JSON.stringify([line['row_key'], line['type']]), line]));
    return found.map(({ rowKey, type }) => {
      const line = byRow.get(JSON.stringify([rowKey, type]));
      return { id: BigInt(line?.['id'] ?? '0'), status: (line?.['status'] ?? 'PENDING') as FindingStatus };
    });
  }

  /** Keys of rows with an open finding: every pass looks at them again. */
  async pendingKeys(tableId: number, limit: number): Promise<readonly string[]> {
    const lines = await this.#query(
      `SELECT DISTINCT row_key FROM ${this.#findings} WHERE table_id = $1 AND status = 'PENDING' LIMIT $2`,
      [tableId, limit],
    );
    return lines.map((line) => line['row_key'] ?? '');
  }

  /** Keys of the rows that were repaired last, and whose repair stands. */
  async repairedKeys(tableId: number, limit: number): Promise<readonly string[]> {
    const lines = await this.#query(
      `SELECT row_key FROM ${this.#findings} WHERE table_id = $1 AND status IN ('AUTO_RESOLVED', 'MANUAL_RESOLVED')
         AND after IS NOT NULL GROUP BY row_key ORDER BY max(id) DESC LIMIT $2`,
      [tableId, limit],
    );
    return lines.map((line) => line['row_key'] ?? '');
  }

  /** How many findings a run has repaired, by type. */
  async repairedBy(tableId: number, jobId: string): Promise<Readonly<Record<string, number>>> {
    const lines = await this.#query(
      `SELECT type, count(*) AS n FROM ${this.#findings} WHERE table_id = $1 AND job_id = $2 AND status = 'AUTO_RESOLVED'
       GROUP BY type`,
      [tableId, jobId],
    );
    return Object.fromEntries(lines.map((line) => [line['type'] ?? '', Number(line['n'])]));
  }

  /** Repairs that nobody confirmed, since a moment. */
  async autoResolvedSince(tableId: number, sinceMs: number): Promise<number> {
    const [line] = await this.#query(
      `SELECT count(*) AS n FROM ${this.#findings}
       WHERE table_id = $1 AND status = 'AUTO_RESOLVED' AND resolved_at > to_timestamp($2::float8 / 1000)`,
      [tableId, sinceMs],
    );
    return Number(line?.['n'] ?? 0);
  }

  /** A later pass has proven these rows equal: their open findings say nothing any more. @returns how many there were. */
  async supersede(tableId: number, jobId: string, rowKeys: readonly string[]): Promise<number> {
    if (rowKeys.length === 0) return 0;
    const lines = await this.#query(
      `UPDATE ${this.#findings} SET status = 'SUPERSEDED', resolved_at = now(), job_id = $2, notes = 'equal at a later pass'
       WHERE table_id = $1 AND status IN ('PENDING', 'IGNORED') AND row_key = ANY($3::text[]) RETURNING id`,
      [tableId, jobId, textArray(rowKeys)],
    );
    return lines.length;
  }

  /** For the transaction that repairs the row, or that only decides. Touches open findings only. */
  resolved(table: BoundTable, id: bigint, resolution: Resolution): Statement {
    const { before, after } = resolution;
    return {
      text: `UPDATE ${this.#findings} SET status = $2, resolved_by = $3, notes = $4, before = $5, after = $6, resolved_at = now(),
               undone_at = NULL
             WHERE id = $1 AND status IN ('PENDING', 'IGNORED')`,
      values: [
        String(id),
        resolution.status,
        resolution.by,
        resolution.notes,
        jsonbText(before === null ? null : observationDocument(table, before)),
        jsonbText(after === null ? null : observationDocument(table, after)),
      ],
    };
  }

  /** Why an open finding was not repaired. */
  noted(id: bigint, notes: string): Statement {
    return {
      text: `UPDATE ${this.#findings} SET notes = $2 WHERE id = $1 AND status = 'PENDING'`,
      values: [String(id), notes],
    };
  }

  /**
   * The repair was taken back: from now on the difference is one that a person wants. Once per finding. What was found of
   * the row after the repair is superseded with it.
   */
  undone(id: bigint, by: string, notes: string): readonly Statement[] {
    return [
      {
        text: `UPDATE ${this.#findings} AS f SET status = 'SUPERSEDED', resolved_at = now(), notes = 'repair ' || $1 || ' was taken back'
               FROM ${this.#findings} AS u WHERE u.id = $1::bigint AND u.undone_at IS NULL AND f.table_id = u.table_id
                 AND f.row_key = u.row_key AND f.id <> u.id AND f.status IN ('PENDING', 'IGNORED')`,
        values: [String(id)],
      },
      {
        text: `UPDATE ${this.#findings} SET status = 'IGNORED', undone_at = now(), resolved_by = $2, notes = $3
               WHERE id = $1 AND undone_at IS NULL`,
        values: [String(id), by, notes],
      },
    ];
  }

  async load(id: bigint): Promise<Finding> {
    const [finding] = await this.#select('WHERE f.id = $1', [String(id)], 1, 0);
    if (finding !== undefined) return finding;
    throw new LockstepError(`there is no finding ${id}`, {
      code: 'FINDING_UNKNOWN',
      kind: 'usage',
      remedy: 'lockstep reconcile findings lists them',
    });
  }

  /** Newest first. */
  async list(filter: FindingFilter): Promise<readonly Finding[]> {
    const { where, values } = conditions(filter, this.#seenBy);
    return this.#select(where, values, filter.limit, filter.offset);
  }

  async count(filter: FindingFilter): Promise<number> {
    const { where, values } = conditions(filter, this.#seenBy);
    const [line] = await this.#query(
      `SELECT count(*) AS n FROM ${this.#findings} AS f JOIN ${this.#tables} AS t ON t.id = f.table_id ${where}`,
      values,
    );
    return Number(line?.['n'] ?? 0);
  }

  async #select(where: string, values: readonly unknown[], limit: number, offset: number): Promise<readonly Finding[]> {
    const lines = await this.#query(
      `SELECT f.id, t.source, f.row_key, f.type, f.cause, f.columns, f.source_image, f.target_image, f.source_checksum,
         f.target_checksum, f.status, f.notes, f.resolved_by, f.job_id, f.seen, f.before, f.after,
         ${ms('f.first_seen_at')} AS first_seen_ms, ${ms('f.last_seen_at')} AS last_seen_ms,
         ${ms('f.resolved_at')} AS resolved_ms
       FROM ${this.#findings} AS f JOIN ${this.#tables} AS t ON t.id = f.table_id
       ${where} ORDER BY f.id DESC LIMIT ${limit} OFFSET ${offset}`,
      values,
    );
    return lines.map(findingFrom);
  }

  async #query(text: string, values: readonly unknown[]): Promise<Line[]> {
    try {
      return (await this.#pool.query<Line>(text, [...values])).rows;
    } catch (error) {
      throw classifyPostgresError(error, 'reading or writing findings', true);
    }
  }
}

function conditions(
  filter: FindingFilter,
  seenBy: string,
): { readonly where: string; readonly values: readonly unknown[] } {
  const values: unknown[] = [];
  const parts: string[] = [];
  const add = (column: string, value: unknown): void => {
    if (value === undefined) return;
    values.push(value);
    parts.push(`${column} = $${values.length}`);
  };
  if (filter.table !== undefined) {
    values.push(filter.table, staticsName(filter.table));
    parts.push(`t.source IN ($${values.length - 1}, $${values.length})`);
  }
  add('f.type', filter.type);
  add('f.status', filter.status);
  if (filter.jobId !== undefined) {
    values.push(filter.jobId);
    parts.push(`f.id IN (SELECT finding_id FROM ${seenBy} WHERE job_id = $${values.length})`);
  }
  return { where: parts.length === 0 ? '' : `WHERE ${parts.join(' AND ')}`, values };
}

function findingFrom(line: Line): Finding {
  const json = (name: string): unknown => JSON.parse(line[name] ?? 'null') as unknown;
  const text = (name: string): string | null => line[name] ?? null;
  return {
    id: BigInt(line['id'] ?? '0'),
    table: line['source'] ?? '',
    rowKey: line['row_key'] ?? '',
    type: line['type'] ?? '',
    cause: line['cause'] ?? '',
    columns: (json('columns') ?? []) as string[],
    sourceImage: json('source_image') as ImageDocument | null,
    targetImage: json('target_image') as ImageDocument | null,
    sourceChecksum: text('source_checksum'),
    targetChecksum: text('target_checksum'),
    status: line['status'] as FindingStatus,
    notes: text('notes'),
    resolvedBy: text('resolved_by'),
    jobId: line['job_id'] ?? '',
    seen: Number(line['seen']),
    firstSeenMs: Number(line['first_seen_ms']),
    lastSeenMs: Number(line['last_seen_ms']),
    resolvedMs: line['resolved_ms'] == null ? null : Number(line['resolved_ms']),
    before: json('before') as ObservationDocument | null,
    after: json('after') as ObservationDocument | null,
  };
}
