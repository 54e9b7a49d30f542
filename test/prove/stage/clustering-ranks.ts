/** Asks Cassandra for the order of clustering values, so that no comparator is written down here. */
import type cassandra from 'cassandra-driver';
import { readSource, sourceColumns } from '../../../src/demo/proof/source-rows.ts';
import { comparableKey } from '../audit/image-difference.ts';
import { typeText } from '../generate/cql-type.ts';
import type { CqlValue } from '../generate/cql-value.ts';
import type { GeneratedTable, KeyColumn } from '../generate/table.ts';

/** The rank of every value of every clustering column, by ascending order. */
export async function clusteringRanks(
  source: cassandra.Client,
  { keyspace, name, clustering }: GeneratedTable,
): Promise<(column: KeyColumn, value: CqlValue) => number> {
  const ranks = new Map<string, (value: CqlValue) => number>();
  for (const column of clustering) {
    const table = `${name}_${column.name}_order`;
    await source.execute(
      `CREATE TABLE ${keyspace}.${table} (p int, v ${typeText(column.type)}, PRIMARY KEY (p, v)) WITH cdc = false`,
    );
    for (const { literal } of column.pool) {
      await source.execute(`INSERT INTO ${keyspace}.${table} (p, v) VALUES (0, ${literal})`);
    }
    const columns = await sourceColumns(source, keyspace, table);
    // One partition, so the rows come in clustering order.
    const rows = [...(await readSource(source, keyspace, table, columns)).rows.values()];
    const order = rows.map((row) => comparableKey(columns, row));
    ranks.set(column.name, ({ plain }) => order.indexOf(comparableKey(columns, ['0', plain])));
  }
  return (column, value) => {
    const rank = ranks.get(column.name)?.(value) ?? -1;
    if (rank < 0) throw new Error(`${name}.${column.name}: Cassandra does not have ${value.literal}`);
    return rank;
  };
}
