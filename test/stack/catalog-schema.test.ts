import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from 'cassandra-driver';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bindTable } from '../../src/catalog/bind.ts';
import type { SourceTable } from '../../src/catalog/source-table.ts';
import { tableMappingSchema } from '../../src/catalog/table-mapping.ts';
import { canonicalClustering } from '../../src/change/values/value-order.ts';
import { printCqlType } from '../../src/change/parse-cql-type.ts';
import { connectCassandra, type CassandraOptions } from '../../src/source/cassandra-client.ts';
import { readSchema } from '../../src/source/schema.ts';
import { openStack, type Stack } from '../../src/stack/index.ts';

const KEYSPACE = 'catalog_schema';

let stack: Stack;
let options: CassandraOptions;
let client: Client;
let tables: ReadonlyMap<string, SourceTable>;

beforeAll(async () => {
  stack = await openStack({ provider: 'native', dir: await mkdtemp(join(tmpdir(), 'lockstep-catalog-')) });
  const { cassandra } = await stack.up();
  options = { ...cassandra, consistency: 'LOCAL_QUORUM', username: null, password: null, ssl: false };
  client = await connectCassandra(options);
  for (const statement of [
    `CREATE KEYSPACE ${KEYSPACE} WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}`,
    `CREATE TYPE ${KEYSPACE}.point (x double, y double)`,
    `CREATE TYPE ${KEYSPACE}."Address" (street text, geo frozen<point>, lines frozen<list<text>>)`,
    `CREATE TABLE ${KEYSPACE}."Orders" (region text, "Customer" uuid, at timestamp, n int, name text static,
       total decimal, tags set<text>, home frozen<"Address">, away "Address", t tuple<int, frozen<list<text>>>,
       v vector<float, 3>, m map<text, frozen<map<int, timeuuid>>>, d duration, gone text,
       PRIMARY KEY ((region, "Customer"), at, n)) WITH CLUSTERING ORDER BY (at DESC, n ASC)
       AND cdc = true AND default_time_to_live = 3600`,
    `ALTER TABLE ${KEYSPACE}."Orders" DROP gone`,
    `CREATE TABLE ${KEYSPACE}.hits (k int PRIMARY KEY, n counter)`,
    `CREATE TABLE ${KEYSPACE}.only_key (k int PRIMARY KEY)`,
    `CREATE TABLE ${KEYSPACE}.odd (k int PRIMARY KEY, v 'org.apache.cassandra.db.marshal.LexicalUUIDType')`,
    `CREATE TABLE ${KEYSPACE}.doubles (k int, c double, PRIMARY KEY (k, c))`,
    `CREATE TABLE ${KEYSPACE}.decimals (k int, c decimal, v text, PRIMARY KEY (k, c))`,
    `CREATE TABLE ${KEYSPACE}.decimal_partitions (k decimal PRIMARY KEY, v text)`,
    `CREATE TABLE ${KEYSPACE}.decimal_lists (k int, c frozen<list<decimal>>, PRIMARY KEY (k, c))`,
  ]) {
    await client.execute(statement);
  }
  tables = new Map((await readSchema(client, KEYSPACE)).map((table) => [table.name, table]));
}, 300_000);
afterAll(async () => {
  await client.shutdown();
  await stack.destroy();
});

function table(name: string): SourceTable {
  const found = tables.get(name);
  if (found === undefined) throw new Error(`no table ${name}`);
  return found;
}

function mapping(name: string, more: object = {}) {
  return tableMappingSchema.parse({ source: `${KEYSPACE}.${name}`, topic: 't', target: 'public.t', ...more });
}

