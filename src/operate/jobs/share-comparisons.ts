/** Comparisons as a service of a running member: takes parts of what was begun anywhere, and begins what is due. */
import { once } from 'node:events';
import type { Pool } from 'pg';
import { createPool } from '../../target/index.ts';
import { FindingStore } from '../../target/stores/finding-store.ts';
import { JobStore } from '../../target/stores/job-store.ts';
import { PartStore } from '../../target/stores/part-store.ts';
import { ScanBudget } from '../../target/stores/scan-budget.ts';
import { VerifiedPoints } from '../../target/stores/verified-points.ts';
import { CONNECT_BACKOFF } from '../upkeep/backoff.ts';
import { ServiceSides } from '../end-state/service-sides.ts';
import { processPacing } from '../connect/process-pacing.ts';
import type { RunningParts } from '../service/running-parts.ts';
import { retry, type Service } from '../service/service.ts';
import { Comparisons } from './comparisons.ts';
import { DueComparisons, schedulesOf } from './due-comparisons.ts';
import { JobQueue, jobSchemaOf } from './job-queue.ts';
import { ScanThrottle } from './scan-throttle.ts';

/** Beside one for each worker: the session of repairs, stores and budget, requests of operators. */
const MORE_CONNECTIONS = 3;

export interface SharedComparisons {
  readonly service: Service;
  /** Null until the queue is there. */
  readonly comparisons: () => Comparisons | null;
}

/** Null where there is no source to compare with. */
export function shareComparisons(running: RunningParts, worker: string): SharedComparisons | null {
  const { cassandra } = running.prepared;
  if (cassandra === null) return null;
  let comparisons: Comparisons | null = null;
  const { configuration, logger } = running;
  const { url, controlSchema } = configuration.target.postgres;

  const run = async (signal: AbortSignal): Promise<void> => {
    const pool = createPool({ url, poolSize: configuration.reconciliation.workers + MORE_CONNECTIONS });
    const queue = await retry(() => JobQueue.open(url, jobSchemaOf(controlSchema), logger), {
      backoff: CONNECT_BACKOFF,
      signal,
      onRetry: (error, attempt) => {
        // The stream goes on without it.
        logger[attempt === 1 ? 'warn' : 'debug']({ err: error }, 'the job queue is not there: nothing is compared');
      },
    }).catch(async (error: unknown) => {
      await pool.end();
      if (signal.aborted) return null;
      throw error;
    });
    if (queue === null) return;
    try {
      comparisons = comparisonsOf(running, pool, queue, worker);
      await workOn(running, queue, comparisons, pool, signal);
      if (!signal.aborted) await once(signal, 'abort');
    } finally {
      comparisons = null;
      await queue.close().catch((error: unknown) => {
        logger.debug({ err: error }, 'closing the job queue failed');
      });
      await pool.end();
    }
  };

  return { service: { id: 'comparisons', run }, comparisons: () => comparisons };

  function comparisonsOf(parts: RunningParts, pool: Pool, queue: JobQueue, name: string): Comparisons {
    const { reconciliation } = parts.configuration;
    const throttle = new ScanThrottle(new ScanBudget(pool, controlSchema), reconciliation.throttle, processPacing);
    return new Comparisons({
      reconciliation,
      queue,
      jobs: new JobStore(pool, controlSchema),
      parts: new PartStore(pool, controlSchema),
      findings: new FindingStore(pool, controlSchema),
      verified: new VerifiedPoints(pool, controlSchema),
      sides: new ServiceSides({ running: parts, cassandra: cassandra ?? never(), pool, throttle }),
      clock: parts.clock,
      worker: name,
      random: Math.random,
      onConcluded: (job, table, { verdict, reasons, drift, repaired }) => {
        const level = verdict === 'PASS' ? 'info' : 'warn';
        logger[level]({ job, table, verdict, reasons, drift: drift.length, repaired }, 'a comparison has ended');
      },
    });
  }
}

async function workOn(
  { configuration, clock, logger }: RunningParts,
  queue: JobQueue,
  comparisons: Comparisons,
  pool: Pool,
  signal: AbortSignal,
): Promise<void> {
  const { reconciliation, tables, target } = configuration;
  const due = new DueComparisons({
    reconciliation,
    tables: tables.map(({ source }) => source),
    comparisons,
    jobs: new JobStore(pool, target.postgres.controlSchema),
    clock,
    startedMs: clock.nowMs(),
    onDue: (table, strategy, leftOut) => {
      logger.debug({ table, strategy, leftOut }, 'a scheduled comparison');
    },
  });
  const until = (other: AbortSignal): AbortSignal => AbortSignal.any([signal, other]);
  await queue.schedule(schedulesOf(reconciliation));
  await queue.work({
    parts: reconciliation.workers,
    onPart: (message, claim) => comparisons.scan(message, until(claim)),
    onConclude: (message, claim) => comparisons.conclude(message, until(claim)),
    onDue: (message) => due.handle(message),
    onGivenUp: (message) => comparisons.giveUp(message),
  });
}

function never(): never {
  throw new Error('there is a source: it was looked at before');
}
