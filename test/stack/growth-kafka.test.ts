/** A topic that grows from 2 to 5 partitions while writers go on, on a real Kafka and a real PostgreSQL. */
import kafkajs from 'kafkajs';
import type { Admin, Kafka, Producer } from 'kafkajs';
import pino from 'pino';
import type pg from 'pg';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { createConsumer, createKafkaClient, createKafkajsPort, silentObserver } from '../../src/consume/index.ts';
import { createDebeziumCassandraDecoder } from '../../src/decode/debezium-cassandra/index.ts';
import { createPool, openTarget, type Target } from '../../src/target/index.ts';
import { column, createTableSql, scalar, tableOf } from '../support/door-rig.ts';
import { KafkaBroker } from '../support/kafka-broker.ts';
import { startPostgres } from '../support/postgres-server.ts';

const KEYS = 12;
const ROUNDS = 60;
const GROW_AT = 20;
const table = tableOf('grown', [
  column('id', 'partition', scalar('int'), 'integer'),
  column('name', 'regular', scalar('text'), 'text'),
  column('age', 'regular', scalar('int'), 'integer'),
]);
const { topic } = table;
const logger = pino({ level: process.env['TEST_LOG'] ?? 'silent' });
const opened: (() => Promise<unknown>)[] = [];

let kafka: Kafka;
let admin: Admin;
let pool: pg.Pool;
let target: Target;

beforeAll(async () => {
  const postgres = await startPostgres();
  opened.push(() => postgres.stop());
  const broker = await KafkaBroker.create();
  opened.push(() => broker.destroy());
  kafka = createKafkaClient({ brokers: [broker.address], clientId: 'test', logger, maxUnpackedBytes: 4 * 1024 * 1024 });
  await broker.start(kafka);
  admin = kafka.admin();
  await admin.connect();
  opened.push(() => admin.disconnect());
  await admin.createTopics({ topics: [{ topic, numPartitions: 2 }] });
  pool = createPool({ url: postgres.url, poolSize: 8 });
  opened.push(() => pool.end());
  for (const statement of createTableSql(table).split(';')) await pool.query(statement);
  target = await openTarget({
    pool,
    controlSchema: 'growth_kafka',
    tables: [table],
    clock: { nowMs: () => Date.now() },
  });
});

afterAll(async () => {
  for (const close of opened.reverse()) await close().catch(() => undefined);
});

async function producer(): Promise<Producer> {
  const fresh = kafka.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner });
  await fresh.connect();
  opened.push(() => fresh.disconnect());
  return fresh;
}

type Row = { name: string | null; age: string | null };
const newest = new Map<number, { name: [number, string | null]; age: [number, string | null] }>();

/** An update of one cell, a value or its tombstone, and what the source has afterwards. */
function change(id: number, time: number): { key: string; value: string } {
  const name = time % 2 === 0;
  const value = time % 3 === 0 ? null : name ? `n${time}` : time;
  const known = newest.get(id) ?? { name: [0, null], age: [0, null] };
  if (name) known.name = [time, value === null ? null : String(value)];
  else known.age = [time, value === null ? null : String(value)];
  newest.set(id, known);
  const cell = (of: unknown) => ({ value: of, deletion_ts: null, set: true });
  const envelope = {
    ts_ms: 1,
    op: 'u',
    source: { connector: 'cassandra', keyspace: 'shop', table: 'grown', ts_us: time },
    after: { id: cell(id), [name ? 'name' : 'age']: cell(value), _range_start: null, _range_end: null },
  };
  return { key: JSON.stringify({ id }), value: JSON.stringify(envelope) };
}

it('ends right although keys change shards, and writers share the table again afterwards', async () => {
  const port = createKafkajsPort({ kafka, groupId: 'growth', logger, sessionTimeoutMs: 6_000 });
  const consumer = createConsumer({
    kafka: port,
    door: target.door,
    store: target.shards,
    topics: new Map([[topic, { table: table.name, decoder: createDebeziumCassandraDecoder(table) }]]),
    deadLetters: {
      put: () => Promise.reject(new Error('no dead letter is expected')),
      forget: () => undefined,
      close: async () => undefined,
    },
    breaker: { maxRatio: 0.5, minRecords: 100 },
    observer: silentObserver,
    logger,
    owner: 'test',
    limits: { maxBatchChanges: 5 },
  });
  const stop = new AbortController();
  const running = consumer.run(stop.signal);
  opened.push(async () => {
    stop.abort();
    await running;
    await port.close();
  });

  // A topic grows only in the eyes of who knew it smaller: the shards are taken on before anything is sent.
  await vi.waitFor(async () => expect(await target.shards.list(topic)).toHaveLength(2), { timeout: 60_000 });

  // Producers go on with the metadata that they have: the old one knows 2 partitions, those made later know 5.
  const old = await producer();
  let young: Producer | null = null;
  for (let round = 1; round <= ROUNDS; round += 1) {
    if (round === GROW_AT) {
      await admin.createPartitions({ topicPartitions: [{ topic, count: 5 }] });
      await vi.waitFor(async () => expect((await admin.fetchTopicOffsets(topic)).length).toBe(5), { timeout: 20_000 });
      young = await producer();
    }
    for (let id = 0; id < KEYS; id += 1) {
      const by = young !== null && (round + id) % 2 === 0 ? young : old;
      await by.send({ topic, messages: [change(id, round * KEYS + id)] });
    }
  }

  const ends = async () => (await port.logRanges(topic)).map(({ end }) => end);
  const positions = async () => (await target.shards.list(topic)).map(({ next }) => next);
  await vi.waitFor(async () => expect(await positions()).toEqual(await ends()), { timeout: 90_000, interval: 250 });
  expect(await ends()).toHaveLength(5);
  expect((await ends()).slice(2).some((end) => end > 0n)).toBe(true);

  const stored = await pool.query<[string, string | null, string | null]>({
    text: 'SELECT id, name, age FROM grown',
    rowMode: 'array',
  });
  const expected = new Map<string, Row>();
  for (const [id, { name, age }] of newest) {
    if (name[1] !== null || age[1] !== null) expected.set(String(id), { name: name[1], age: age[1] });
  }
  expect(new Map(stored.rows.map(([id, name, age]) => [id, { name, age }]))).toEqual(expected);

  const growing = async () => (await pool.query('SELECT 1 FROM growth_kafka._cdc_offsets WHERE growing')).rowCount;
  expect(await growing()).toBe(5);
  await vi.waitFor(async () => expect(await target.shards.growth.step(topic, 0, ends)).toBe('over'), {
    timeout: 20_000,
  });
  expect(await growing()).toBe(0);
});
