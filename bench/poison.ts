/**
 * `npm run bench:poison`: what records that can't be applied cost the others. The same backlog three times: clean, with 1
 * poison in 2,000, with 1 in 100, each a change that PostgreSQL refuses (a CHECK), so that the door has to isolate it. The
 * method is in README.md.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { createLockstepTable, startDatabase } from './support/database.ts';
import { BENCH_TOPIC, cassandraEvent, type BenchEvent } from './support/events.ts';
import { deleteTopic, produceBacklog, SentTwice, startKafka, type BenchKafka } from './support/kafka.ts';
import { prepareProgram, startLockstep } from './support/lockstep.ts';
import { clockRun, positionsReach, type Applied } from './support/measure.ts';
import { Workload, type OrderChange } from './support/orders.ts';
import { runBench, say } from './support/run-bench.ts';
import { machine, median } from './support/report.ts';

/** One poison record in so many; null = none. */
const SHARES = [null, 2_000, 100] as const;
type Share = number | null;
const PARTITIONS = 4;

const USAGE = `usage: npm run bench:poison -- [--events N (200000)] [--repeat N (3)] [--shares N,… (2000,100)] [--profile DIR] [--json]`;

interface Options {
  readonly events: number;
  readonly repeat: number;
  readonly shares: readonly Share[];
  /** Where CPU profiles of the service go, a directory a share; null = none. Profiling slows it down. */
  readonly profileDir: string | null;
  readonly json: boolean;
}

function optionsOf(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      events: { type: 'string', default: '200000' },
      repeat: { type: 'string', default: '3' },
      shares: { type: 'string', default: SHARES.slice(1).join(',') },
      profile: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  const whole = (name: string, text: string): number => {
    const value = Number(text);
    if (!Number.isSafeInteger(value) || value < 1) throw new TypeError(`--${name} must be a whole number from 1`);
    return value;
  };
  return {
    events: whole('events', values.events),
    repeat: whole('repeat', values.repeat),
    shares: [null, ...values.shares.split(',').map((share) => whole('shares', share))],
    profileDir: values.profile ?? null,
    json: values.json,
  };
}

/** The event of a change, every so many of them with a status that the target refuses. */
function eventsWith(share: Share): { readonly eventOf: (change: OrderChange) => BenchEvent; poison: () => number } {
  let count = 0;
  let poison = 0;
  return {
    poison: () => poison,
    eventOf: (change) => {
      count += 1;
      if (share === null || count % share !== 0) return cassandraEvent(change);
      poison += 1;
      return cassandraEvent({ ...change, row: { ...change.row, status: 'poison' } });
    },
  };
}

/** How often a log that was sent twice is made anew. */
const PRODUCE_TRIES = 3;

/** The log of a run, and how many of its records are poison. */
async function produce(
  kafka: BenchKafka,
  { events }: Options,
  share: Share,
): Promise<{ readonly ends: readonly number[]; readonly poison: number }> {
  for (let attempt = 1; ; attempt += 1) {
    const { eventOf, poison } = eventsWith(share);
    const workload = new Workload({ events, rows: Math.ceil(events / 2), seed: 1 });
    try {
      const { ends } = await produceBacklog(kafka, BENCH_TOPIC, PARTITIONS, workload, eventOf);
      return { ends, poison: poison() };
    } catch (error) {
      if (!(error instanceof SentTwice) || attempt === PRODUCE_TRIES) throw error;
      say(`${error.message}: once more`);
      await deleteTopic(kafka, BENCH_TOPIC);
    }
  }
}

/** One run on a database of its own. Rejects where anything but the poison was set aside. */
async function measure(kafka: BenchKafka, dir: string, options: Options, share: Share): Promise<Applied> {
  const { events } = options;
  const { ends, poison } = await produce(kafka, options, share);
  await using scope = new AsyncDisposableStack();
  scope.defer(() => deleteTopic(kafka, BENCH_TOPIC));
  const database = await startDatabase();
  scope.defer(() => database.stop());
  await createLockstepTable(database);
  await database.pool.query(`ALTER TABLE public.orders ADD CONSTRAINT no_poison CHECK (status <> 'poison')`);
  const profileDir = options.profileDir === null ? null : join(options.profileDir, String(share ?? 'clean'));
  const child = startLockstep(kafka, database, { dir, program: prepareProgram(null), profileDir });
  scope.defer(() => child.stop());
  const applied = await clockRun(child, database, events, positionsReach(database, ends));
  const { rows } = await database.pool.query<{ n: string; rows: string; codes: string[] | null }>(
    `SELECT count(*) AS n, count(DISTINCT row_key) AS rows, array_agg(DISTINCT code) AS codes FROM _cdc_dead_letters`,
  );
  const [letters] = rows;
  if (Number(letters?.n) !== poison || (poison > 0 && String(letters?.codes) !== 'PG_23514')) {
    throw new Error(
      `${poison} poison records, but ${letters?.n} dead letters of ${letters?.rows} rows (${String(letters?.codes)})`,
    );
  }
  return applied;
}

/** CPU of Lockstep and PostgreSQL together, seconds a million changes: tells what isolation costs on a busy machine, too. */
function cpuOf({ cpuPerMillion, postgresCpuPerMillion }: Applied): number | null {
  return cpuPerMillion === null || postgresCpuPerMillion === null ? null : cpuPerMillion + postgresCpuPerMillion;
}

/** What is shown of one share of poison: medians, and as parts of the clean ones. */
function resultOf(share: Share, runs: ReadonlyMap<Share, readonly Applied[]>): Record<string, string | number | null> {
  const rate = (of: Share): number => median((runs.get(of) ?? []).map((run) => run.changesPerSecond)) ?? 0;
  const cpu = (of: Share): number | null => median((runs.get(of) ?? []).flatMap((run) => cpuOf(run) ?? []));
  const [own, clean] = [cpu(share), cpu(null)];
  return {
    poison: share === null ? 'none' : `1 in ${share}`,
    changes_per_second: Math.round(rate(share)),
    of_clean_rate: Number((rate(share) / rate(null)).toFixed(3)),
    cpu_seconds_per_million: own === null ? null : Number(own.toFixed(1)),
    of_clean_cpu: own === null || clean === null ? null : Number((own / clean).toFixed(2)),
    loads: (runs.get(share) ?? []).map(({ load }) => load.join('→')).join(' '),
  };
}

async function run(options: Options, cleanUp: AsyncDisposableStack): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'lockstep-poison-'));
  cleanUp.defer(() => rm(dir, { recursive: true, force: true }));
  const kafka = await startKafka(join(dir, 'stack'));
  cleanUp.defer(() => kafka.stop());
  const runs = new Map<Share, Applied[]>(options.shares.map((share) => [share, []]));
  for (let turn = 1; turn <= options.repeat; turn += 1) {
    for (const share of options.shares) {
      const applied = await measure(kafka, join(dir, `run-${turn}-${share ?? 'clean'}`), options, share);
      runs.get(share)?.push(applied);
      say(`${share === null ? 'clean' : `1 in ${share}`}: ${Math.round(applied.changesPerSecond)} changes/s`);
    }
  }
  const results = options.shares.map((share) => resultOf(share, runs));
  if (options.json) return JSON.stringify({ options, machine: machine(), results }, null, 2);
  const table = new Table({ head: Object.keys(results[0] ?? {}).map((name) => name.replaceAll('_', ' ')) });
  for (const result of results) table.push(Object.values(result).map((value) => value ?? '–'));
  return table.toString();
}

process.exit(await runBench(USAGE, optionsOf, run));
