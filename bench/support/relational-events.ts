/**
 * The same workload in the envelope of Debezium's PostgreSQL connector, for the peers: what `JsonConverter` writes with
 * schemas (JDBC sink, which needs them) and without (hand-written sink). A relational `after` always has every column.
 * Optional fields that no sink reads (transaction block, µs and ns copies of times) are left out, in the peers' favour.
 */
import type { BenchEvent } from './events.ts';
import type { OrderChange } from './orders.ts';

const ROW_FIELDS = [
  { type: 'int64', optional: false, field: 'id' },
  ...['customer', 'status', 'city', 'note'].map((field) => ({ type: 'string', optional: true, field })),
  { type: 'int32', optional: true, field: 'quantity' },
  {
    type: 'bytes',
    optional: true,
    name: 'org.apache.kafka.connect.data.Decimal',
    version: 1,
    parameters: { scale: '2', 'connect.decimal.precision': '12' },
    field: 'price',
  },
  { type: 'double', optional: true, field: 'weight' },
  { type: 'boolean', optional: true, field: 'paid' },
  { type: 'string', optional: true, name: 'io.debezium.time.ZonedTimestamp', version: 1, field: 'created' },
  { type: 'int64', optional: true, field: 'version' },
];

const SOURCE_FIELDS = [
  ...['version', 'connector', 'name'].map((field) => ({ type: 'string', optional: false, field })),
  { type: 'int64', optional: false, field: 'ts_ms' },
  {
    type: 'string',
    optional: true,
    name: 'io.debezium.data.Enum',
    version: 1,
    parameters: { allowed: 'true,first,first_in_data_collection,last_in_data_collection,last,false,incremental' },
    default: 'false',
    field: 'snapshot',
  },
  { type: 'string', optional: false, field: 'db' },
  { type: 'string', optional: true, field: 'sequence' },
  { type: 'string', optional: false, field: 'schema' },
  { type: 'string', optional: false, field: 'table' },
  { type: 'int64', optional: true, field: 'txId' },
  { type: 'int64', optional: true, field: 'lsn' },
  { type: 'int64', optional: true, field: 'xmin' },
];

const row = (field: string): object => ({
  type: 'struct',
  fields: ROW_FIELDS,
  optional: true,
  name: 'bench.public.orders.Value',
  field,
});

const VALUE_SCHEMA = JSON.stringify({
  type: 'struct',
  fields: [
    row('before'),
    row('after'),
    {
      type: 'struct',
      fields: SOURCE_FIELDS,
      optional: false,
      name: 'io.debezium.connector.postgresql.Source',
      version: 1,
      field: 'source',
    },
    { type: 'string', optional: false, field: 'op' },
    { type: 'int64', optional: true, field: 'ts_ms' },
  ],
  optional: false,
  name: 'bench.public.orders.Envelope',
  version: 2,
});

const KEY_SCHEMA = JSON.stringify({
  type: 'struct',
  fields: [{ type: 'int64', optional: false, field: 'id' }],
  optional: false,
  name: 'bench.public.orders.Key',
});

/** Unscaled two's complement bytes in base64, as Connect's Decimal. Prices are positive and have two decimals. */
function connectDecimal(price: string): string {
  const unscaled = Number(price.replace('.', ''));
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(unscaled);
  let first = 0;
  // The shortest form whose first bit is still the sign.
  while (first < 3 && bytes[first] === 0 && (bytes[first + 1] ?? 0) < 0x80) first += 1;
  return bytes.toString('base64', first);
}

function payload({ id, round, writeTimeUs, row: after }: OrderChange, price: string): string {
  const ms = Math.floor(writeTimeUs / 1000);
  const values = { id, ...after, price, created: new Date(after.created).toISOString() };
  return (
    `{"before":null,"after":${JSON.stringify(values)},"source":{"version":"3.4.0.Final","connector":"postgresql",` +
    `"name":"bench","ts_ms":${ms},"snapshot":"false","db":"shop","sequence":"[\\"24023128\\",\\"24023128\\"]",` +
    `"schema":"public","table":"orders","txId":${555 + id},"lsn":${24_023_128 + id},"xmin":null},` +
    `"op":"${round === 0 ? 'c' : 'u'}","ts_ms":${ms + 700}}`
  );
}

/** For the JDBC sink: `{"schema":…,"payload":…}`, about 3 kB. */
export function relationalEventWithSchema(change: OrderChange): BenchEvent {
  return {
    key: `{"schema":${KEY_SCHEMA},"payload":{"id":${change.id}}}`,
    value: `{"schema":${VALUE_SCHEMA},"payload":${payload(change, connectDecimal(change.row.price))}}`,
  };
}

/** For the hand-written sink: the payload alone, about 0.7 kB. */
export function plainRelationalEvent(change: OrderChange): BenchEvent {
  return { key: `{"id":${change.id}}`, value: payload(change, change.row.price) };
}
