/** Rows of a real Cassandra to be read: eight columns, partitions of some rows, one row in twenty with a TTL. */
import type cassandra from 'cassandra-driver';

/** Partitions, or parts of them, that are written at a time. */
const WRITERS = 64;
/** Rows of one write: a batch of one partition is one mutation. */
const BATCH_ROWS = 20;
const PARTITIONS = 50_000;
/** Of every so many rows one has a TTL, so that expiries and their queue are part of what is measured. */
const TTL_EVERY = 20;

export const ROW_COLUMNS = 'customer, id, status, city, note, quantity, price, paid, created';

/** Creates `bench.TABLE` and writes so many rows: row `i` has id `i` and stands in partition `i % 50000`. */
export async function loadRows(source: cassandra.Client, table: string, rows: number): Promise<void> {
  await source.execute(`CREATE TABLE bench.${table} (customer int, id bigint, status text, city text, note text, quantity int,
    price decimal, paid boolean, created timestamp, PRIMARY KEY (customer, id))`);
  const insert = `INSERT INTO bench.${table} (${ROW_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`;
  const queryOf = (i: number): { query: string; params: unknown[] } => {
    const note = `note of order ${i}, which is about as long as notes are`;
    const params = [i % PARTITIONS, BigInt(i), 'paid', 'Graz', note, i % 9, `${i}.25`, i % 2 === 0, new Date(i * 1000)];
    return { query: i % TTL_EVERY === 0 ? `${insert} USING TTL 864000` : insert, params };
  };
  const perPartition = Math.ceil(rows / PARTITIONS);
  const parts = Math.ceil(perPartition / BATCH_ROWS);
  let next = 0;
  const writer = async (): Promise<void> => {
    for (let n = next++; n < PARTITIONS * parts; n = next++) {
      const [partition, part] = [n % PARTITIONS, Math.floor(n / PARTITIONS)];
      const ids: number[] = [];
      for (let row = part * BATCH_ROWS; row < Math.min(perPartition, (part + 1) * BATCH_ROWS); row++) {
        const id = partition + row * PARTITIONS;
        if (id < rows) ids.push(id);
      }
      if (ids.length > 0) await source.batch(ids.map(queryOf), { prepare: true, logged: false });
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, writer));
}
