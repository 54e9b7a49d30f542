import type { WindowRow } from '../../target/stores/window-store.ts';

/** A delivery window as JSON, for the command line and HTTP alike. */
export function windowDocument(row: WindowRow): Record<string, unknown> {
  return {
    table: row.table,
    start: new Date(row.startMs).toISOString(),
    end: new Date(row.endMs).toISOString(),
    verdict: row.verdict,
    reason: row.reason,
    changelog: row.changelog,
    processed: row.processed,
    filtered: row.filtered,
    dead_lettered: row.deadLettered,
    missing: row.missing,
    unexpected: row.unexpected,
    late: row.late,
    replayed: row.replayed,
    reopened: row.reopened,
    rounds: row.rounds,
    verified_at: row.verifiedAt.toISOString(),
  };
}
