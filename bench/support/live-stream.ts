/** The live stream beside a scan that repeats itself: the workload of bench:apply, once alone and once with the scan. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { BenchDatabase } from './database.ts';
import { BENCH_TOPIC, cassandraEvent } from './events.ts';
import { produceBacklog, type BenchKafka } from './kafka.ts';
import { startLockstep } from './lockstep.ts';
import { clockRun, positionsReach } from './measure.ts';
import { Workload } from './orders.ts';
import { say } from './run-bench.ts';

const PARTITIONS = 4;
/** Rows that the changes belong to, as a share of them. */
const ROW_SHARE = 0.25;
/** A scan that has just begun is not what the stream lives with. */
const SCAN_HEAD_START_MS = 5_000;

export interface StreamSite {
  readonly kafka: BenchKafka;
  readonly database: BenchDatabase;
  readonly dir: string;
  readonly program: string;
  /** Arguments of the scan. */
  readonly scan: readonly string[];
}

export interface StreamFigures {
  readonly alone: number;
  readonly besideScan: number;
  readonly scanRate: number;
}

/** Starts the scan again and again until it is told to stop. */
function repeatScan({ program, scan }: StreamSite): () => Promise<void> {
  const stopped = new AbortController();
  const { signal } = stopped;
  const running = (async () => {
    while (!signal.aborted) {
      const child = spawn(process.execPath, [program, ...scan], { stdio: 'ignore' });
      const stop = (): void => void child.kill('SIGTERM');
      signal.addEventListener('abort', stop);
      await once(child, 'close');
      signal.removeEventListener('abort', stop);
    }
  })();
  return async () => {
    stopped.abort();
    await running;
  };
}

async function applyAll(site: StreamSite, name: string, events: number, ends: readonly number[]): Promise<number> {
  const { kafka, database, dir, program } = site;
  for (const table of ['orders', '_cdc_ledger', '_cdc_offsets', '_cdc_graveyard', '_cdc_queue']) {
    const { rows } = await database.pool.query<{ found: boolean }>('SELECT to_regclass($1) IS NOT NULL AS found', [
      table,
    ]);
    // The scanned table is not touched; positions begin anew at the log start.
    if (rows[0]?.found === true) await database.pool.query(`TRUNCATE ${table}`);
  }
  await database.pool.query('CHECKPOINT');
  const child = startLockstep(kafka, database, { dir: join(dir, name), program, profileDir: null });
  try {
    const applied = await clockRun(child, database, events, positionsReach(database, ends));
    return applied.changesPerSecond;
  } finally {
    await child.stop();
  }
}

export async function streamBesideScan(
  site: StreamSite,
  { events, scanRate }: { readonly events: number; readonly scanRate: number },
): Promise<StreamFigures> {
  const workload = new Workload({ rows: Math.ceil(events * ROW_SHARE), events, seed: 1 });
  say(`producing ${events} events`);
  const { ends } = await produceBacklog(site.kafka, BENCH_TOPIC, PARTITIONS, workload, cassandraEvent);
  say('the stream alone');
  const alone = await applyAll(site, 'alone', events, ends);
  say(`the stream beside a scan of ${scanRate} rows/s`);
  const stop = repeatScan(site);
  try {
    await pause(SCAN_HEAD_START_MS);
    return { alone, besideScan: await applyAll(site, 'beside', events, ends), scanRate };
  } finally {
    await stop();
  }
}
