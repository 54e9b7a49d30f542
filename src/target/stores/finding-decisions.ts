/** What people decide about findings in `_cdc_findings`. */
import type { Pool } from 'pg';
import type { NewFinding } from './finding-store.ts';
import { classifyPostgresError } from '../postgres-errors.ts';
import { jsonbText, qualified, textArray } from '../sql-text.ts';
import type { Statement } from '../transaction.ts';

/** A decision of a person that changes no row. */
export interface Closing {
  /** IGNORED: the difference is accepted while both sides look the same. */
  readonly status: 'MANUAL_RESOLVED' | 'IGNORED';
  /** As the audit log has it. */
  readonly action: 'MANUAL_RESOLVED' | 'IGNORED' | 'KEEP_TARGET';
  readonly by: string;
  readonly notes: string;
}

/** Rejects with a classified LockstepError. */
export class FindingDecisions {
  readonly #pool: Pool;
  readonly #findings: string;
  readonly #audit: string;

  constructor(pool: Pool, controlSchema: string) {
    this.#pool = pool;
    this.#findings = qualified(controlSchema, '_cdc_findings');
    this.#audit = qualified(controlSchema, '_cdc_audit_log');
  }

  /** Locks a finding for the transaction that resolves it; no row where that was done meanwhile. */
  openFinding(id: bigint): Statement {
    return {
      text: `SELECT id FROM ${this.#findings} WHERE id = $1 AND status IN ('PENDING', 'IGNORED') FOR UPDATE`,
      values: [String(id)],
    };
  }

  /**
   * For the transaction that corrects a row by hand: what still differs is accepted from now on, for as long as both sides
   * look like this.
   */
  accepted(tableId: number, jobId: string, found: NewFinding, by: string, notes: string): Statement {
    return {
      text: `INSERT INTO ${this.#findings} AS f (table_id, row_key, type, cause, columns, source_image, target_image,
               source_checksum, target_checksum, status, job_id, resolved_by, notes, resolved_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'IGNORED', $10, $11, $12, now())
             ON CONFLICT (table_id, row_key, type) WHERE status IN ('PENDING', 'IGNORED') DO UPDATE
               SET cause = EXCLUDED.cause, columns = EXCLUDED.columns, source_image = EXCLUDED.source_image,
                 target_image = EXCLUDED.target_image, source_checksum = EXCLUDED.source_checksum,
                 target_checksum = EXCLUDED.target_checksum, status = 'IGNORED', resolved_by = EXCLUDED.resolved_by,
                 notes = EXCLUDED.notes, resolved_at = now()`,
      values: [
        tableId,
        found.rowKey,
        found.type,
        found.cause,
        jsonbText(found.columns),
        found.sourceImage === null ? null : jsonbText(found.sourceImage),
        found.targetImage === null ? null : jsonbText(found.targetImage),
        found.sourceChecksum,
        found.targetChecksum,
        jobId,
        by,
        notes,
      ],
    };
  }

  /**
   * Closes a finding without touching its row, and says so in the audit log. An accepted one may still be closed as resolved.
   *
   * @returns false where it was dealt with before.
   */
  async close(id: bigint, { status, action, by, notes }: Closing): Promise<boolean> {
    const from = status === 'IGNORED' ? ['PENDING'] : ['PENDING', 'IGNORED'];
    const text = `WITH closed AS (
         UPDATE ${this.#findings} SET status = $2, resolved_by = $3, notes = $4, resolved_at = now()
         WHERE id = $1 AND status = ANY($5::text[]) RETURNING id, table_id, row_key),
       told AS (
         INSERT INTO ${this.#audit} (actor, action, table_id, row_key, reason, outcome)
         SELECT $3, $6, c.table_id, c.row_key, $4, 'finding ' || c.id || ' is ' || $2 FROM closed AS c)
       SELECT id FROM closed`;
    try {
      const { rows } = await this.#pool.query(text, [String(id), status, by, notes, textArray(from), action]);
      return rows.length > 0;
    } catch (error) {
      throw classifyPostgresError(error, 'closing a finding', true);
    }
  }
}
