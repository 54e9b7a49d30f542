/** The workload in the envelope of Debezium's Cassandra connector: fields and form as captured (test/fixtures/debezium-cassandra). */
import { bindTable } from '../../src/catalog/bind.ts';
import { declaredTable } from '../../src/catalog/declared-schema.ts';
import { tableMappingSchema, type TableMapping } from '../../src/catalog/table-mapping.ts';
import type { Table } from '../../src/catalog/table.ts';
import type { OrderChange, OrderRow } from './orders.ts';

/** Name and CQL type of the regular columns, in the order in which the connector lists them. */
const COLUMNS = [
  ['customer', 'text'],
  ['status', 'text'],
  ['city', 'text'],
  ['note', 'text'],
  ['quantity', 'int'],
  ['price', 'decimal'],
  ['weight', 'double'],
  ['paid', 'boolean'],
  ['created', 'timestamp'],
  ['version', 'bigint'],
] as const satisfies readonly (readonly [keyof OrderRow, string])[];

/** Columns that an update writes; the others are untouched (`null` in the envelope). */
const UPDATED: ReadonlySet<keyof OrderRow> = new Set(['status', 'quantity', 'version']);

export const BENCH_TOPIC = 'bench.shop.orders';

/** The table's entry in lockstep.yaml: its schema is declared, because there is no Cassandra here. */
export const BENCH_MAPPING = {
  source: 'shop.orders',
  topic: BENCH_TOPIC,
  target: 'public.orders',
  schema: {
    columns: { id: 'bigint', ...Object.fromEntries(COLUMNS) },
    partitionKey: ['id'],
  },
};

/** The table as the service binds it. */
export function benchTable(): Table {
  const mapping: TableMapping = tableMappingSchema.parse(BENCH_MAPPING);
  if (mapping.schema === null) throw new Error('the schema is declared above');
  const declared = declaredTable(mapping.source, mapping.schema);
  if (declared.kind === 'refused') throw new AggregateError(declared.errors, 'the schema of the benchmark is refused');
  const binding = bindTable(declared.source, mapping);
  if (binding.kind === 'refused') throw new AggregateError(binding.errors, 'the mapping of the benchmark is refused');
  return binding.table;
}

/** A record's key and value, as text. */
export interface BenchEvent {
  readonly key: string;
  readonly value: string;
}

function cell(value: unknown): string {
  return `{"value":${JSON.stringify(value)},"deletion_ts":null,"set":true}`;
}

/** A full insert (round 0) or a sparse update of three of the ten columns; about 1 kB and 0.9 kB. */
export function cassandraEvent({ id, round, writeTimeUs, row }: OrderChange): BenchEvent {
  const ms = Math.floor(writeTimeUs / 1000);
  const after = COLUMNS.map(([name]) => `"${name}":${round === 0 || UPDATED.has(name) ? cell(row[name]) : 'null'}`);
  return {
    key: `{"id":${id}}`,
    value:
      `{"ts_ms":${ms + 700},"op":"${round === 0 ? 'i' : 'u'}",` +
      `"source":{"version":"3.4.1.Final","connector":"cassandra","name":"bench","ts_ms":${ms},"snapshot":"false",` +
      `"db":"NULL","sequence":null,"ts_us":${writeTimeUs},"ts_ns":${writeTimeUs}000,"cluster":"Test Cluster",` +
      `"file":"CommitLog-7-1795251062784.log","pos":${id},"keyspace":"shop","table":"orders"},` +
      `"after":{"id":${cell(id)},${after.join(',')},"_range_start":null,"_range_end":null}}`,
  };
}
