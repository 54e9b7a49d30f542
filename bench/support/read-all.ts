/** Reading a table and nothing else: the driver as anybody uses it, with the paging of our scan. */
import type cassandra from 'cassandra-driver';
import { splitRing } from '../../src/change/token-range.ts';
import { ROW_COLUMNS } from './source-rows.ts';

/** As the scan asks: so many parts of the ring, one after the other, and the page that it comes to on a quick table. */
const RING_PARTS = 64;
const PAGE_ROWS = 4_096;
const KEYS = ['customer', 'id'];

export type What = 'columns' | 'columns, write times, TTLs';

/** Rows a second; every value is decoded by the driver. `rangesAtOnce` are read beside one another. */
export async function readAll(
  source: cassandra.Client,
  table: string,
  rows: number,
  what: What,
  rangesAtOnce = 1,
): Promise<number> {
  const columns = ROW_COLUMNS.split(', ');
  const list =
    what === 'columns'
      ? columns
      : columns.flatMap((name) => (KEYS.includes(name) ? [name] : [name, `WRITETIME(${name})`, `TTL(${name})`]));
  const query = `SELECT ${list.join(', ')} FROM bench.${table} WHERE token(customer) > ? AND token(customer) <= ?`;
  const beganMs = performance.now();
  let found = 0;
  const ranges = splitRing(RING_PARTS)[Symbol.iterator]();
  const reader = async (): Promise<void> => {
    for (let next = ranges.next(); next.done !== true; next = ranges.next()) {
      let pageState: string | null = null;
      do {
        const page: cassandra.types.ResultSet = await source.execute(query, [next.value.after, next.value.upTo], {
          prepare: true,
          fetchSize: PAGE_ROWS,
          ...(pageState === null ? {} : { pageState }),
        });
        found += page.rows.length;
        // The driver's type hides that the last page has none.
        pageState = (page as { readonly pageState?: string | null }).pageState ?? null;
      } while (pageState !== null);
    }
  };
  await Promise.all(Array.from({ length: rangesAtOnce }, reader));
  if (found !== rows) throw new Error(`${table} has ${found} rows, not ${rows}`);
  return rows / ((performance.now() - beganMs) / 1000);
}
