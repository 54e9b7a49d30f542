/** The clock of a run: from the first effect seen in PostgreSQL to the last one, with what the processes used between. */
import { setTimeout as pause } from 'node:timers/promises';
import type pg from 'pg';
import type { Child } from './child.ts';
import type { BenchDatabase } from './database.ts';
import { BENCH_TOPIC } from './events.ts';
import type { Backlog } from './kafka.ts';
import { rowAfter } from './orders.ts';
import { cpuSeconds, loadAverage, peakRssBytes, treeCpuSeconds } from './process-usage.ts';

const LOOK_EVERY_MS = 50;
/** A program that shows no effect for this long is stuck. A JVM on a busy machine takes its time to start. */
const STUCK_MS = 180_000;
/** All of a run; the slowest peer needs a minute for a million changes. */
const RUN_LIMIT_MS = 15 * 60_000;

/** One measured run of one applier. CPU in seconds over the clock's span; null where the system does not tell. */
export interface Applied {
  readonly changesPerSecond: number;
  readonly seconds: number;
  /** Changes between the first and the last look. */
  readonly changes: number;
  readonly cpuPerMillion: number | null;
  readonly postgresCpuPerMillion: number | null;
  readonly peakRssBytes: number | null;
  /** Load average of the machine before and after: beside other work the figures are not the applier's. */
  readonly load: readonly [number | null, number | null];
}

/** Changes applied so far (0 = none yet), or null when all of them are. */
export type Progress = () => Promise<{ readonly applied: number; readonly done: boolean }>;

/** Waits for the first effect, then for the last. What was applied at the first look does not count. */
export async function clockRun(
  child: Child,
  database: BenchDatabase,
  total: number,
  progress: Progress,
): Promise<Applied> {
  const loadBefore = loadAverage();
  let began: { atMs: number; applied: number; cpu: number | null; postgres: number | null } | null = null;
  const startedMs = performance.now();
  for (;;) {
    child.assertAlive();
    const { applied, done } = await progress();
    const nowMs = performance.now();
    if (began === null && applied > 0) {
      began = { atMs: nowMs, applied, cpu: cpuSeconds(child.pid), postgres: postgresCpu(database) };
    }
    if (done && began !== null) return result(child, database, total, began, nowMs, loadBefore);
    if (began === null && nowMs - startedMs > STUCK_MS) throw child.failure('has applied nothing');
    if (nowMs - startedMs > RUN_LIMIT_MS)
      throw child.failure(`has not applied everything in ${RUN_LIMIT_MS / 60_000} min`);
    await pause(LOOK_EVERY_MS);
  }
}

function postgresCpu(database: BenchDatabase): number | null {
  return database.serverPid === null ? null : treeCpuSeconds(database.serverPid);
}

function result(
  child: Child,
  database: BenchDatabase,
  total: number,
  began: { atMs: number; applied: number; cpu: number | null; postgres: number | null },
  endMs: number,
  loadBefore: number | null,
): Applied {
  const seconds = (endMs - began.atMs) / 1000;
  const changes = total - began.applied;
  const perMillion = (before: number | null, after: number | null): number | null =>
    before === null || after === null || changes === 0 ? null : ((after - before) / changes) * 1e6;
  return {
    changesPerSecond: seconds === 0 ? 0 : changes / seconds,
    seconds,
    changes,
    cpuPerMillion: perMillion(began.cpu, cpuSeconds(child.pid)),
    postgresCpuPerMillion: perMillion(began.postgres, postgresCpu(database)),
    peakRssBytes: peakRssBytes(child.pid),
    load: [loadBefore, loadAverage()],
  };
}

/** Progress of the service: its positions, which move in the transaction that applies the changes. */
export function positionsReach(database: BenchDatabase, ends: readonly number[]): Progress {
  return async () => {
    const positions = await readPositions(database.pool);
    const applied = positions.reduce((sum, { next }) => sum + next, 0);
    const done = ends.every((end, partition) =>
      positions.some((each) => each.partition === partition && each.next >= end),
    );
    return { applied, done };
  };
}

async function readPositions(pool: pg.Pool): Promise<{ partition: number; next: number }[]> {
  try {
    const { rows } = await pool.query<{ partition: number; next: string }>(
      'SELECT partition, next_offset AS next FROM _cdc_offsets WHERE topic = $1',
      [BENCH_TOPIC],
    );
    return rows.map(({ partition, next }) => ({ partition, next: Number(next) }));
  } catch (error) {
    // undefined_table: the service has not migrated its tables yet.
    if ((error as { code?: string }).code === '42P01') return [];
    throw error;
  }
}

/**
 * Progress of a peer, which has no positions to ask for: rows at the first look, and the end once the last change of every
 * partition shows (each applies its partition in order).
 */
export function lastChangesShow(database: BenchDatabase, table: string, backlog: Backlog, seed: number): Progress {
  const wanted = new Map(backlog.last.map(({ id, round }) => [String(id), String(rowAfter(seed, id, round).version)]));
  let atFirstLook = 0;
  return async () => {
    if (atFirstLook === 0) {
      const { rows } = await database.pool.query<{ count: string }>(`SELECT count(*) FROM ${table}`);
      atFirstLook = Number(rows[0]?.count ?? 0);
    }
    const { rows } = await database.pool.query<{ id: string; version: string }>(
      `SELECT id, version FROM ${table} WHERE id = ANY($1::bigint[])`,
      [[...wanted.keys()]],
    );
    const shown = rows.filter(({ id, version }) => wanted.get(id) === version).length;
    return { applied: atFirstLook, done: shown === wanted.size };
  };
}
