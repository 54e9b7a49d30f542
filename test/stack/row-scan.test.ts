/** The scan on a real Cassandra: what it reads is what CQL says, with exact expiries, past tombstones, from any position. */
import { readFileSync } from 'node:fs';
import type cassandra from 'cassandra-driver';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bindTable } from '../../src/catalog/bind.ts';
import { staticTable } from '../../src/catalog/static-table.ts';
import { tableMappingSchema } from '../../src/catalog/table-mapping.ts';
import type { Table } from '../../src/catalog/table.ts';
import { connectSource } from '../../src/demo/workload/source-client.ts';
import { connectCassandra } from '../../src/source/cassandra-client.ts';
import { murmur3Token } from '../../src/change/token.ts';
import { splitRing, WHOLE_RING } from '../../src/change/token-range.ts';
import { digestOfRow } from '../../src/reconcile/end-state/row-digest.ts';
import { encoderOf } from '../../src/reconcile/end-state/row-encoder.ts';
import { shownBySource } from '../../src/reconcile/end-state/row-images.ts';
import { systemClock } from '../../src/shared/clock.ts';
import { RowReader } from '../../src/source/row-reader.ts';
import { scanRows, scanUnread, type ScanOptions, type ScanPage } from '../../src/source/row-scan.ts';
import { scanSession } from '../../src/source/scan-session.ts';
import { readSchema } from '../../src/source/schema.ts';
import type { Stack } from '../../src/stack/index.ts';
import { boundWithoutServer } from '../support/bound-table.ts';
import { writeAll } from '../support/captured-service.ts';
import { openStackOf } from '../support/stack-parts.ts';

const WIDE_ROWS = 30_000;
/**
 * Cassandra fails a page that crosses 100,000 tombstones: even a page of one row must, over partitions that are read with one
 * query, and the scan gets past them by telling the partitions apart.
 */
const GRAVE_PARTITIONS = 3;
const GRAVES_PER_PARTITION = 50_000;
const GRAVES_PER_BATCH = 50;
/** More than a page may cross, in one partition and between two of its rows. */
const DEEP_GRAVES = 120_000;
/** Into so many ranges the scan cuts the ring: partitions of one part are read together. */
const RING_PARTS = 64;

/** Values of every type as the real classes serialise them, with their canonical text. */
const KNOWN = JSON.parse(
  readFileSync(new URL('../fixtures/debezium-cassandra/cassandra-values.json', import.meta.url), 'utf8'),
) as readonly {
  readonly type: string;
  readonly values: readonly { readonly text: string; readonly bytes: string }[];
}[];

const DDL = [
  `CREATE KEYSPACE scan WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}`,
  `CREATE TYPE scan.addr (street text, zip int)`,
  `CREATE TABLE scan.kinds (k int, c int, note text static, tags set<text>, m map<text, int>, a addr, f frozen<addr>,
     v text, n varint, PRIMARY KEY (k, c))`,
  `CREATE TABLE scan.wide (k text, up int, down timeuuid, "V" int, PRIMARY KEY (k, up, down))
     WITH CLUSTERING ORDER BY (up ASC, down DESC)`,
  `CREATE TABLE scan.graves (k int, c int, v int, PRIMARY KEY (k, c))`,
  `CREATE TABLE scan.deep (k int, up tinyint, down smallint, v int, PRIMARY KEY (k, up, down))
     WITH CLUSTERING ORDER BY (up ASC, down DESC)`,
  `CREATE TABLE scan.uncut (k int, c uuid, v int, PRIMARY KEY (k, c))`,
  `CREATE TABLE scan.types (k int PRIMARY KEY, ${KNOWN.map(({ type }, i) => `v${i} ${type}`).join(', ')})`,
];

let stack: Stack;
let writer: cassandra.Client;
let reader: cassandra.Client;

async function tableOf(name: string): Promise<Table> {
  const source = (await readSchema(reader, 'scan')).find((table) => table.name === name);
  const mapping = tableMappingSchema.parse({ source: `scan.${name}`, topic: `scan.${name}`, target: `public.${name}` });
  const binding = source === undefined ? undefined : bindTable(source, mapping);
  if (binding?.kind !== 'bound') throw new Error(`${name} is not bound`);
  return binding.table;
}

const options = (more: Partial<ScanOptions> = {}): ScanOptions => ({
  range: WHOLE_RING,
  from: null,
  signal: AbortSignal.timeout(240_000),
  elapsedMs: () => performance.now(),
  backoff: { startingDelay: 20, maxDelay: 1_000 },
  giveUpMs: 60_000,
  ...more,
});

