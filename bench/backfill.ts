/**
 * `npm run bench:backfill`: existing rows of a real Cassandra into PostgreSQL, how fast and with how much memory, at several
 * sizes: memory must not grow with the table. Everything it starts is its own and gone at the end.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { parseArgs } from 'node:util';
import type cassandra from 'cassandra-driver';
import pg from 'pg';
import { stringify } from 'yaml';
import { connectSource } from '../src/demo/workload/source-client.ts';
import { openStackOf } from '../test/support/stack-parts.ts';
import { prepareProgram } from './support/lockstep.ts';
import { runBench, say } from './support/run-bench.ts';
import { cpuSeconds, loadAverage, peakRssBytes } from './support/process-usage.ts';

const USAGE = `usage: npm run bench:backfill -- [options]
  --rows N[,N…]    rows of the source table, one run a size (200000,2000000)
  --json           one JSON document on standard output`;

/** Writes of the load under way at a time. */
const WRITERS = 256;
const SAMPLE_MS = 200;
const MIB = 1024 * 1024;
/** Of every so many rows one has a TTL, so that expiries and their queue are part of what is measured. */
const TTL_EVERY = 20;

interface Figures {
  readonly rows: number;
  readonly seconds: number;
  readonly rowsPerSecond: number;
  readonly cpuSeconds: number | null;
  readonly peakRssMiB: number | null;
}

async function load(source: cassandra.Client, table: string, rows: number): Promise<void> {
  await source.execute(`CREATE TABLE bench.${table} (customer int, id bigint, status text, city text, note text, quantity int,
    price decimal, paid boolean, created timestamp, PRIMARY KEY (customer, id))`);
  const insert = `INSERT INTO bench.${table} (customer, id, status, city, note, quantity, price, paid, created)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`;
  let next = 0;
  const writer = async (): Promise<void> => {
    for (let i = next++; i < rows; i = next++) {
      const note = `note of order ${i}, which is about as long as notes are`;
      const values = [i % 50_000, BigInt(i), 'paid', 'Graz', note, i % 9, `${i}.25`, i % 2 === 0, new Date(i * 1000)];
      await source.execute(i % TTL_EVERY === 0 ? `${insert} USING TTL 864000` : insert, values, { prepare: true });
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, writer));
}

/** Runs `lockstep` and reads its JSON answer, with what it cost. */
async function lockstep(
  program: string,
  args: readonly string[],
): Promise<Omit<Figures, 'rows' | 'rowsPerSecond'> & { readonly answer: unknown }> {
  const started = performance.now();
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const used: { peak: number | null; cpu: number | null } = { peak: null, cpu: null };
  const timer = setInterval(() => {
    used.peak = peakRssBytes(child.pid ?? -1) ?? used.peak;
    used.cpu = cpuSeconds(child.pid ?? -1) ?? used.cpu;
  }, SAMPLE_MS);
  const [answer, closed] = await Promise.all([json(child.stdout), once(child, 'close')]);
  const code = closed[0] as number | null;
  clearInterval(timer);
  if (code !== 0) throw new Error(`lockstep ${args.join(' ')} ended with ${String(code)}: ${JSON.stringify(answer)}`);
  return {
    answer,
    seconds: (performance.now() - started) / 1000,
    cpuSeconds: used.cpu,
    peakRssMiB: used.peak === null ? null : Math.round(used.peak / MIB),
  };
}

async function verify(postgres: pg.Client, table: string, rows: number): Promise<void> {
  const { rows: found } = await postgres.query<{ sums: string }>(
    `SELECT count(*) || ' rows, ids ' || sum(id) || ', prices ' || sum(price) AS sums FROM ${table}`,
  );
  const ids = (BigInt(rows) * BigInt(rows - 1)) / 2n;
  const cents = ids * 100n + 25n * BigInt(rows);
  const prices = `${cents / 100n}.${String(cents % 100n).padStart(2, '0')}`;
  const wanted = `${rows} rows, ids ${ids}, prices ${prices}`;
  if (found[0]?.sums !== wanted) throw new Error(`${table}: ${found[0]?.sums}, expected ${wanted}`);
}

async function run(sizes: readonly number[], cleanUp: AsyncDisposableStack): Promise<readonly Figures[]> {
  const program = prepareProgram(null);
  say('starting Cassandra and PostgreSQL');
  const { stack, dir } = await openStackOf(['cassandra', 'postgres']);
  cleanUp.defer(() => rm(dir, { recursive: true, force: true }));
  cleanUp.defer(() => stack.destroy());
  const { cassandra: address, postgres: target } = stack.endpoints();
  const source = await connectSource(address);
  cleanUp.defer(() => source.shutdown());
  const postgres = new pg.Client({ connectionString: target.url });
  await postgres.connect();
  cleanUp.defer(() => postgres.end());
  await source.execute(`CREATE KEYSPACE bench WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}`);
  const figures: Figures[] = [];
  for (const [i, rows] of sizes.entries()) {
    const table = `orders_${i}`;
    say(`writing ${rows} rows`);
    await load(source, table, rows);
    const file = join(dir, `${table}.yaml`);
    const configuration = {
      kafka: { brokers: ['localhost:1'] },
      source: { cassandra: { ...address, consistency: 'LOCAL_QUORUM' } },
      target: { postgres: { url: target.url } },
      tables: [{ source: `bench.${table}`, topic: table, target: `public.${table}`, usesTtl: true }],
    };
    await writeFile(file, stringify(configuration), { mode: 0o600 });
    await lockstep(program, ['schema', 'apply', '--json', '-c', file]);
    say(`backfill of ${rows} rows`);
    const { answer: _answer, ...cost } = await lockstep(program, [
      'backfill',
      '--table',
      `bench.${table}`,
      '--json',
      '-c',
      file,
    ]);
    await verify(postgres, table, rows);
    figures.push({ rows, rowsPerSecond: Math.round(rows / cost.seconds), ...cost });
  }
  return figures;
}

function sizesOf(text: string): readonly number[] {
  const sizes = text.split(',').map(Number);
  if (sizes.every((size) => Number.isSafeInteger(size) && size > 0)) return sizes;
  throw new TypeError(`--rows must be whole numbers, not ${text}`);
}

interface Options {
  readonly sizes: readonly number[];
  readonly json: boolean;
}

function optionsOf(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: { rows: { type: 'string', default: '200000,2000000' }, json: { type: 'boolean', default: false } },
  });
  return { sizes: sizesOf(values.rows), json: values.json };
}

async function report({ sizes, json: asJson }: Options, cleanUp: AsyncDisposableStack): Promise<string> {
  const figures = await run(sizes, cleanUp);
  if (asJson) return JSON.stringify({ figures, load_average: loadAverage() }, null, 2);
  return figures
    .map(
      ({ rows, seconds, rowsPerSecond, cpuSeconds: cpu, peakRssMiB }) =>
        `${rows} rows: ${seconds.toFixed(1)} s, ${rowsPerSecond} rows/s, ${cpu ?? '–'} s CPU, peak ${peakRssMiB ?? '–'} MiB`,
    )
    .join('\n');
}

process.exit(await runBench(USAGE, optionsOf, report));
