/**
 * `lockstep backfill` on the real stack: what was never captured, beside what is being written, after a kill. PostgreSQL
 * equals Cassandra.
 *
 * `old` is not captured at all (a non-frozen user-defined type stops the agent, see rereads.test.ts); `live` is, and is
 * written to all the time.
 */
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type cassandra from 'cassandra-driver';
import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { LockstepService } from '../../src/demo/service/lockstep-service.ts';
import { connectSource } from '../../src/demo/workload/source-client.ts';
import { openStack, type Stack } from '../../src/stack/index.ts';
import { startCaptured, writeAll } from '../support/captured-service.ts';
import { beginCommand, endOf, type Ended } from '../support/lockstep-command.ts';
import { eventually } from '../support/service-stage.ts';

const WIDE_ROWS = 20_000;
const LIVE_ROWS = 3_000;
/** Of each of three writers. */
const WRITE_EVERY_MS = 15;
const TABLES = ['old', 'live'] as const;
const DDL = [
  `CREATE KEYSPACE bf WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}`,
  `CREATE TYPE bf.addr (street text, zip int)`,
  `CREATE TABLE bf.old (k int, c int, note text static, marks set<text> static, v text, n int, tags set<text>,
     m map<text, int>, l list<int>, a addr, f frozen<addr>, PRIMARY KEY (k, c)) WITH CLUSTERING ORDER BY (c DESC)`,
  `CREATE TABLE bf.live (k int, c int, v text, n int, tags set<text>, PRIMARY KEY (k, c))`,
];
/** Of rows of its own, with everything that a row can have. */
const SPECIAL = [
  `INSERT INTO bf.old (k, c, v, n, tags, m, l, a, f) VALUES (2, 1, 'all', 1, {'x','y'}, {'p': 1}, [3,1], {street: 's', zip: 1}, {street: 't', zip: 2})`,
  `INSERT INTO bf.old (k, c) VALUES (2, 2)`,
  `INSERT INTO bf.old (k, c, v, n) VALUES (2, 3, null, 3)`,
  `UPDATE bf.old SET v = 'no marker' WHERE k = 2 AND c = 4`,
  `UPDATE bf.old USING TIMESTAMP 5000 SET v = 'of long ago' WHERE k = 2 AND c = 5`,
  `INSERT INTO bf.old (k, c, v, n) VALUES (2, 6, 'lasts', 1) USING TTL 100000`,
  `UPDATE bf.old SET note = 'static of two', marks = {'a','b'} WHERE k = 2`,
  `UPDATE bf.old SET note = 'no row' WHERE k = 3`,
  `INSERT INTO bf.old (k, c, v) VALUES (4, 1, 'deleted')`,
  `DELETE FROM bf.old WHERE k = 4 AND c = 1`,
  `INSERT INTO bf.old (k, c, v) VALUES (5, 1, 'its element goes')`,
  `UPDATE bf.old SET tags = tags + {'stays', 'goes'} WHERE k = 5 AND c = 1`,
  `UPDATE bf.old SET tags = tags - {'goes'} WHERE k = 5 AND c = 1`,
];

let stack: Stack;
let source: cassandra.Client;
let postgres: pg.Pool;
let service: LockstepService;
let configurationFile: string;

beforeAll(async () => {
  const dir = await mkdtemp(join(tmpdir(), 'lockstep-backfill-'));
  stack = await openStack({ provider: 'native', dir });
  const endpoints = await stack.up({
    beforeAgent: async ({ cassandra: found }) => {
      source = await connectSource(found);
      for (const statement of [...DDL, ...SPECIAL]) await source.execute(statement);
      await writeAll(source, WIDE_ROWS, (i) => [
        'INSERT INTO bf.old (k, c, v, n) VALUES (1, ?, ?, ?)',
        [i, `v${i}`, i],
      ]);
      await writeAll(source, LIVE_ROWS, (i) => [
        'INSERT INTO bf.live (k, c, v, n, tags) VALUES (?, ?, ?, ?, ?)',
        [i % 100, Math.floor(i / 100), `before-${i}`, i, new Set(['before'])],
      ]);
      await source.execute('ALTER TABLE bf.live WITH cdc = true');
    },
  });
  postgres = new pg.Pool({ connectionString: endpoints.postgres.url, max: 2 });
  ({ service, configurationFile } = await startCaptured(dir, endpoints, 'bf', TABLES));
}, 400_000);

afterAll(async () => {
  await service.stop();
  await postgres.end();
  await source.shutdown();
  await stack.destroy();
});

interface Report {
  readonly status: string;
  readonly counts: Readonly<Record<string, number>>;
  readonly failures: Readonly<Record<string, number>>;
}
const reportOf = ({ stdout }: Ended): Report => JSON.parse(stdout) as Report;