describe('readSchema', () => {
  test('reads columns with kinds, positions, order and types', () => {
    const columns = table('Orders').columns.map((column) => [
      column.name,
      column.kind,
      column.position,
      column.descending,
      column.typeText,
    ]);
    expect(columns).toEqual([
      ['region', 'partition', 0, false, 'text'],
      ['Customer', 'partition', 1, false, 'uuid'],
      ['at', 'clustering', 0, true, 'timestamp'],
      ['n', 'clustering', 1, false, 'int'],
      ['name', 'static', 0, false, 'text'],
      ['away', 'regular', 0, false, '"Address"'],
      ['d', 'regular', 0, false, 'duration'],
      ['home', 'regular', 0, false, 'frozen<"Address">'],
      ['m', 'regular', 0, false, 'map<text, frozen<map<int, timeuuid>>>'],
      ['t', 'regular', 0, false, 'frozen<tuple<int, frozen<list<text>>>>'],
      ['tags', 'regular', 0, false, 'set<text>'],
      ['total', 'regular', 0, false, 'decimal'],
      ['v', 'regular', 0, false, 'vector<float, 3>'],
    ]);
    // What was parsed says the same as what was read.
    for (const column of table('Orders').columns) expect(printCqlType(column.type)).toBe(column.typeText);
  });

  test('resolves user-defined types inside each other', () => {
    const home = table('Orders').columns.find((column) => column.name === 'home');
    expect(home?.type).toMatchObject({
      kind: 'udt',
      name: 'Address',
      frozen: true,
      fields: [
        { name: 'street' },
        { name: 'geo', type: { kind: 'udt', name: 'point', fields: [{ name: 'x' }, { name: 'y' }] } },
        { name: 'lines', type: { kind: 'list' } },
      ],
    });
  });

  test('reads what the table says about TTL, capture, identity and dropped columns', () => {
    const { id, cdc, defaultTtlSeconds, droppedColumns, unsupported } = table('Orders');
    expect(id).toMatch(/^[0-9a-f-]{36}$/);
    expect({ cdc, defaultTtlSeconds, unsupported }).toEqual({ cdc: true, defaultTtlSeconds: 3600, unsupported: null });
    expect(droppedColumns).toMatchObject([{ name: 'gone', kind: 'regular', typeText: 'text' }]);
    // µs, as write times are: a cell written before the drop lies below, one written now above.
    const dropped = droppedColumns[0]?.droppedAt ?? 0n;
    expect(dropped).toBeGreaterThan(BigInt(Date.now() - 3_600_000) * 1000n);
    expect(dropped).toBeLessThan(BigInt(Date.now() + 1000) * 1000n);
    expect(table('only_key').cdc).toBe(false);
  });

  test('says of a table that can’t be followed what it is', async () => {
    expect(bindTable(table('hits'), mapping('hits'))).toMatchObject({
      kind: 'refused',
      errors: [{ code: 'TABLE_UNSUPPORTED', kind: 'config' }],
    });
    const virtual = (await readSchema(client, 'system_views')).find(({ name }) => name === 'clients');
    expect(virtual?.unsupported?.what).toContain('virtual');
  });

  test('a type without a CQL name is refused by name, unless its column is excluded', () => {
    expect(bindTable(table('odd'), mapping('odd'))).toMatchObject({
      kind: 'refused',
      errors: [{ code: 'TYPE_UNSUPPORTED', message: expect.stringContaining('LexicalUUIDType') as string }],
    });
    expect(bindTable(table('odd'), mapping('odd', { columns: { v: { exclude: true } } })).kind).toBe('bound');
  });

  test('a missing keyspace is a fault of the configuration', async () => {
    await expect(readSchema(client, 'nowhere')).rejects.toMatchObject({ code: 'SOURCE_KEYSPACE', kind: 'config' });
  });

  test('binds the table that was read', () => {
    const binding = bindTable(table('Orders'), mapping('Orders'));
    expect(binding).toMatchObject({ kind: 'bound', table: { usesTtl: true } });
  });
});

describe('the equality of keys, as the rules of the catalog take it to be', () => {
  const count = async (name: string) => {
    const result = await client.execute(`SELECT count(*) AS n FROM ${KEYSPACE}.${name}`);
    return Number(result.first().get('n'));
  };
  test('decimal 1.0 and 1.00 are one clustering value and two partitions', async () => {
    for (const name of ['decimals', 'decimal_partitions']) {
      const key = name === 'decimals' ? 'k, c' : 'k';
      for (const value of ['1.0', '1.00']) {
        const values = name === 'decimals' ? `1, ${value}` : value;
        await client.execute(`INSERT INTO ${KEYSPACE}.${name} (${key}, v) VALUES (${values}, '${value}')`);
      }
    }
    expect(await count('decimals')).toBe(1);
    expect(await count('decimal_partitions')).toBe(2);
    expect(canonicalClustering({ kind: 'scalar', name: 'decimal' }, '1.00')).toBe(
      canonicalClustering({ kind: 'scalar', name: 'decimal' }, '1.0'),
    );
  });
  test('decimals within a frozen list too, which is why such a clustering column is refused', async () => {
    await client.execute(`INSERT INTO ${KEYSPACE}.decimal_lists (k, c) VALUES (1, [1.0])`);
    await client.execute(`INSERT INTO ${KEYSPACE}.decimal_lists (k, c) VALUES (1, [1.00])`);
    expect(await count('decimal_lists')).toBe(1);
    expect(bindTable(table('decimal_lists'), mapping('decimal_lists')).kind).toBe('refused');
  });
  test('double −0 and 0 are two clustering values', async () => {
    await client.execute(`INSERT INTO ${KEYSPACE}.doubles (k, c) VALUES (1, ?)`, [0], { prepare: true });
    await client.execute(`INSERT INTO ${KEYSPACE}.doubles (k, c) VALUES (1, ?)`, [-0], { prepare: true });
    expect(await count('doubles')).toBe(2);
  });
});

describe('connecting', () => {
  test('a data centre that is not there is a fault of the configuration, not waited for', async () => {
    const wrong = connectCassandra({ ...options, localDataCenter: 'nowhere' });
    await expect(wrong).rejects.toMatchObject({ code: 'SOURCE_REFUSED', kind: 'config' });
  });
  test('a source that is down is tried again, and is transient', async () => {
    let retries = 0;
    const down = connectCassandra(
      { ...options, contactPoints: ['127.0.0.1:1'] },
      { attempts: 3, onRetry: () => (retries += 1) },
    );
    await expect(down).rejects.toMatchObject({ code: 'SOURCE_UNREACHABLE', kind: 'transient' });
    expect(retries).toBe(2);
  });
  test('it stops when it is told to', async () => {
    const stop = new AbortController();
    const down = connectCassandra(
      { ...options, contactPoints: ['127.0.0.1:1'] },
      { signal: stop.signal, onRetry: () => stop.abort(new Error('stopped')) },
    );
    await expect(down).rejects.toThrow('stopped');
  });
});
