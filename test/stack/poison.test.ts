/**
 * A hundred thousand events, 500 of them poison of 27 kinds, on the whole stack: rows of a real Cassandra through the real
 * agent, some of which the target refuses, and records in the same topic that no agent wrote. Exactly those are set aside
 * with the right codes; the causes are mended (DDL, configuration); a range is predicted and redriven (killed half-way and
 * resumed); the end is what Cassandra has, cell by cell.
 *
 * `npm run poison` runs all of it, by LOCKSTEP_POISON_EVENTS; without that the test is smaller.
 */
import { once } from 'node:events';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type cassandra from 'cassandra-driver';
import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { demoKafka } from '../../src/demo/kafka/kafka.ts';
import { connectSource } from '../../src/demo/workload/source-client.ts';
import { openStack, type Stack } from '../../src/stack/index.ts';
import { startCaptured, type CapturedService } from '../support/captured-service.ts';
import { beginCommand, endOf } from '../support/lockstep-command.ts';
import { differences, sourceSide, targetSide } from '../support/poison/both-sides.ts';
import * as source from '../support/poison/source-poison.ts';
import { WIRE_POISON } from '../support/poison/wire-poison.ts';
import { eventually, stageTable } from '../support/service-stage.ts';

/** Writes of rows and other records together, but for a few that mark the end. */
const EVENTS = Number(process.env['LOCKSTEP_POISON_EVENTS'] ?? 6_000);
const KINDS = source.SOURCE_POISON.length + WIRE_POISON.length;
const POISON = EVENTS >= 100_000 ? 500 : KINDS * 4;
/** Good rows; each is written about twice, some are deleted. */
const ROWS = Math.floor(EVENTS / 2.5);
const WRITERS = 64;
/** Captured at 500 events a second at least: the agent has a core to share. */
const LIMIT_MS = 120_000 + EVENTS * 2;
const LAST_ID = 9_000_000;

let stack: Stack;
let cassandraClient: cassandra.Client;
let postgres: pg.Pool;
let captured: CapturedService;
let topic: string;

beforeAll(async () => {
  const dir = await mkdtemp(join(tmpdir(), 'lockstep-poison-'));
  stack = await openStack({ provider: 'native', dir });
  const endpoints = await stack.up({
    beforeAgent: async ({ cassandra: found }) => {
      cassandraClient = await connectSource(found);
      await cassandraClient.execute(
        `CREATE KEYSPACE shop WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}`,
      );
      await cassandraClient.execute(source.CQL);
    },
  });
  postgres = new pg.Pool({ connectionString: endpoints.postgres.url, max: 2 });
  topic = `${endpoints.agent.topicPrefix}.shop.poisoned`;
  captured = await startCaptured(dir, endpoints, 'shop', ['poisoned'], {
    tables: [{ source: 'shop.poisoned', topic, target: 'public.poisoned', columns: source.NARROW }],
    deadLetter: { waitForOthers: '5s' },
    reconciliation: { captureDelay: '2s' },
  });
  for (const statement of source.HARDEN) await postgres.query(statement);
}, 500_000);

afterAll(async () => {
  await captured.service.stop();
  await postgres.end();
  await cassandraClient.shutdown();
  await stack.destroy();
});

interface Letter {
  readonly id: string;
  readonly code: string;
  readonly partition: number;
  readonly offset: string;
  readonly row_key: string | null;
  readonly status: string;
  readonly attempts: number;
}

interface Report {
  readonly job_id: string;
  readonly status: string;
  readonly total: number;
  readonly counts: Readonly<Record<string, number>>;
  readonly failures: Readonly<Record<string, number>>;
}

async function lockstep<T>(...args: readonly string[]): Promise<T> {
  const { code, stdout, stderr } = await endOf(beginCommand(captured.configurationFile, ...args, '--json'));
  try {
    return JSON.parse(stdout) as T;
  } catch (cause) {
    throw new Error(`lockstep ${args.join(' ')}: exit code ${code}: ${stderr}`, { cause });
  }
}

const letters = async (): Promise<readonly Letter[]> =>
  (await lockstep<{ records: readonly Letter[] }>('dlq', 'list', '--limit', '2000')).records;

const execute = async ([query, params]: source.Statement): Promise<void> => {
  await cassandraClient.execute(query, [...params], { prepare: true });
};

/** Many at a time, each with its statements in order. */
async function all(tasks: readonly (() => Promise<void>)[]): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let task = tasks[next++]; task !== undefined; task = tasks[next++]) await task();
  };
  await Promise.all(Array.from({ length: WRITERS }, worker));
}

