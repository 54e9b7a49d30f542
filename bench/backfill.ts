/**
 * `npm run bench:backfill`: existing rows of a real Cassandra into PostgreSQL, how fast and with how much memory, at several
 * sizes: memory must not grow with the table. Everything it starts is its own and gone at the end.
 */
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { stringify } from 'yaml';
import { connectSource } from '../src/demo/workload/source-client.ts';
import { openStackOf } from '../test/support/stack-parts.ts';
import { runCommand, type Cost } from './support/command.ts';
import { prepareProgram } from './support/lockstep.ts';
import { loadAverage } from './support/process-usage.ts';
import { runBench, say } from './support/run-bench.ts';
import { loadRows } from './support/source-rows.ts';

const USAGE = `usage: npm run bench:backfill -- [options]
  --rows N[,N…]    rows of the source table, one run a size (200000,2000000)
  --json           one JSON document on standard output`;

interface Figures extends Cost {
  readonly rows: number;
  readonly rowsPerSecond: number;
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
    await loadRows(source, table, rows);
    const file = join(dir, `${table}.yaml`);
    const configuration = {
      kafka: { brokers: ['localhost:1'] },
      source: { cassandra: { ...address, consistency: 'LOCAL_QUORUM' } },
      target: { postgres: { url: target.url } },
      tables: [{ source: `bench.${table}`, topic: table, target: `public.${table}`, usesTtl: true }],
    };
    await writeFile(file, stringify(configuration), { mode: 0o600 });
    await runCommand(program, ['schema', 'apply', '--json', '-c', file]);
    say(`backfill of ${rows} rows`);
    const { answer: _answer, ...cost } = await runCommand(program, [
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
