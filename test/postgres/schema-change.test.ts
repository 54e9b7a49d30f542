/** Schema changes while running: the real consumer, door and decoder; Kafka in memory and a source that the test alters. */
import type pg from 'pg';
import pino from 'pino';
import { afterEach, beforeEach, describe, expect, inject, it, vi } from 'vitest';
import { bindTable } from '../../src/catalog/bind.ts';
import { planDdl } from '../../src/catalog/ddl.ts';
import type { SourceColumn, SourceTable } from '../../src/catalog/source-table.ts';
import { tableMappingSchema, type TableMapping } from '../../src/catalog/table-mapping.ts';
import type { Table } from '../../src/catalog/table.ts';
import { createConsumer, silentObserver, type Consumer } from '../../src/consume/index.ts';
import type { DeadLetter } from '../../src/deadletter/dead-letter.ts';
import { createDebeziumCassandraDecoder } from '../../src/decode/debezium-cassandra/index.ts';
import { SchemaWatch } from '../../src/operate/schema/schema-watch.ts';
import { checkTargets } from '../../src/operate/schema/target-check.ts';
import { withRereads } from '../../src/operate/schema/source-tables.ts';
import { extendTarget } from '../../src/operate/schema/target-ddl.ts';
import { createPool, openTarget, type Target } from '../../src/target/index.ts';
import { FAKE_TIME_MS, FakeKafka } from '../support/kafka-fake.ts';

const SCHEMA = 'schema_change';
const regular = (name: string, type: 'text' | 'int'): SourceColumn => ({
  name,
  kind: 'regular',
  position: 0,
  descending: false,
  type: { kind: 'scalar', name: type },
  typeText: type,
});
const key: SourceColumn = { ...regular('id', 'int'), kind: 'partition' };
const made: SourceTable = {
  keyspace: 'shop',
  name: 'altered',
  id: 'a',
  columns: [key, regular('age', 'int'), regular('name', 'text')],
  droppedColumns: [],
  defaultTtlSeconds: 0,
  cdc: true,
  unsupported: null,
};

const url = inject('postgresUrl');
let pool: pg.Pool;
let kafka: FakeKafka;
let source: { tables: SourceTable[]; down: boolean };
let target: Target;
let consumer: Consumer;
let watch: SchemaWatch;
let letters: DeadLetter[];
let stop: AbortController;
let running: Promise<unknown>;
const events: string[] = [];

async function sql(text: string): Promise<(string | null)[][]> {
  return (await pool.query<(string | null)[]>({ text, rowMode: 'array' })).rows;
}

beforeEach(async () => {
  pool = createPool({ url, poolSize: 6 });
  await sql(`DROP SCHEMA IF EXISTS ${SCHEMA} CASCADE`);
  await sql('DROP TABLE IF EXISTS altered, steady');
});
afterEach(async () => {
  stop.abort();
  await running;
  await pool.end();
});

const decoderOf = (table: Table) => createDebeziumCassandraDecoder(table);

/**
 * Starts two tables: `altered` under the policy, and `steady`, which must not notice anything. `again`: what the source
 * has when the service starts once more.
 */
