import type { RowKey } from '../change/change-event.ts';

/**
 * The row that PostgreSQL's DETAIL tells of ("Failing row contains (7, …"): key columns come first in tables that
 * `schema apply` made. A guess — columns may stand elsewhere, values may be printed otherwise or be cut — that saves the
 * search for the guilty change where it turns out to be right: bisection makes two transactions of each doubling of a batch.
 *
 * @returns the key's text, or null where no row fits or several do.
 */
export function suspectRow(detail: string, rows: Iterable<{ readonly key: RowKey }>): string | null {
  const start = 'Failing row contains (';
  if (!detail.startsWith(start)) return null;
  let suspect: string | null = null;
  for (const { key } of rows) {
    const values = key.values.join(', ');
    const end = detail[start.length + values.length];
    if (!detail.startsWith(values, start.length) || (end !== ',' && end !== ')')) continue;
    if (suspect !== null) return null;
    suspect = key.text;
  }
  return suspect;
}
