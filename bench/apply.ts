/**
 * `npm run bench:apply`: Kafka → PostgreSQL, how fast and at what cost, beside two peers. The method is in README.md.
 * Everything it starts is its own, in a fresh directory, and gone at the end, however that comes.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { resolvePeerJars } from './peer/jars.ts';
import { startJdbcSink } from './peer/jdbc-sink.ts';
import { batchSizes, type BatchSizes } from './support/batches.ts';
import { startChild, type Child } from './support/child.ts';
import {
  createLockstepTable,
  createPlainTable,
  startDatabase,
  verifyTable,
  type BenchDatabase,
} from './support/database.ts';
import { BENCH_TOPIC, cassandraEvent } from './support/events.ts';
import { deleteTopic, produceBacklog, startKafka, type BenchKafka } from './support/kafka.ts';
import { measureLatency, type Latency } from './support/latency.ts';
import { prepareProgram, startLockstep } from './support/lockstep.ts';
import { clockRun, lastChangesShow, positionsReach, type Applied, type Progress } from './support/measure.ts';
import { parseOptions, USAGE, type BenchOptions } from './support/options.ts';
import { Workload } from './support/orders.ts';
import { topFunctions, type ProfiledFunction } from './support/profile.ts';
import { plainRelationalEvent, relationalEventWithSchema } from './support/relational-events.ts';
import { runBench, say } from './support/run-bench.ts';
import { reportDocument, reportText, type Contender } from './support/report.ts';

const LATENCY = { changesPerSecond: 1_000, seconds: 20 };
const PROFILED_FUNCTIONS = 30;
const KAFKA_VERSION = '4.1.1';

/** Runs `work` with a database of its own, which is gone afterwards. */
async function withDatabase<T>(
  cleanUp: AsyncDisposableStack,
  work: (database: BenchDatabase) => Promise<T>,
): Promise<T> {
  const scope = cleanUp.use(new AsyncDisposableStack());
  const database = await startDatabase();
  scope.defer(() => database.stop());
  try {
    return await work(database);
  } finally {
    await scope.disposeAsync();
  }
}

/** Measures a program from its start; it is stopped before anything is read or compared. */
async function measured(
  cleanUp: AsyncDisposableStack,
  start: () => Child | Promise<Child>,
  clock: (child: Child) => Promise<Applied>,
  afterwards: (child: Child) => Promise<void> = async () => undefined,
): Promise<Applied> {
  const scope = cleanUp.use(new AsyncDisposableStack());
  const child = await start();
  scope.defer(() => child.stop());
  try {
    const applied = await clock(child);
    await afterwards(child);
    return applied;
  } finally {
    await scope.disposeAsync();
  }
}

interface Bench {
  readonly options: BenchOptions;
  readonly dir: string;
  readonly kafka: BenchKafka;
  readonly workload: Workload;
  readonly cleanUp: AsyncDisposableStack;
  readonly versions: Record<string, string>;
}

interface LockstepFigures {
  readonly contender: Contender;
  readonly batches: BatchSizes | null;
  readonly latency: Latency | null;
  readonly profile: readonly ProfiledFunction[] | null;
}

async function benchLockstep({ options, dir, kafka, workload, cleanUp, versions }: Bench): Promise<LockstepFigures> {
  const program = prepareProgram(options.program);
  say(`producing ${options.events} Debezium Cassandra events`);
  const backlog = await produceBacklog(kafka, BENCH_TOPIC, options.partitions, workload, cassandraEvent);
  const runs: Applied[] = [];
  let batches: BatchSizes | null = null;
  let latency: Latency | null = null;
  const { profileDir } = options;
  for (let run = 1; run <= options.repeat; run++) {
    await withDatabase(cleanUp, async (database) => {
      versions['PostgreSQL'] = database.version;
      await createLockstepTable(database);
      say(`lockstep, run ${run}`);
      const start = (): Child =>
        startLockstep(kafka, database, { dir: join(dir, `lockstep-${run}`), program, profileDir });
      const clock = (child: Child): Promise<Applied> =>
        clockRun(child, database, options.events, positionsReach(database, backlog.ends));
      const isLast = run === options.repeat;
      const applied = await measured(cleanUp, start, clock, async () => {
        batches = await batchSizes(database);
        if (!options.latency || !isLast) return;
        say(`lockstep at ${LATENCY.changesPerSecond} changes/s`);
        latency = await measureLatency(kafka, database, workload, { ...LATENCY, partitions: options.partitions });
      });
      say(`${Math.round(applied.changesPerSecond)} changes/s; comparing`);
      await verifyTable(database, 'public.orders', workload);
      runs.push(applied);
    });
  }
  await deleteTopic(kafka, BENCH_TOPIC);
  return {
    contender: { name: 'lockstep', meanEventBytes: backlog.meanBytes, runs },
    batches,
    latency,
    profile: profileDir === null ? null : topFunctions(profileDir, PROFILED_FUNCTIONS),
  };
}