async function start(schemaChange: TableMapping['schemaChange'], again?: readonly SourceTable[]): Promise<void> {
  const logs = again === undefined ? [] : again.map(({ name }) => [name, kafka.log(name, 0)] as const);
  source = { tables: [...(again ?? [made, { ...made, name: 'steady', id: 's' }])], down: false };
  const mapped = await Promise.all(
    source.tables.map(async (each) => {
      const mapping = tableMappingSchema.parse({
        source: `shop.${each.name}`,
        topic: each.name,
        target: `public.${each.name}`,
        schemaChange,
      });
      const binding = bindTable(each, mapping);
      if (binding.kind === 'refused') throw new Error('refused');
      if (again === undefined) {
        const { steps } = planDdl(binding.table, null, { schemaExists: true, statics: null });
        for (const step of steps) await sql(step.sql);
      }
      return { resolved: { source: each, table: withRereads(binding.table, true, mapping) }, mapping };
    }),
  );
  const tables = mapped.map(({ resolved }) => resolved.table);
  const clock = { nowMs: () => Date.now() };
  const logger = pino({ level: 'silent' });
  target = await openTarget({ pool, controlSchema: SCHEMA, tables, clock });
  kafka = new FakeKafka();
  for (const [name, log] of logs) Object.assign(kafka.log(name, 0), log);
  letters = [];
  events.length = 0;
  stop = new AbortController();
  for (const { topic } of tables) kafka.log(topic, 0);
  consumer = createConsumer({
    kafka,
    door: target.door,
    store: target.shards,
    topics: new Map(tables.map((table) => [table.topic, { table: table.name, decoder: decoderOf(table) }])),
    deadLetters: {
      put: async (put) => void letters.push(...put),
      forget: () => undefined,
      close: async () => undefined,
    },
    breaker: { maxRatio: 1, minRecords: 1_000 },
    observer: silentObserver,
    logger,
    owner: 'test',
    limits: { logEndsMs: 1_000_000_000, probeMs: 20, retryMinMs: 5, retryMaxMs: 20 },
    clock,
    schemaDoubt: (topic, columns) => watch.doubt(topic, columns),
  });
  watch = new SchemaWatch({
    tables: mapped,
    readKeyspace: async () => {
      if (source.down) throw new Error('the source is down');
      return source.tables;
    },
    checkTargets: (of) => checkTargets(url, of),
    extendTarget: (table) => extendTarget(url, table),
    target,
    consumer,
    decoderOf,
    clock,
    logger,
    onChange: (table, outcome) => events.push(`${table} ${outcome}`),
    onIgnored: (table, columns) => events.push(`${table} ignores ${columns}`),
  });
  await watch.recognise();
  running = Promise.all([consumer.run(stop.signal), watch.run(stop.signal)]);
  kafka.assign(...tables.map(({ topic }) => ({ topic, partition: 0 })));
}

const cell = (value: unknown) => ({ value, deletion_ts: null, set: true });
function write(table: string, id: number, time: number, cells: Readonly<Record<string, unknown>>, op = 'u'): void {
  const log = kafka.log(table, 0);
  const fields = Object.fromEntries(Object.entries(cells).map(([name, value]) => [name, cell(value)]));
  const value = {
    ts_ms: 1,
    op,
    source: { connector: 'cassandra', keyspace: 'shop', table, ts_us: time },
    after: { id: cell(id), ...fields, _range_start: null, _range_end: null },
  };
  log.records.push({
    topic: table,
    partition: 0,
    offset: log.end,
    timestampMs: FAKE_TIME_MS,
    key: Buffer.from(JSON.stringify({ id })),
    value: Buffer.from(JSON.stringify(value)),
    headers: {},
  });
  log.end += 1n;
}

/** Fetches until a state is reached. */
async function until(state: () => Promise<void> | void): Promise<void> {
  await vi.waitFor(
    async () => {
      await kafka.poll();
      await state();
    },
    { timeout: 20_000, interval: 5 },
  );
}
const positionOf = async (table: string) => (await target.shards.load(table, 0))?.next;
const applied = (table: string) => until(async () => expect(await positionOf(table)).toBe(kafka.log(table, 0).end));
const alter = (change: Partial<SourceTable>) => {
  source.tables = source.tables.map((each) => (each.name === 'altered' ? { ...each, ...change } : each));
};
const added = { columns: [key, regular('age', 'int'), regular('mail', 'text'), regular('name', 'text')] };
const stateOf = (table: string) => consumer.shards().find((shard) => shard.topic === table);