async function pagesOf(table: Table, more: Partial<ScanOptions> = {}): Promise<ScanPage[]> {
  const pages: ScanPage[] = [];
  for await (const page of scanRows(scanSession(reader), table, options(more))) pages.push(page);
  return pages;
}

const keysOf = (pages: readonly ScanPage[]): string[] => pages.flatMap(({ rows }) => rows.map(({ key }) => key.text));

beforeAll(async () => {
  ({ stack } = await openStackOf(['cassandra']));
  const address = stack.endpoints().cassandra;
  writer = await connectSource(address);
  for (const statement of DDL) await writer.execute(statement);
  reader = await connectCassandra({
    ...address,
    consistency: 'LOCAL_QUORUM',
    username: null,
    password: null,
    ssl: false,
  });
}, 300_000);

afterAll(async () => {
  await writer.shutdown();
  await reader.shutdown();
  await stack.destroy();
});

describe('a scan of a real table', () => {
  it('has write times and values of every kind of column, and statics by partition', async () => {
    const writes = [
      `INSERT INTO scan.kinds (k, c, v, n, f) VALUES (1, 1, 'a', 12345678901234567890, {street: 's', zip: 1}) USING TIMESTAMP 1000`,
      `UPDATE scan.kinds USING TIMESTAMP 2000 SET tags = tags + {'x'}, m['p'] = 1, a.street = 'only' WHERE k = 1 AND c = 1`,
      `UPDATE scan.kinds USING TIMESTAMP 3000 SET tags = tags + {'y'} WHERE k = 1 AND c = 1`,
      `INSERT INTO scan.kinds (k, c) VALUES (1, 2)`,
      `UPDATE scan.kinds USING TIMESTAMP 4000 SET note = 'of one' WHERE k = 1`,
      `UPDATE scan.kinds USING TIMESTAMP 5000 SET note = 'of two, which has no row' WHERE k = 2`,
    ];
    for (const statement of writes) await writer.execute(statement);
    const table = await tableOf('kinds');
    const names = table.regular.map(({ name }) => name);
    const pages = await pagesOf(table);
    const rows = pages.flatMap((page) => page.rows);
    const cellsOf = (text: string): unknown => {
      const cells = rows.find(({ key }) => key.text === text)?.cells ?? [];
      return Object.fromEntries(names.map((name, i) => [name, cells[i] ?? null]));
    };
    const cell = (writeTime: bigint, value: string): unknown => ({ writeTime, value, expiry: null });
    expect(keysOf(pages).sort()).toEqual(['["1","1"]', '["1","2"]']);
    expect(cellsOf('["1","1"]')).toEqual({
      v: cell(1000n, 'a'),
      n: cell(1000n, '12345678901234567890'),
      f: cell(1000n, '{"street":"s","zip":1}'),
      tags: cell(3000n, '["x","y"]'),
      m: cell(2000n, '{"p":1}'),
      a: cell(2000n, '{"street":"only","zip":null}'),
    });
    expect(cellsOf('["1","2"]')).toEqual(Object.fromEntries(names.map((name) => [name, null])));
    const statics = staticTable(table);
    if (statics === null) throw new Error('there is a static column');
    const found = (await pagesOf(statics)).flatMap((page) => page.rows);
    expect(found.map(({ key, cells }) => [key.text, cells]).sort()).toEqual([
      ['["1"]', [cell(4000n, 'of one')]],
      ['["2"]', [cell(5000n, 'of two, which has no row')]],
    ]);
  });

  it('has values of every type byte for byte, however they are read, and digests them without reading them', async () => {
    const names = KNOWN.map((_, i) => `v${i}`);
    const insert = `INSERT INTO scan.types (k, ${names.join(', ')}) VALUES (?, ${names.map(() => '?').join(', ')})`;
    const rows = Math.max(...KNOWN.map(({ values }) => values.length));
    const valueOf = (row: number, name: string): { text: string; bytes: string } => {
      const { values } = KNOWN[Number(name.slice(1))]!;
      return values[row % values.length]!;
    };
    await writeAll(writer, rows, (k) => [
      insert,
      [k, ...names.map((name) => Buffer.from(valueOf(k, name).bytes, 'hex'))],
    ]);
    const table = await tableOf('types');
    const bound = await boundWithoutServer(table);
    const columns = table.regular.map(({ name }) => name);
    const textsOf = ({ cells }: { readonly cells: readonly ({ readonly value: string | null } | null)[] }): unknown =>
      cells.map((cell) => cell?.value);
    const scanned = (await pagesOf(table)).flatMap((page) => page.rows);
    expect(scanned).toHaveLength(rows);
    for (const row of scanned) {
      expect(textsOf(row)).toEqual(columns.map((name) => valueOf(Number(row.key.values[0]), name).text));
    }
    const byKey = new RowReader(reader, systemClock);
    const read = await byKey.read(
      table,
      scanned.map(({ key }) => key),
      AbortSignal.timeout(60_000),
    );
    expect(read).toEqual(scanned.map(({ cells }) => ({ cells })));
    let digested = 0;
    for await (const page of scanUnread(scanSession(reader), table, options())) {
      for (const row of page.rows) {
        const eager = scanned.find(({ key }) => key.text === row.key.text)!;
        expect(row.cells).toEqual(eager.cells);
        const shown = shownBySource(bound, eager.key.values, eager, 0n);
        expect(encoderOf(bound).source(row.packed)?.digest).toBe(digestOfRow(columns, shown));
        digested += 1;
      }
    }
    expect(digested).toBe(rows);
  });

  it('gives one expiry for one write, at whatever moment it is read', async () => {
    await writer.execute(`INSERT INTO scan.kinds (k, c, v) VALUES (9, 9, 'expires') USING TTL 100000`);
    await writer.execute(`UPDATE scan.kinds USING TTL 50000 SET tags = {'expires'} WHERE k = 9 AND c = 9`);
    const table = await tableOf('kinds');
    // Only where the row is: readings come thick and fast, before and after a second begins.
    const token = (await pagesOf(table)).flatMap(({ rows }) => rows).find(({ key }) => key.text === '["9","9"]')?.token;
    if (token === undefined) throw new Error('the row is there');
    const range = { after: token - 1n, upTo: token };
    const seen = new Set<string>();
    const startedMs = Date.now();
    let readings = 0;
    // Several seconds begin meanwhile.
    while (Date.now() - startedMs < 4_000) {
      const rows = (await pagesOf(table, { range })).flatMap((page) => page.rows);
      const row = rows.find(({ key }) => key.text === '["9","9"]');
      seen.add(JSON.stringify(row?.cells.flatMap((cell) => (cell?.expiry == null ? [] : [String(cell.expiry)]))));
      readings += 1;
    }
    expect(readings).toBeGreaterThan(50);
    expect([...seen]).toHaveLength(1);
    expect(JSON.parse([...seen][0] ?? '[]')).toHaveLength(2);
  });

  it('reads a wide partition with bounded pages, and goes on within it', async () => {
    const query = `INSERT INTO scan.wide (k, up, down, "V") VALUES (?, ?, now(), ?)`;
    await writeAll(writer, WIDE_ROWS, (i) => [query, [i % 50 === 0 ? `small-${i}` : 'wide', Math.floor(i / 7), i]]);
    const table = await tableOf('wide');
    const pages = await pagesOf(table);
    const all = keysOf(pages);
    expect(all).toHaveLength(WIDE_ROWS);
    expect(new Set(all).size).toBe(WIDE_ROWS);
    expect(Math.max(...pages.map(({ rows }) => rows.length))).toBeLessThanOrEqual(4_096);
    let before = 0;
    for (const { rows, position } of pages) {
      before += rows.length;
      if (position.key === null || before % 3 !== 0) continue;
      expect(keysOf(await pagesOf(table, { from: position }))).toEqual(all.slice(before));
    }
    const parts: string[] = [];
    for (const range of splitRing(16)) parts.push(...keysOf(await pagesOf(table, { range })));
    expect(parts).toEqual(all);
  });

  it('survives more tombstones between two rows than a page may cross', async () => {
    const table = await tableOf('graves');
    const tokenOf = (k: number): bigint => {
      const bytes = Buffer.alloc(4);
      bytes.writeInt32BE(k);
      return murmur3Token(bytes);
    };
    const [part] = splitRing(RING_PARTS);
    if (part === undefined) throw new Error('a ring has parts');
    const keys: number[] = [];
    for (let k = 0; keys.length < GRAVE_PARTITIONS; k++) {
      if (tokenOf(k) > part.after && tokenOf(k) <= part.upTo) keys.push(k);
    }
    const statement = 'DELETE FROM scan.graves WHERE k = ? AND c = ?;';
    const batch = `BEGIN UNLOGGED BATCH ${statement.repeat(GRAVES_PER_BATCH)} APPLY BATCH`;
    const batches = GRAVES_PER_PARTITION / GRAVES_PER_BATCH;
    await writeAll(writer, GRAVE_PARTITIONS * batches, (i) => {
      const first = Math.floor(i / GRAVE_PARTITIONS) * GRAVES_PER_BATCH;
      const k = keys[i % GRAVE_PARTITIONS] ?? 0;
      return [batch, Array.from({ length: GRAVES_PER_BATCH }, (_, n) => [k, first + n]).flat()];
    });
    for (const k of keys) await writer.execute(`INSERT INTO scan.graves (k, c, v) VALUES (${k}, 1000000, ${k})`);
    // A plain reader fails.
    await expect(writer.execute('SELECT k, c, v FROM scan.graves')).rejects.toThrow(/tombstone|failed|failure/i);
    let failed = 0;
    const pages = await pagesOf(table, { onRetry: () => failed++ });
    expect(keysOf(pages).sort()).toEqual(keys.map((k) => `["${k}","1000000"]`).sort());
    expect(failed).toBeGreaterThan(0);
  });

  it('cuts a partition with more tombstones in a row than a page may cross, and names what it can not cut', async () => {
    const deletes = (table: string, columns: readonly string[]): string => {
      const statement = `DELETE FROM scan.${table} WHERE ${columns.map((name) => `${name} = ?`).join(' AND ')};`;
      return `BEGIN UNLOGGED BATCH ${statement.repeat(GRAVES_PER_BATCH)} APPLY BATCH`;
    };
    const batches = DEEP_GRAVES / GRAVES_PER_BATCH;
    const each = (first: number, values: (n: number) => unknown[]): unknown[] =>
      Array.from({ length: GRAVES_PER_BATCH }, (_, n) => values(first * GRAVES_PER_BATCH + n)).flat();
    const deep = deletes('deep', ['k', 'up', 'down']);
    await writeAll(writer, batches, (i) => [deep, each(i, (n) => [1, n % 2, Math.floor(n / 2) - 30_000])]);
    const uncut = deletes('uncut', ['k', 'c']);
    await writeAll(writer, batches, (i) => [
      uncut,
      each(i, (n) => [1, `10000000-0000-4000-8000-${n.toString(16).padStart(12, '0')}`]),
    ]);
    const live = [
      `INSERT INTO scan.deep (k, up, down, v) VALUES (1, 1, -31000, 1)`,
      `INSERT INTO scan.deep (k, up, down, v) VALUES (1, 1, -31001, 2)`,
      `INSERT INTO scan.deep (k, up, down, v) VALUES (1, 9, 0, 3)`,
      `INSERT INTO scan.deep (k, up, down, v) VALUES (2, 0, 0, 4)`,
      `INSERT INTO scan.uncut (k, c, v) VALUES (1, 00000000-0000-4000-8000-000000000000, 1)`,
      `INSERT INTO scan.uncut (k, c, v) VALUES (1, ffffffff-0000-4000-8000-000000000000, 2)`,
      `INSERT INTO scan.uncut (k, c, v) VALUES (2, ffffffff-0000-4000-8000-000000000000, 3)`,
    ];
    for (const statement of live) await writer.execute(statement);
    let failed = 0;
    const pages = await pagesOf(await tableOf('deep'), { onRetry: () => failed++ });
    expect(keysOf(pages).sort()).toEqual(
      ['["1","1","-31000"]', '["1","1","-31001"]', '["1","9","0"]', '["2","0","0"]'].sort(),
    );
    expect(failed).toBeGreaterThan(0);
    await expect(pagesOf(await tableOf('uncut'))).rejects.toMatchObject({ code: 'SOURCE_TOMBSTONES' });
    const passed = await pagesOf(await tableOf('uncut'), { passesOver: true });
    expect(passed.flatMap(({ unread }) => unread.map(({ where }) => where))).toEqual([
      'partition (1), c behind 00000000-0000-4000-8000-000000000000',
    ]);
    expect(keysOf(passed)).toHaveLength(2);
  });

  it('says what is wrong where the source refuses the query', async () => {
    const table = await tableOf('graves');
    const gone = { ...table, sourceTable: 'nowhere' };
    await expect(pagesOf(gone)).rejects.toMatchObject({ code: 'SOURCE_QUERY', kind: 'config' });
  });
});
