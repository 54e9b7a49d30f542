/**
 * The live stream beside a scan that repeats itself: the workload of bench:apply, in turn alone and with the scan, so that
 * what else the machine does meets both.
 */
import { spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { join } from 'node:path';
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
/** A scan that shows no range for so long does not run. */
const SCAN_SHOWS_MS = 120_000;
/** What the command says of its progress, on standard error. */
const COMPARED = /ranges, ([\d,]+) rows compared/g;

export interface StreamSite {
  readonly kafka: BenchKafka;
  readonly database: BenchDatabase;
  readonly dir: string;
  readonly program: string;
  /** Arguments of the scan. */
  readonly scan: readonly string[];
}

/** One turn: changes a second alone and beside the scan, and rows a second that were compared meanwhile. */
export interface StreamTurn {
  readonly alone: number;
  readonly besideScan: number;
  readonly scanned: number;
}

export interface StreamFigures {
  readonly turns: readonly StreamTurn[];
  readonly scanRate: number;
}

interface RepeatedScan {
  /** Rows that were compared so far. */
  compared(): number;
  /** Resolves when the next range was compared: only then is it known how far it is. */
  next(): Promise<unknown>;
  stop(): Promise<void>;
}

/** Starts the scan again and again until it is told to stop. */
function repeatScan({ program, scan }: StreamSite): RepeatedScan {
  const stopped = new AbortController();
  const { signal } = stopped;
  let before = 0;
  let own = 0;
  const ranges = new EventEmitter();
  const running = (async () => {
    while (!signal.aborted) {
      const child = spawn(process.execPath, [program, ...scan], { stdio: ['ignore', 'ignore', 'pipe'] });
      const stop = (): void => void child.kill('SIGTERM');
      signal.addEventListener('abort', stop);
      child.stderr.on('data', (text: Buffer) => {
        for (const [, rows = ''] of text.toString('utf8').matchAll(COMPARED)) {
          own = Number(rows.replaceAll(',', ''));
          if (own > 0) ranges.emit('range');
        }
      });
      await once(child, 'close');
      signal.removeEventListener('abort', stop);
      [before, own] = [before + own, 0];
    }
  })();
  return {
    next: () => once(ranges, 'range', { signal: AbortSignal.timeout(SCAN_SHOWS_MS) }),
    compared: () => before + own,
    async stop() {
      stopped.abort();
      await running;
    },
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
  {
    events,
    scanRate,
    streamTurns,
  }: { readonly events: number; readonly scanRate: number; readonly streamTurns: number },
): Promise<StreamFigures> {
  const workload = new Workload({ rows: Math.ceil(events * ROW_SHARE), events, seed: 1 });
  say(`producing ${events} events`);
  const { ends } = await produceBacklog(site.kafka, BENCH_TOPIC, PARTITIONS, workload, cassandraEvent);
  // The first run warms what all others find warm: the log in the page cache, the table's files.
  await applyAll(site, 'first', events, ends);
  const turns: StreamTurn[] = [];
  for (let turn = 1; turn <= streamTurns; turn++) {
    say(`the stream alone, turn ${turn}`);
    const alone = await applyAll(site, `alone-${turn}`, events, ends);
    say(`the stream beside a scan of ${scanRate} rows/s, turn ${turn}`);
    const scan = repeatScan(site);
    try {
      await scan.next();
      const [compared, beganMs] = [scan.compared(), performance.now()];
      const besideScan = await applyAll(site, `beside-${turn}`, events, ends);
      await scan.next();
      const scanned = (scan.compared() - compared) / ((performance.now() - beganMs) / 1000);
      turns.push({ alone, besideScan, scanned });
    } finally {
      await scan.stop();
    }
  }
  return { turns, scanRate };
}