describe('evolve', () => {
  it('adds a new column to the target and loses nothing that was read before it was known', async () => {
    await start('evolve');
    write('altered', 1, 10, { name: 'ann' });
    await applied('altered');
    alter(added);
    write('altered', 1, 20, { name: 'bea', mail: 'b@x' });
    write('altered', 2, 21, { age: 3 });
    await applied('altered');
    expect(await sql('SELECT id, age, name, mail FROM altered ORDER BY id')).toEqual([
      ['1', null, 'bea', 'b@x'],
      ['2', '3', null, null],
    ]);
    expect(letters).toEqual([]);
    expect(events).toEqual(['shop.altered applied']);
  });

  it('waits for a source that is down, and gives up a column that the source does not know either', async () => {
    await start('evolve');
    source.down = true;
    write('altered', 1, 20, { name: 'bea', mail: 'b@x' });
    write('steady', 1, 20, { name: 'goes on' });
    await applied('steady');
    await until(() => expect(stateOf('altered')).toMatchObject({ state: 'SCHEMA_DOUBT' }));
    expect(letters).toEqual([]);
    source.down = false;
    write('altered', 2, 21, { age: 3 });
    await applied('altered');
    expect(letters.map(({ code, path }) => [code, path])).toEqual([['UNKNOWN_COLUMN', 'after.mail']]);
    expect(await sql('SELECT id FROM altered')).toEqual([['2']]);
  });

  it('gives a column that was dropped and added again a new life: old values and old records are gone', async () => {
    await start('evolve');
    write('altered', 1, 10, { name: 'ann', age: 1 });
    write('altered', 2, 10, { age: 2 });
    await applied('altered');
    alter({ droppedColumns: [{ name: 'age', kind: 'regular', typeText: 'int', droppedAt: 50n }] });
    await watch.check();
    while (await target.clearDropped('shop.altered'));
    expect(await sql('SELECT id, name, age FROM altered')).toEqual([['1', 'ann', null]]);
    write('altered', 1, 40, { age: 4 });
    write('altered', 3, 60, { age: 6 });
    await applied('altered');
    expect(await sql('SELECT id, name, age FROM altered ORDER BY id')).toEqual([
      ['1', 'ann', null],
      ['3', null, '6'],
    ]);
    expect(
      await sql(`SELECT ordinals->>'age', clearing FROM ${SCHEMA}._cdc_tables WHERE source = 'shop.altered'`),
    ).toEqual([['4', '[]']]);
  });

  it('reads records on that still carry a dropped column', async () => {
    await start('evolve');
    alter({
      columns: [key, regular('name', 'text')],
      droppedColumns: [{ name: 'age', kind: 'regular', typeText: 'int', droppedAt: 50n }],
    });
    await watch.check();
    write('altered', 1, 40, { name: 'ann', age: 1 });
    await applied('altered');
    expect(await sql('SELECT name FROM altered')).toEqual([['ann']]);
    expect(letters).toEqual([]);
  });
});

describe('validate', () => {
  it('stops that table with its reason, not the others, and goes on by itself when the target fits', async () => {
    await start('validate');
    alter(added);
    write('altered', 1, 20, { mail: 'b@x' });
    write('steady', 1, 20, { name: 'goes on' });
    await applied('steady');
    await until(() => expect(stateOf('altered')).toMatchObject({ state: 'SCHEMA_CHANGED' }));
    expect(stateOf('altered')?.reason).toMatch(/column mail was added.*schema apply/);
    expect(await positionOf('altered')).toBe(0n);
    await sql('ALTER TABLE altered ADD COLUMN mail text');
    await watch.check();
    await applied('altered');
    expect(await sql('SELECT id, mail FROM altered')).toEqual([['1', 'b@x']]);
    expect(letters).toEqual([]);
  });
});

describe('ignore', () => {
  it('leaves new columns out, says which, and applies the rest', async () => {
    await start('ignore');
    alter(added);
    write('altered', 1, 20, { name: 'bea', mail: 'b@x' });
    await applied('altered');
    expect(await sql('SELECT id, name FROM altered')).toEqual([['1', 'bea']]);
    expect(letters).toEqual([]);
    expect(events).toContain('shop.altered ignores 1');
  });
});

describe('a target that is changed by hand', () => {
  it('stops its table when a column is dropped, and lets it go on when that is put back', async () => {
    await start('validate');
    await sql('ALTER TABLE altered DROP COLUMN age');
    await watch.check();
    write('altered', 1, 20, { name: 'bea', age: 3 });
    await until(() => expect(stateOf('altered')).toMatchObject({ state: 'TARGET_COLUMN_MISSING' }));
    await sql('ALTER TABLE altered ADD COLUMN age integer');
    await watch.check();
    await applied('altered');
    expect(await sql('SELECT id, name, age FROM altered')).toEqual([['1', 'bea', '3']]);
  });

  it('is bound anew when a column becomes NOT NULL: sparse updates still reach rows that are there', async () => {
    await start('validate');
    write('altered', 1, 10, { name: 'ann' }, 'i');
    await applied('altered');
    await sql('ALTER TABLE altered ALTER COLUMN name SET NOT NULL');
    await watch.check();
    write('altered', 1, 20, { age: 3 });
    await applied('altered');
    expect(await sql('SELECT id, name, age FROM altered')).toEqual([['1', 'ann', '3']]);
    expect(letters).toEqual([]);
  });
});

describe('a member that does not know a column yet', () => {
  it('waits instead of taking rows for gone whose last living cell is in it', async () => {
    await start('validate');
    write('altered', 1, 10, { name: 'ann' });
    await applied('altered');
    await sql(`UPDATE ${SCHEMA}._cdc_tables SET next_ordinal = next_ordinal + 1 WHERE source = 'shop.altered'`);
    write('altered', 1, 20, { name: null });
    await until(() => expect(stateOf('altered')?.reason).toMatch(/SCHEMA_BEHIND/));
    expect(await sql('SELECT name FROM altered')).toEqual([['ann']]);
  });
});