/** Rows behind everything that was written, on both partitions, until they have arrived. */
async function captureHasPassed(mark: string): Promise<void> {
  const ids = Array.from({ length: 16 }, (_, i) => LAST_ID + i);
  for (const id of ids) await execute(source.insertOf(id, { ...source.goodRow(id, 0), v: mark }));
  await eventually(
    `what was written before ${mark}`,
    async () => {
      const { rowCount } = await postgres.query('SELECT 1 FROM poisoned WHERE v = $1 AND id >= $2', [mark, LAST_ID]);
      return rowCount === ids.length ? true : undefined;
    },
    LIMIT_MS,
  );
}

/** The n-th event of the good: rows are new first, then changed, deleted, and written again. */
function goodStatement(n: number): source.Statement {
  if (n < ROWS) return source.insertOf(n, source.goodRow(n, n));
  const id = Math.imul(n, 7_919) % ROWS;
  if (n % 17 === 0) return source.deleteOf(id);
  if (n % 5 === 0) return source.insertOf(id, source.goodRow(id, n));
  const { v, amount, at, extra } = source.goodRow(id, n);
  return source.updateOf(id, n % 3 === 0 ? { v, extra } : { v, amount, at });
}

const byId = (a: Letter, b: Letter): number => Number(a.id) - Number(b.id);

/** Rows that the target refused, and what became of them in the source before they are redriven. */
const FATES = ['as it was', 'as it was', 'corrected', 'deleted'] as const;

