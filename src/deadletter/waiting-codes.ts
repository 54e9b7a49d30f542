/**
 * Failures that another row may mend (DESIGN §5): a foreign key whose row comes later, a second unique index whose holder
 * is changed later, an UPDATE of a row whose INSERT is still on its way. Such a record waits and is tried again by
 * itself; only when its time is over does it count as a dead letter.
 */
const WAITING_CODES: ReadonlySet<string> = new Set([
  'PG_23503', // foreign_key_violation
  'PG_23505', // unique_violation; of the key itself it is a conflict that the upsert handles
  'INCOMPLETE_ROW',
]);

export function waitsForAnother(code: string): boolean {
  return WAITING_CODES.has(code);
}