/** Both sides as values of JSON, by the driver of each; sets, maps and fields in one order. */
function plain(value: unknown): unknown {
  if (value instanceof Set) return [...value].map(String).sort();
  if (value instanceof Map) return plain(Object.fromEntries(value));
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== 'object') return value ?? null;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, part]) => [name, plain(part)]),
  );
}

async function cassandraRows(query: string): Promise<string[]> {
  const rows: string[] = [];
  for await (const row of await source.execute(query, [], { fetchSize: 5_000 })) {
    const names = row.keys();
    rows.push(JSON.stringify(names.map((name) => plain(row.get(name)))));
  }
  return rows.sort();
}

async function postgresRows(query: string): Promise<string[]> {
  const { rows } = await postgres.query<unknown[]>({ text: query, rowMode: 'array' });
  return rows.map((row) => JSON.stringify(row.map(plain))).sort();
}

const OLD = 'k, c, v, n, tags, m, l, a, f';
const LIVE = 'k, c, v, n, tags';

async function equal(left: () => Promise<string[]>, right: () => Promise<string[]>): Promise<void> {
  let difference: unknown;
  await eventually('both sides to be equal', async () => {
    const [wanted, found] = [await left(), await right()];
    const [there, here] = [new Set(wanted), new Set(found)];
    difference = {
      rows: [wanted.length, found.length],
      source: wanted.filter((row) => !here.has(row)).slice(0, 5),
      target: found.filter((row) => !there.has(row)).slice(0, 5),
    };
    return wanted.length === found.length && wanted.every((row, i) => row === found[i]) ? true : undefined;
  }).catch((cause: unknown) => {
    throw new Error(JSON.stringify(difference, null, 1), { cause });
  });
}

it('is killed and goes on where it was: rows, statics, collections and types as the source has them', async () => {
  const killed = beginCommand(configurationFile, 'backfill', '--table', 'bf.old', '--rate', '4000');
  const [job] = await Promise.all([
    eventually('some pages to be noted', async () => {
      const { rows } = await postgres.query<{ id: string }>(
        `SELECT id FROM _cdc_jobs WHERE state IS NOT NULL AND (counts ->> 'rows')::int > 3000`,
      );
      return rows[0]?.id;
    }).finally(() => killed.kill('SIGKILL')),
    endOf(killed),
  ]);
  const before = await postgres.query<{ n: number }>('SELECT count(*)::int AS n FROM old');
  expect(before.rows[0]?.n).toBeLessThan(WIDE_ROWS);
  const early = await endOf(beginCommand(configurationFile, 'backfill', '--table', 'bf.old', '--resume'));
  expect([early.code, early.stderr]).toEqual([2, expect.stringContaining('somebody works on it') as string]);
  // The killed one is given up on when it was not heard of for 30 s.
  const resumed = await eventually('the job to be taken over', async () => {
    const answer = await endOf(beginCommand(configurationFile, 'backfill', '--table', 'bf.old', '--resume', '--json'));
    return answer.code === 2 ? undefined : answer;
  });
  expect(resumed.code, resumed.stderr).toBe(0);
  const source_ = await cassandraRows(`SELECT ${OLD} FROM bf.old`);
  // Partition 3 has static values only: CQL shows it as a row without a clustering key.
  const rows = source_.filter((row) => (JSON.parse(row) as unknown[])[1] !== null);
  expect(reportOf(resumed)).toMatchObject({
    status: 'COMPLETED',
    counts: { rows: rows.length, statics: 2, failed: 0 },
  });
  await equal(
    () => Promise.resolve(rows),
    () => postgresRows(`SELECT ${OLD} FROM old`),
  );
  await equal(
    () =>
      cassandraRows('SELECT DISTINCT k, note, marks FROM bf.old').then((all) =>
        all.filter((row) => !row.endsWith('null,null]')),
      ),
    () => postgresRows('SELECT k, note, marks FROM old__static'),
  );
  const { rows: jobs } = await postgres.query<{ id: string }>('SELECT id FROM _cdc_jobs');
  expect(jobs).toEqual([{ id: job }]);
}, 300_000);

it('changes nothing when it is repeated, and says what is wrong with a request', async () => {
  const again = reportOf(await endOf(beginCommand(configurationFile, 'backfill', '--table', 'bf.old', '--json')));
  // Multi-cell columns take the sequence of the later read.
  expect(again.counts['written']).toBeLessThan(10);
  expect(again.counts['failed'] ?? 0).toBe(0);
  const unknown = await endOf(beginCommand(configurationFile, 'backfill', '--table', 'bf.odl'));
  expect([unknown.code, unknown.stderr]).toEqual([2, expect.stringContaining('the nearest is bf.old') as string]);
  const none = await endOf(beginCommand(configurationFile, 'backfill', '--table', 'bf.live', '--resume'));
  expect([none.code, none.stderr]).toEqual([2, expect.stringContaining('no backfill of bf.live') as string]);
}, 120_000);

