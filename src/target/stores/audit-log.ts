import { jsonbText, qualified } from '../sql-text.ts';
import type { Statement } from '../transaction.ts';

/** What a person changed by hand: who, why, from what, to what. */
export interface AuditEntry {
  readonly actor: string;
  readonly action: 'CUSTOM_FIX' | 'APPLY_SOURCE' | 'UNDO_REPAIR';
  /** `keyspace.table`. */
  readonly table: string;
  readonly rowKey: string | null;
  readonly reason: string;
  readonly before: unknown;
  readonly after: unknown;
  readonly outcome: string;
}

/** The entry in `_cdc_audit_log`, for the transaction that does what it tells of. */
export function auditEntry(controlSchema: string, entry: AuditEntry): Statement {
  return {
    text: `INSERT INTO ${qualified(controlSchema, '_cdc_audit_log')} (actor, action, table_id, row_key, reason, before, after, outcome)
           SELECT $1, $2, (SELECT id FROM ${qualified(controlSchema, '_cdc_tables')} WHERE source = $3), $4, $5, $6::jsonb, $7::jsonb, $8`,
    values: [
      entry.actor,
      entry.action,
      entry.table,
      entry.rowKey?.replaceAll('\0', '\\u0000') ?? null,
      entry.reason,
      jsonbText(entry.before),
      jsonbText(entry.after),
      entry.outcome,
    ],
  };
}
