/**
 * Letters that somebody leaves for good: their changes are not wanted any more, or came by another way. They are open no
 * more, so no alert counts them; they stay listed, and a redrive that names them by status or ID still takes them.
 */
import type { Pool } from 'pg';
import { LockstepError } from '../shared/errors.ts';
import { classifyPostgresError } from '../target/index.ts';
import { numberArray, qualified } from '../target/sql-text.ts';
import { letterConditions, type LetterFilter } from './letter-filter.ts';

/** Letters closed in one transaction: their owners may want to try one meanwhile. */
const AT_ONCE = 1_000;

export interface Discarding {
  readonly by: string;
  readonly why: string;
  /** Tells how many; writes nothing. */
  readonly dryRun: boolean;
}

/**
 * Closes the letters of a filter that are open when it begins, and says so in their history and in the audit log.
 *
 * @returns how many.
 * @throws LockstepError `LETTERS_UNNAMED` (usage) for a filter that names nothing: all letters are never meant by saying
 *   nothing; classified errors of PostgreSQL. What was closed before an error stays closed.
 */
export async function discardLetters(
  pool: Pool,
  controlSchema: string,
  filter: LetterFilter,
  { by, why, dryRun }: Discarding,
): Promise<number> {
  if (Object.keys(filter).length === 0) {
    throw new LockstepError('which dead letters are to be discarded?', {
      code: 'LETTERS_UNNAMED',
      kind: 'usage',
      remedy: 'name them by a filter: id, code, table, …; status pending means all that are open',
    });
  }
  const letters = qualified(controlSchema, '_cdc_dead_letters');
  const { sql, values } = letterConditions(filter);
  const [after, last] = [1, 2].map((n) => `$${values.length + n}::bigint`);
  const open = `FROM ${letters} AS d LEFT JOIN ${qualified(controlSchema, '_cdc_tables')} AS t ON t.topic = d.topic
      WHERE ${sql} AND d.status IN ('pending', 'waiting')`;
  const close = `WITH closed AS (
        UPDATE ${letters} SET status = 'discarded', resolved_at = now()
        WHERE id = ANY($1::bigint[]) AND status IN ('pending', 'waiting') RETURNING id, table_id, row_key),
      noted AS (
        INSERT INTO ${qualified(controlSchema, '_cdc_dead_letter_attempts')} (letter_id, outcome, reason)
        SELECT id, 'discarded', $3 FROM closed),
      told AS (
        INSERT INTO ${qualified(controlSchema, '_cdc_audit_log')} (actor, action, table_id, row_key, reason, outcome)
        SELECT $2, 'DISCARD_LETTER', table_id, row_key, $3, 'letter ' || id || ' is discarded' FROM closed)
    SELECT count(*) AS n FROM closed`;
  try {
    const { rows: found } = await pool.query<{ n: string; newest: string | null }>(
      `SELECT count(*) AS n, max(d.id) AS newest ${open}`,
      [...values],
    );
    const { n = '0', newest = null } = found[0] ?? {};
    if (dryRun || newest === null) return Number(n);
    const page = `SELECT d.id ${open} AND d.id > ${after} AND d.id <= ${last} ORDER BY d.id LIMIT ${AT_ONCE}`;
    let [discarded, cursor] = [0, '0'];
    for (;;) {
      const { rows } = await pool.query<{ id: string }>(page, [...values, cursor, newest]);
      const end = rows.at(-1);
      if (end === undefined) return discarded;
      const ids = numberArray(rows.map(({ id }) => BigInt(id)));
      const closed = await pool.query<{ n: string }>(close, [ids, by, why]);
      discarded += Number(closed.rows[0]?.n ?? 0);
      cursor = end.id;
    }
  } catch (error) {
    throw classifyPostgresError(error, 'discarding dead letters', true);
  }
}