describe('a source table that was dropped and created again', () => {
  const steady = { ...made, name: 'steady', id: 's' };
  const created = { ...made, id: 'b' };
  const restart = async (schemaChange: TableMapping['schemaChange'], ...tables: SourceTable[]): Promise<void> => {
    stop.abort();
    await running;
    await start(schemaChange, tables);
  };
  const later = (ms: number): number => (Date.now() + ms) * 1000;

  it('while nothing ran is recognised before a record is applied, and stops that table alone ⚠', async () => {
    await start('validate');
    write('altered', 1, 10, { name: 'ann' });
    await applied('altered');
    await restart('validate', created, steady);
    write('altered', 2, later(0), { name: 'of the new table' });
    write('steady', 1, 20, { name: 'goes on' });
    await applied('steady');
    await until(() => expect(stateOf('altered')).toMatchObject({ state: 'SOURCE_TABLE_RECREATED' }));
    await watch.check();
    expect(await positionOf('altered')).toBe(1n);
    expect(await sql('SELECT id FROM altered')).toEqual([['1']]);
  });

  it('goes on by itself once its target was emptied, without the memory of the former one', async () => {
    await start('evolve');
    write('altered', 1, later(60_000), { name: 'ann' });
    write('altered', 1, later(120_000), { name: null, age: null });
    await applied('altered');
    expect((await sql(`SELECT count(*) FROM ${SCHEMA}._cdc_graveyard`))[0]).toEqual(['1']);
    write('altered', 3, 10, { name: 'of the former table' });
    write('altered', 4, later(0), { name: 'stands' });
    await applied('altered');
    await restart('evolve', created, steady);
    await until(() => expect(stateOf('altered')).toMatchObject({ state: 'SOURCE_TABLE_RECREATED' }));
    // Still in the topic: nothing tells it from a record of the new table, so only the source can.
    write('altered', 5, 20, { name: 'of the former table' });
    write('altered', 1, later(60_000), { name: 'new' });
    await sql('TRUNCATE altered');
    await watch.check();
    await applied('altered');
    expect(await sql('SELECT id, name FROM altered')).toEqual([['1', 'new']]);
    expect(await sql(`SELECT row_key FROM ${SCHEMA}._cdc_queue`)).toEqual([['["5"]']]);
    expect(letters).toEqual([]);
    // Noted: another start finds nothing to say.
    await restart('evolve', created, steady);
    write('altered', 1, later(90_000), { name: 'newer' });
    await applied('altered');
    expect(await sql('SELECT id, name FROM altered')).toEqual([['1', 'newer']]);
  });

  it('while it runs stops as well, until the target is empty', async () => {
    await start('validate');
    write('altered', 1, 10, { name: 'ann' });
    await applied('altered');
    alter({ id: 'b' });
    await watch.check();
    await until(() => expect(stateOf('altered')).toMatchObject({ state: 'SOURCE_TABLE_RECREATED' }));
    await sql('TRUNCATE altered');
    await watch.check();
    write('altered', 2, later(1_000), { name: 'new' });
    await applied('altered');
    expect(await sql('SELECT id FROM altered')).toEqual([['2']]);
  });

  it('is gone on with under ignore, and told of once', async () => {
    await start('ignore');
    write('altered', 1, 10, { name: 'ann' });
    await applied('altered');
    await restart('ignore', created, steady);
    expect(events).toEqual(['shop.altered applied']);
    write('altered', 2, 20, { name: 'bea' });
    await applied('altered');
    expect(await sql('SELECT id FROM altered ORDER BY id')).toEqual([['1'], ['2']]);
    await restart('ignore', created, steady);
    expect(events).toEqual([]);
  });

  it('of a source whose id was never noted is taken for what it is now', async () => {
    await start('validate');
    await sql(`UPDATE ${SCHEMA}._cdc_tables SET source_id = NULL`);
    await restart('validate', created, steady);
    expect(await sql(`SELECT source_id FROM ${SCHEMA}._cdc_tables ORDER BY source`)).toEqual([['b'], ['s']]);
    expect(stateOf('altered')?.state).not.toBe('SOURCE_TABLE_RECREATED');
  });
});
