import type { Column, Table } from '../../src/catalog/table.ts';

/**
 * Debezium Cassandra events as the connector emits them (fields and form as captured, see
 * test/fixtures/debezium-cassandra), about 1 kB each: one table of a bigint key and ten columns.
 */
const COLUMNS = [
  ['customer', 'text', 'text'],
  ['status', 'text', 'text'],
  ['city', 'text', 'text'],
  ['note', 'text', 'text'],
  ['quantity', 'int', 'integer'],
  ['price', 'decimal', 'numeric'],
  ['weight', 'double', 'double precision'],
  ['paid', 'boolean', 'boolean'],
  ['created', 'timestamp', 'timestamp with time zone'],
  ['version', 'bigint', 'bigint'],
] as const;

/** mulberry32: a small seeded generator, so that a run can be repeated. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export const BENCH_TOPIC = 'bench.shop.orders';

export const BENCH_TABLE_DDL = `CREATE TABLE shop.orders (id bigint PRIMARY KEY, ${COLUMNS.map(([name, type]) => `${name} ${type}`).join(', ')}) WITH cdc = true`;

/** The table as the catalog would bind it. */
export function benchTable(): Table {
  const column = (name: string, kind: Column['kind'], type: string, targetType: string): Column => ({
    name,
    target: name,
    kind,
    descending: false,
    type: { kind: 'scalar', name: type as never },
    targetType,
    notNull: kind === 'partition',
    allowLoss: [],
  });
  return {
    name: 'shop.orders',
    keyspace: 'shop',
    sourceTable: 'orders',
    topic: BENCH_TOPIC,
    targetSchema: 'public',
    targetTable: 'orders',
    partitionKey: [column('id', 'partition', 'bigint', 'bigint')],
    clustering: [],
    regular: COLUMNS.map(([name, type, target]) => column(name, 'regular', type, target)),
    statics: [],
    usesTtl: false,
  };
}

const CITIES = ['Lyon', 'Oslo', 'Porto', 'Kraków', 'Zürich', 'Lima', 'Osaka', 'Turin'];
const STATUS = ['new', 'paid', 'packed', 'shipped', 'returned'];

function cell(value: unknown): string {
  return `{"value":${JSON.stringify(value)},"deletion_ts":null,"set":true}`;
}

function event(op: 'i' | 'u', id: number, writeTimeUs: number, cells: readonly (string | null)[]): string {
  const ms = Math.floor(writeTimeUs / 1000);
  const after = COLUMNS.map(([name], i) => `"${name}":${cells[i] ?? 'null'}`).join(',');
  return `{"ts_ms":${ms + 700},"op":"${op}","source":{"version":"3.4.1.Final","connector":"cassandra","name":"bench","ts_ms":${ms},"snapshot":"false","db":"NULL","sequence":null,"ts_us":${writeTimeUs},"ts_ns":${writeTimeUs}000,"cluster":"Test Cluster","file":"CommitLog-7-1795251062784.log","pos":${id},"keyspace":"shop","table":"orders"},"after":{"id":${cell(id)},${after},"_range_start":null,"_range_end":null}}`;
}

export interface BenchEvent {
  readonly key: string;
  readonly value: string;
}

const BASE_US = 1_795_251_185_133_000;

/** A full insert of row `id`. */
export function insertOf(id: number, random: () => number, writeTimeUs = BASE_US + id * 10): BenchEvent {
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
  return {
    key: `{"id":${id}}`,
    value: event('i', id, writeTimeUs, [
      cell(`customer-${Math.floor(random() * 1e6)}`),
      cell('new'),
      cell(pick(CITIES)),
      cell(`order ${id} of a customer who wrote "please ring twice"`),
      cell(Math.floor(random() * 100)),
      cell((random() * 1000).toFixed(2)),
      cell(Math.round(random() * 1e5) / 1e3),
      cell(random() < 0.5),
      cell(1_795_000_000_000 + Math.floor(random() * 1e9)),
      cell(Math.floor(random() * 2 ** 50)),
    ]),
  };
}

/** A sparse update of row `id`: three of the ten columns. */
export function updateOf(id: number, random: () => number, writeTimeUs = BASE_US + 100_000_000 + id * 10): BenchEvent {
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
  const cells: (string | null)[] = new Array<string | null>(COLUMNS.length).fill(null);
  cells[1] = cell(pick(STATUS));
  cells[4] = cell(Math.floor(random() * 100));
  cells[9] = cell(Math.floor(random() * 2 ** 50));
  return { key: `{"id":${id}}`, value: event('u', id, writeTimeUs, cells) };
}

/** The run of the issue: every row inserted, then every row updated once in random order. */
export function* benchEvents(rows: number, seed: number): Generator<BenchEvent> {
  const random = randomFrom(seed);
  for (let id = 0; id < rows; id++) yield insertOf(id, random);
  const order = Uint32Array.from({ length: rows }, (_, i) => i);
  for (let i = rows - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    const other = order[j] as number;
    order[j] = order[i] as number;
    order[i] = other;
  }
  for (const id of order) yield updateOf(id, random);
}