async function benchPeer(
  { options, dir, kafka, workload, cleanUp }: Bench,
  name: string,
  topic: string,
  eventOf: typeof plainRelationalEvent,
  start: (database: BenchDatabase, table: string, dir: string) => Child | Promise<Child>,
): Promise<Contender> {
  say(`producing ${options.events} events for ${name}`);
  const backlog = await produceBacklog(kafka, topic, options.partitions, workload, eventOf);
  const runs: Applied[] = [];
  for (let run = 1; run <= options.repeat; run++) {
    await withDatabase(cleanUp, async (database) => {
      // A table of its own name per run: the hand-written sink takes its group from it and so begins at the start.
      const table = `public.orders_${run}`;
      await createPlainTable(database, table);
      say(`${name}, run ${run}`);
      const progress: Progress = lastChangesShow(database, table, backlog, options.seed);
      const applied = await measured(
        cleanUp,
        () => start(database, table, join(dir, `${topic}-${run}`)),
        (child) => clockRun(child, database, options.events, progress),
      );
      say(`${Math.round(applied.changesPerSecond)} changes/s; comparing`);
      await verifyTable(database, table, workload);
      runs.push(applied);
    });
  }
  await deleteTopic(kafka, topic);
  return { name, meanEventBytes: backlog.meanBytes, runs };
}

async function benchPeers(bench: Bench): Promise<Contender[]> {
  const { kafka, dir } = bench;
  const jars = await resolvePeerJars(say);
  const sinkTopic = 'bench.public.orders';
  const jdbc = await benchPeer(
    bench,
    'Debezium JDBC sink',
    sinkTopic,
    relationalEventWithSchema,
    (database, table, home) =>
      startJdbcSink({ jars, dir: home, broker: kafka.broker, postgresUrl: database.url, topic: sinkTopic, table }),
  );
  const plainTopic = 'bench.plain.orders';
  const program = join(import.meta.dirname, 'peer', 'plain-sink.ts');
  const plain = await benchPeer(bench, 'hand-written kafkajs', plainTopic, plainRelationalEvent, (database, table) =>
    startChild(
      'plain-sink',
      process.execPath,
      [program, kafka.broker, database.url, plainTopic, table],
      join(dir, 'plain-sink.log'),
    ),
  );
  return [jdbc, plain];
}

async function run(options: BenchOptions, cleanUp: AsyncDisposableStack): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'lockstep-bench-'));
  cleanUp.defer(() => rm(dir, { recursive: true, force: true }));
  say(`starting Kafka in ${dir}`);
  const kafka = await startKafka(join(dir, 'stack'));
  cleanUp.defer(() => kafka.stop());
  const versions: Record<string, string> = { Kafka: KAFKA_VERSION };
  const bench: Bench = { options, dir, kafka, workload: new Workload(options), cleanUp, versions };
  const { contender, ...figures } = await benchLockstep(bench);
  const peers = options.peer ? await benchPeers(bench) : [];
  const report = { options, versions, contenders: [contender, ...peers], ...figures };
  return options.json ? JSON.stringify(reportDocument(report), null, 2) : reportText(report);
}

process.exit(await runBench(USAGE, parseOptions, run));
