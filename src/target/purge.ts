import type { Pool } from 'pg';
import type { ControlStatements } from './control-statements.ts';
import { textArray } from './sql-text.ts';
import { checkCommitted, gateStatement, pipeline, type Statement, withClient } from './transaction.ts';

/** Memory looked at per step, without any lock: bounds the statement, whatever the size of the graveyard. */
const PAGE_ROWS = 5_000;
/** Purged per transaction while the exclusive gate is held: a few ms. */
const PURGE_ROWS = 500;

export type PurgeKind = 'graves' | 'ranges';

/** Where a walk over a table's memory stands: the last key of the page before, null at the beginning. */
export interface PurgeCursor {
  readonly kind: PurgeKind;
  readonly after: readonly string[] | null;
}

export const PURGE_START: PurgeCursor = { kind: 'graves', after: null };

export interface PurgeStep {
  /** Null where the walk is over. */
  readonly next: PurgeCursor | null;
  readonly purged: number;
  /** The longest time for which the exclusive gate was asked for and held, ms: what the pause is measured by. */
  readonly heldMs: number;
}

/**
 * One step of the walk that purges tombstones and graves (DESIGN §5 "Horizon"): those that were processed longer ago
 * than H and are dated before that, too. Future ones stay. Walking by primary key needs no index on the processing time,
 * which every delete would have to pay for. The newest purged time goes into `_cdc_tables` in the same transaction, under
 * the exclusive gate: every batch either still sees the memory, or sees how far it was purged.
 */
export async function purgeStep(
  pool: Pool,
  control: ControlStatements,
  tableId: number,
  cursor: PurgeCursor,
  cutoffMs: number,
  elapsedMs: () => number,
): Promise<PurgeStep> {
  const statements = control.purge(cursor.kind);
  const cutoff = [new Date(cutoffMs).toISOString(), String(BigInt(cutoffMs) * 1000n)];
  const page = await pool.query<(string | null)[]>({
    ...statements.page,
    values: [tableId, ...cutoff, ...(cursor.after ?? statements.beginning), PAGE_ROWS],
    rowMode: 'array',
  });
  const last = page.rows.at(-1);
  const due = page.rows.filter((row) => row.at(-1) === 't').map((row) => row.slice(0, -1).map((part) => part ?? ''));
  let purged = 0;
  let heldMs = 0;
  for (let i = 0; i < due.length; i += PURGE_ROWS) {
    const chunk = due.slice(i, i + PURGE_ROWS);
    const keys = statements.beginning.map((_, part) => textArray(chunk.map((key) => key[part] ?? '')));
    const startedMs = elapsedMs();
    purged += await purgeChunk(pool, tableId, { text: statements.remove, values: [tableId, ...cutoff, ...keys] });
    heldMs = Math.max(heldMs, elapsedMs() - startedMs);
  }
  const next =
    page.rows.length === PAGE_ROWS && last !== undefined
      ? { ...cursor, after: last.slice(0, -1).map((part) => part ?? '') }
      : null;
  if (next !== null) return { next, purged, heldMs };
  return { next: cursor.kind === 'graves' ? { kind: 'ranges', after: null } : null, purged, heldMs };
}

async function purgeChunk(pool: Pool, tableId: number, remove: Statement): Promise<number> {
  return withClient(pool, async (client) => {
    const [, , removed, committed] = await pipeline(client, [
      { text: 'BEGIN' },
      { text: gateStatement('exclusive'), values: [tableId] },
      remove,
      { text: 'COMMIT' },
    ]);
    checkCommitted(committed);
    return Number(removed?.rows[0]?.[0] ?? 0);
  });
}