it('keeps write times and expiries: what expires goes when it does', async () => {
  await source.execute(`INSERT INTO bf.old (k, c, v, n) VALUES (6, 1, 'expires', 1) USING TTL 12`);
  await source.execute(`INSERT INTO bf.old (k, c) VALUES (6, 2) USING TTL 12`);
  await source.execute(`UPDATE bf.old USING TTL 12 SET tags = {'expires'} WHERE k = 6 AND c = 3`);
  await source.execute(`UPDATE bf.old USING TTL 12 SET marks = {'c'}, note = 'expires' WHERE k = 6`);
  expect((await endOf(beginCommand(configurationFile, 'backfill', '--table', 'bf.old'))).code).toBe(0);
  expect(await postgresRows('SELECT c FROM old WHERE k = 6')).toHaveLength(3);
  expect(await postgresRows('SELECT note, marks FROM old__static WHERE k = 6')).toEqual(['["expires",["c"]]']);
  const stored = await postgres.query<{ v: string }>('SELECT _cdc_versions::text AS v FROM old WHERE k = 2 AND c = 5');
  expect(stored.rows[0]?.v).toContain('5000');
  await eventually('what has expired to be gone', async () => {
    const left = await postgresRows('SELECT c FROM old WHERE k = 6 AND c <> 2');
    const statics = await postgresRows('SELECT k FROM old__static WHERE k = 6');
    return left.length + statics.length === 0 ? true : undefined;
  });
  // Nothing tells of a marker's TTL: such a row is looked at again within the hour.
  const owed = await postgres.query(`SELECT 1 FROM _cdc_queue WHERE row_key = '["6","2"]' AND kind <> 'expiry'`);
  expect(owed.rowCount).toBe(1);
}, 180_000);

it('races with writes and deletes, and ends as the source', async () => {
  let isOver = false;
  let written = 0;
  const random = mulberry(20_261_127);
  const writer = async (): Promise<void> => {
    while (!isOver) {
      // A workload of a stated rate: what is written faster than it is read again only makes the test longer.
      await delay(WRITE_EVERY_MS);
      const [k, c] = [Math.floor(random() * 100), Math.floor(random() * 30)];
      const what = random();
      const at = `k = ${k} AND c = ${c}`;
      const n = written++;
      if (what < 0.3) await source.execute(`INSERT INTO bf.live (k, c, v, n) VALUES (${k}, ${c}, 'during-${n}', ${n})`);
      else if (what < 0.5) await source.execute(`UPDATE bf.live SET v = 'updated-${n}' WHERE ${at}`);
      else if (what < 0.65) await source.execute(`UPDATE bf.live SET tags = tags + {'t${n % 5}'} WHERE ${at}`);
      else if (what < 0.75) await source.execute(`UPDATE bf.live SET tags = tags - {'before'}, n = null WHERE ${at}`);
      else if (what < 0.9) await source.execute(`DELETE FROM bf.live WHERE ${at}`);
      else if (what < 0.95) await source.execute(`DELETE FROM bf.live WHERE k = ${k} AND c >= ${c}`);
      else await source.execute(`INSERT INTO bf.live (k, c, v) VALUES (${k}, ${c}, 'ttl-${n}') USING TTL 5`);
    }
  };
  const writers = [writer(), writer(), writer()];
  await eventually('writes to arrive', async () =>
    (await postgresRows(`SELECT k FROM live WHERE v LIKE 'during-%' LIMIT 1`)).length > 0 ? true : undefined,
  );
  const first = await endOf(
    beginCommand(configurationFile, 'backfill', '--table', 'bf.live', '--json', '--rate', '400'),
  );
  const second = await endOf(beginCommand(configurationFile, 'backfill', '--table', 'bf.live', '--json'));
  isOver = true;
  await Promise.all(writers);
  expect([first.code, second.code], first.stderr + second.stderr).toEqual([0, 0]);
  expect(written).toBeGreaterThan(200);
  await source.execute(`INSERT INTO bf.live (k, c, v) VALUES (1000, 1, 'last')`);
  await eventually('the last write', async () =>
    (await postgresRows('SELECT k FROM live WHERE k = 1000')).length === 1 ? true : undefined,
  );
  await equal(
    () => cassandraRows(`SELECT ${LIVE} FROM bf.live`),
    () => postgresRows(`SELECT ${LIVE} FROM live`),
  );
  expect((await postgres.query('SELECT code, reason FROM _cdc_dead_letters')).rows).toEqual([]);
}, 300_000);

/** A generator that a seed repeats. */
function mulberry(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
