/**
 * What a team would write by hand in an afternoon: kafkajs `eachBatch`, one `INSERT … SELECT FROM unnest … ON CONFLICT`
 * per 1,000 rows, four partitions side by side. No versions, no ledger, no tombstones, no dead letters, no fencing; run
 * as a process of its own: `node plain-sink.ts BROKER POSTGRES_URL TOPIC TABLE`.
 */
import kafkajs, { type KafkaMessage } from 'kafkajs';
import pg from 'pg';

const ROWS_PER_STATEMENT = 1_000;
const CONCURRENT_PARTITIONS = 4;
const FETCH_BYTES_PER_PARTITION = 4 * 1024 * 1024;

/** Column, PostgreSQL type, and whether its text needs quotes in an array literal. */
const COLUMNS = [
  ['id', 'bigint', false],
  ['customer', 'text', true],
  ['status', 'text', true],
  ['city', 'text', true],
  ['note', 'text', true],
  ['quantity', 'integer', false],
  ['price', 'numeric', false],
  ['weight', 'double precision', false],
  ['paid', 'boolean', false],
  ['created', 'timestamptz', true],
  ['version', 'bigint', false],
] as const;

type Row = Readonly<Record<string, string | number | boolean | null>>;

function element(value: string | number | boolean | null | undefined, quoted: boolean): string {
  if (value === null || value === undefined) return 'NULL';
  return quoted ? `"${String(value).replace(/["\\]/g, '\\$&')}"` : String(value);
}

function upsertInto(table: string): string {
  const names = COLUMNS.map(([name]) => name);
  const arrays = COLUMNS.map(([, type], i) => `$${i + 1}::${type}[]`).join(', ');
  const assignments = names.slice(1).map((name) => `${name} = EXCLUDED.${name}`);
  return `INSERT INTO ${table} (${names.join(', ')}) SELECT * FROM unnest(${arrays})
          ON CONFLICT (id) DO UPDATE SET ${assignments.join(', ')}`;
}

/** Rows by key: two rows with one key in one upsert fail. */
function newestRows(messages: readonly KafkaMessage[]): Row[] {
  const rows = new Map<string, Row>();
  for (const { key, value } of messages) {
    if (key === null || value === null) continue;
    rows.set(key.toString(), (JSON.parse(value.toString()) as { after: Row }).after);
  }
  return [...rows.values()];
}

const [broker = '', url = '', topic = '', table = ''] = process.argv.slice(2);
const pool = new pg.Pool({ connectionString: url, max: CONCURRENT_PARTITIONS });
const kafka = new kafkajs.Kafka({ brokers: [broker], clientId: 'plain-sink', logLevel: kafkajs.logLevel.ERROR });
const consumer = kafka.consumer({
  groupId: `plain-sink-${table}`,
  maxBytesPerPartition: FETCH_BYTES_PER_PARTITION,
  maxWaitTimeInMs: 250,
});
const upsert = upsertInto(table);

process.once('SIGTERM', () => {
  void consumer.disconnect().then(() => process.exit(0));
});
await consumer.connect();
await consumer.subscribe({ topic, fromBeginning: true });
await consumer.run({
  partitionsConsumedConcurrently: CONCURRENT_PARTITIONS,
  eachBatch: async (payload) => {
    const { batch } = payload;
    for (let at = 0; at < batch.messages.length; at += ROWS_PER_STATEMENT) {
      const messages = batch.messages.slice(at, at + ROWS_PER_STATEMENT);
      const rows = newestRows(messages);
      const values = COLUMNS.map(([name, , quoted]) => `{${rows.map((row) => element(row[name], quoted)).join(',')}}`);
      await pool.query({ name: 'upsert', text: upsert, values });
      const last = messages.at(-1);
      if (last !== undefined) payload.resolveOffset(last.offset);
      await payload.heartbeat();
    }
  },
});
