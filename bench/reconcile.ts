/**
 * `npm run bench:reconcile`: what comparing costs. A CHECKSUM of a table in step beside merely reading it with the driver,
 * the verification of delivery windows, peak memory by size of table, and what a throttled scan leaves the live stream.
 * Everything it starts is its own and gone at the end.
 */
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { connectSource } from '../src/demo/workload/source-client.ts';
import { RANGES_AT_ONCE } from '../src/reconcile/end-state/scan-ranges.ts';
import { openStackOf } from '../test/support/stack-parts.ts';
import { runCommand } from './support/command.ts';
import { createLockstepTable, startDatabase, type BenchDatabase } from './support/database.ts';
import { fillTarget } from './support/fill-target.ts';
import { attachKafka } from './support/kafka.ts';
import { streamBesideScan } from './support/live-stream.ts';
import { prepareProgram } from './support/lockstep.ts';
import { loadAverage } from './support/process-usage.ts';
import { topFunctions } from './support/profile.ts';
import { readAll } from './support/read-all.ts';
import {
  optionsOf,
  reconcileDocument,
  reconcileText,
  USAGE,
  type ReconcileFigures,
  type ReconcileOptions,
  type TableFigures,
} from './support/reconcile-report.ts';
import { runBench, say } from './support/run-bench.ts';
import { loadRows } from './support/source-rows.ts';
import { verifyIds } from './support/verify-ids.ts';

const PROFILED_FUNCTIONS = 30;

interface Site {
  readonly program: string;
  readonly dir: string;
  readonly database: BenchDatabase;
  readonly source: Awaited<ReturnType<typeof connectSource>>;
  configurationOf(table: string): Promise<string>;
}

async function compareTable(site: Site, rows: number, options: ReconcileOptions): Promise<TableFigures> {
  const { program, source, database } = site;
  const table = `orders_${rows}`;
  say(`writing ${rows} rows`);
  await loadRows(source, table, rows);
  const file = await site.configurationOf(table);
  await runCommand(program, ['schema', 'apply', '--json', '-c', file]);
  say(options.fill);
  const backfill =
    options.fill === 'backfill'
      ? await runCommand(program, ['backfill', '--table', `bench.${table}`, '--json', '-c', file])
      : null;
  const copied = backfill === null ? await fillTarget(database.url, source, table, rows) : null;
  await database.pool.query(`VACUUM ANALYZE ${table}`);
  const reads: TableFigures['reads'][number][] = [];
  const checksums: number[] = [];
  const checksumCpu: number[] = [];
  let peakRssMiB: number | null = null;
  // In turn, so that what else the machine does meets both.
  for (let turn = 1; turn <= options.repeat; turn++) {
    say(`reading with the driver, turn ${turn}`);
    const columns = await readAll(source, table, rows, 'columns');
    const same = await readAll(source, table, rows, 'columns, write times, TTLs');
    const atOnce = await readAll(source, table, rows, 'columns, write times, TTLs', RANGES_AT_ONCE);
    reads.push({ columns, same, atOnce });
    say(`CHECKSUM, turn ${turn}`);
    const { profileDir } = options;
    const run = await runCommand(
      program,
      ['reconcile', 'run', '--table', `bench.${table}`, '--strategy', 'CHECKSUM', '--json', '-c', file],
      { profileDir },
    );
    const { verdict, compared, started_at: began, completed_at: ended } = run.answer;
    if (verdict !== 'PASS' || compared !== rows) throw new Error(`CHECKSUM: ${JSON.stringify(run.answer)}`);
    checksums.push(rows / ((Date.parse(String(ended)) - Date.parse(String(began))) / 1000));
    if (run.cpuSeconds !== null) checksumCpu.push((run.cpuSeconds / rows) * 1e6);
    peakRssMiB = Math.max(peakRssMiB ?? 0, run.peakRssMiB ?? 0);
  }
  return {
    rows,
    filledRowsPerSecond: backfill === null ? (copied ?? 0) : rows / backfill.seconds,
    backfillPeakRssMiB: backfill?.peakRssMiB ?? null,
    reads,
    checksums,
    checksumCpu,
    peakRssMiB,
  };
}

async function run(options: ReconcileOptions, cleanUp: AsyncDisposableStack): Promise<string> {
  const program = prepareProgram(null);
  const loadBefore = loadAverage();
  say('starting Cassandra, Kafka and PostgreSQL');
  const { stack, dir } = await openStackOf(['cassandra', 'kafka']);
  cleanUp.defer(() => rm(dir, { recursive: true, force: true }));
  cleanUp.defer(() => stack.destroy());
  const database = await startDatabase();
  cleanUp.defer(() => database.stop());
  const { cassandra, kafka } = stack.endpoints();
  const source = await connectSource(cassandra);
  cleanUp.defer(() => source.shutdown());
  await source.execute(`CREATE KEYSPACE bench WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}`);
  const site: Site = {
    program,
    dir,
    database,
    source,
    async configurationOf(table) {
      const file = join(dir, `${table}.yaml`);
      const configuration = {
        kafka: { brokers: kafka.brokers },
        source: { cassandra: { ...cassandra, consistency: 'LOCAL_QUORUM' } },
        target: { postgres: { url: database.url } },
        tables: [{ source: `bench.${table}`, topic: table, target: `public.${table}`, usesTtl: true }],
      };
      await writeFile(file, stringify(configuration), { mode: 0o600 });
      return file;
    },
  };
  const tables: TableFigures[] = [];
  for (const rows of options.rows) tables.push(await compareTable(site, rows, options));
  say(`verifying windows of ${options.ids} change IDs`);
  const windows = await verifyIds(database, `bench.orders_${options.rows[0] ?? 0}`, options.ids);
  let stream: ReconcileFigures['stream'] = null;
  if (options.events > 0) {
    const [rows = 0] = options.rows;
    await createLockstepTable(database);
    const scan = [
      ...['reconcile', 'run', '--table', `bench.orders_${rows}`, '--strategy', 'CHECKSUM', '--json'],
      ...['--rate', String(options.scanRate), '-c', await site.configurationOf(`orders_${rows}`)],
    ];
    stream = await streamBesideScan({ kafka: attachKafka(kafka.brokers), database, dir, program, scan }, options);
  }
  const figures: ReconcileFigures = {
    tables,
    windows,
    stream,
    load: [loadBefore, loadAverage()],
    profile: options.profileDir === null ? null : topFunctions(options.profileDir, PROFILED_FUNCTIONS),
  };
  return options.json ? JSON.stringify(reconcileDocument(figures), null, 2) : reconcileText(figures, options);
}

process.exit(await runBench(USAGE, optionsOf, run));