it(
  'sets exactly the poison aside; mended and redriven, the end is what Cassandra has',
  async () => {
    const producer = demoKafka(stack.endpoints().kafka.brokers).producer({ idempotent: true });
    await producer.connect();
    const { table } = stageTable('poisoned', stack.endpoints().agent.topicPrefix, source.CQL_COLUMNS);
    /** Code by row key, or by partition and offset of what no agent wrote. */
    const expected = new Map<string, string>();
    const fates = new Map<number, (typeof FATES)[number]>();

    const poison = Array.from({ length: POISON }, (_, n) => async (): Promise<void> => {
      const [kind, round] = [n % KINDS, Math.floor(n / KINDS)];
      const id = source.FIRST_POISON_ID + n;
      const ofSource = source.SOURCE_POISON[kind];
      if (ofSource !== undefined) {
        expected.set(JSON.stringify([String(id)]), ofSource.code);
        fates.set(id, FATES[(round + kind) % FATES.length]!);
        for (const statement of source.poisonStatements(ofSource, id, round)) await execute(statement);
        return;
      }
      const { code, record } = WIRE_POISON[kind - source.SOURCE_POISON.length]!;
      const partition = n % 2;
      const [sent] = await producer.send({ topic, messages: [{ ...record(table, id), partition }] });
      expected.set(`${partition}@${sent!.baseOffset!}`, code);
    });
    const good = EVENTS - POISON;
    const tasks = Array.from({ length: good }, (_, n) => () => execute(goodStatement(n)));
    // Spread evenly, the last ones first so that places stay right.
    for (const [n, task] of [...poison.entries()].reverse()) tasks.splice(Math.floor((n * good) / POISON), 0, task);
    await all(tasks);
    await producer.disconnect();
    await captureHasPassed('written');

    const isWire = (letter: Letter): boolean => expected.has(`${letter.partition}@${letter.offset}`);
    const found = await eventually('what waits for another row to be given up', async () => {
      const now = await letters();
      return now.some(({ status }) => status === 'waiting') ? undefined : now;
    });
    const placeOf = ({ row_key: rowKey, partition, offset, code }: Letter): string =>
      source.SOURCE_POISON.some((kind) => kind.code === code) ? (rowKey ?? '') : `${partition}@${offset}`;
    // The connector delivers some changes twice; each record is a letter of its own.
    const lines = (of: Iterable<readonly [string, string]>): string[] =>
      [...new Set([...of].map(([place, code]) => `${place} ${code}`))].toSorted();
    expect(lines(found.map((letter) => [placeOf(letter), letter.code]))).toEqual(lines(expected));
    expect(new Set(found.map(({ partition, offset }) => `${partition}@${offset}`)).size).toBe(found.length);
    expect(found.filter((letter) => !isWire(letter)).length).toBeLessThanOrEqual(fates.size * 2);

    // The source goes on meanwhile.
    for (const [id, fate] of fates) {
      if (fate === 'corrected') await execute(source.insertOf(id, { ...source.goodRow(id, id), v: 'corrected' }));
      if (fate === 'deleted') await execute(source.deleteOf(id));
    }
    await captureHasPassed('corrected');

    // Every cause is mended: DDL, and the configuration that goes with it.
    await captured.service.stop();
    for (const statement of source.MEND) await postgres.query(statement);
    const configuration = parse(await readFile(captured.configurationFile, 'utf8')) as {
      tables: { columns: object }[];
    };
    configuration.tables[0]!.columns = source.WIDE;
    await writeFile(captured.configurationFile, stringify(configuration));
    await captured.service.start();
    await captured.service.waitUntilReady();

    for (const partition of [0, 1]) {
      const own = found.filter((letter) => letter.partition === partition);
      // Nothing is left to do for what the source has replaced since, nor for a record's copy once one has gone through.
      const through = new Set<string>();
      const settled = own.toSorted(byId).filter((letter) => {
        if (isWire(letter)) return false;
        const key = letter.row_key ?? '';
        const isSettled = fates.get(Number((JSON.parse(key) as string[])[0])) !== 'as it was' || through.has(key);
        through.add(key);
        return isSettled;
      });
      const range = ['--source-offsets', `${topic}:${partition}:0-${EVENTS * 2}`];
      const dry = await lockstep<Report>('dlq', 'redrive', ...range, '--dry-run');
      expect(dry.total).toBe(own.length);
      expect(dry.counts).toMatchObject({
        failed: own.filter(isWire).length,
        superseded: settled.length,
        applied: own.length - own.filter(isWire).length - settled.length,
      });
      const {
        counts,
        failures,
        job_id: jobId,
      } = partition === 0
        ? await lockstep<Report>('dlq', 'redrive', ...range)
        : await killedAndResumed(range, own.length);
      expect({ counts, failures }).toEqual({ counts: dry.counts, failures: dry.failures });

      // Each letter was tried once more, by that job, whoever was killed in between.
      const { rows } = await postgres.query<{ letter: string; outcome: string; code: string | null; tries: number }>(
        `SELECT letter_id AS letter, outcome, a.code, d.attempts AS tries FROM _cdc_dead_letter_attempts AS a
           JOIN _cdc_dead_letters AS d ON d.id = a.letter_id WHERE job_id = $1`,
        [jobId],
      );
      const outcomeOf = (letter: Letter): string =>
        isWire(letter) ? `failed ${letter.code}` : settled.includes(letter) ? 'superseded' : 'applied';
      expect(rows.map(({ letter, outcome, code }) => `${letter} ${outcome} ${code ?? ''}`.trim()).toSorted()).toEqual(
        own.map((letter) => `${letter.id} ${outcomeOf(letter)}`).toSorted(),
      );
      expect(rows.filter(({ letter, tries }) => tries !== own.find(({ id }) => id === letter)!.attempts + 1)).toEqual(
        [],
      );
    }
    for (const letter of await letters()) expect(letter.status).toBe(isWire(letter) ? 'pending' : 'redriven');

    const there = await sourceSide(cassandraClient);
    expect(there.size).toBeGreaterThan(ROWS / 2);
    expect(differences(there, await targetSide(postgres))).toEqual([]);
    expect(await lockstep('reconcile', 'run', '--table', 'shop.poisoned', '--strategy', 'CHECKSUM')).toMatchObject({
      verdict: 'PASS',
      compared: there.size,
    });
  },
  LIMIT_MS * 3,
);

/** A redrive that is killed when a part of it is done, and goes on. */
async function killedAndResumed(range: readonly string[], total: number): Promise<Report> {
  const rate = String(Math.max(5, Math.floor(total / 4)));
  const killed = beginCommand(captured.configurationFile, 'dlq', 'redrive', ...range, '--rate', rate);
  const job = await eventually('a part to be redriven', async () => {
    const { rows } = await postgres.query<{ id: string }>(
      `SELECT id FROM _cdc_jobs WHERE status = 'RUNNING' AND cursor > 0 ORDER BY started_at DESC LIMIT 1`,
    );
    return rows[0];
  });
  const gone = once(killed, 'exit');
  killed.kill('SIGKILL');
  await gone;
  // Its runner counts as gone when it was not heard of for a while.
  await postgres.query(`UPDATE _cdc_jobs SET heartbeat_at = now() - interval '1 hour' WHERE id = $1`, [job.id]);
  const { rows } = await postgres.query<{ n: string }>(
    'SELECT count(*) AS n FROM _cdc_dead_letter_attempts WHERE job_id = $1',
    [job.id],
  );
  expect(Number(rows[0]?.n)).toBeGreaterThan(0);
  expect(Number(rows[0]?.n)).toBeLessThan(total);
  return lockstep<Report>('dlq', 'redrive', '--resume', job.id);
}
