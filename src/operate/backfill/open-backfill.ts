/** What a backfill needs, opened from the configuration: for a command, which has no running service around it. */
import { closest } from 'fastest-levenshtein';
import { staticTable } from '../../catalog/static-table.ts';
import type { Configuration } from '../../config/index.ts';
import { systemClock } from '../../shared/clock.ts';
import { LockstepError } from '../../shared/errors.ts';
import { scanRows, WHOLE_RING, type ScanOptions } from '../../source/row-scan.ts';
import { scanSession } from '../../source/scan-session.ts';
import type { ShardId } from '../../target/batch.ts';
import { createPool } from '../../target/index.ts';
import { JobStore } from '../../target/job-store.ts';
import { readProblem } from '../../target/read-problem.ts';
import { closeAll } from '../closing.ts';
import type { Logger } from '../logger.ts';
import { prepareTarget, type Prepared } from '../preparation.ts';
import { processPacing } from '../redrive/redrive-parts.ts';
import { DependencyBoard } from '../readiness.ts';
import type { BackfillParts } from './backfill-run.ts';

/** A person waits: a system that does not answer is told of soon. */
const PREPARE_LIMIT_MS = 30_000;
/** One for the rows, one for the job, and one in reserve: the stream has its own. */
const POOL_SIZE = 3;

/** A node that restarts is waited for. */
export const SCAN_PATIENCE: Pick<ScanOptions, 'backoff' | 'giveUpMs'> = {
  backoff: { startingDelay: 250, maxDelay: 10_000 },
  giveUpMs: 300_000,
};

export interface OpenBackfill {
  readonly parts: BackfillParts;
  close(): Promise<void>;
}

/** Everything that is wrong with the request is said before anything is connected. */
export function onlyTable(configuration: Configuration, table: string): Configuration {
  const mapping = configuration.tables.find(({ source }) => source === table);
  if (mapping === undefined) {
    const names = configuration.tables.map(({ source }) => source);
    const near = names.length === 0 ? '' : `; the nearest is ${closest(table, names)}`;
    throw new LockstepError(`the configuration has no table ${table}${near}`, {
      code: 'TABLE_UNKNOWN',
      kind: 'usage',
      remedy: 'name a table as tables[].source has it',
    });
  }
  if (configuration.source.cassandra === null) {
    throw new LockstepError('source.cassandra is not configured, so there is nothing to read rows from', {
      code: 'SOURCE_MISSING',
      kind: 'config',
      remedy: 'set source.cassandra: contactPoints and localDataCenter',
    });
  }
  return { ...configuration, tables: [mapping] };
}

export async function prepareOne(
  configuration: Configuration,
  pool: ReturnType<typeof createPool>,
  logger: Logger,
): Promise<Prepared> {
  const failures: LockstepError[] = [];
  const limit = AbortSignal.timeout(PREPARE_LIMIT_MS);
  try {
    return await prepareTarget({
      configuration,
      pool,
      dependencies: new DependencyBoard(['kafka', 'postgres', 'cassandra'], systemClock, () => undefined),
      logger,
      clock: systemClock,
      signal: limit,
      onRetry: (code, reason) => {
        failures.push(new LockstepError(reason, { code, kind: 'transient', remedy: 'see the log above; try again' }));
      },
    });
  } catch (error) {
    throw limit.aborted ? (failures.at(-1) ?? error) : error;
  }
}

/** Rejects with a LockstepError where a system can't be reached or the configuration does not fit it. */
export async function openBackfill(configuration: Configuration, name: string, logger: Logger): Promise<OpenBackfill> {
  const one = onlyTable(configuration, name);
  const { url, controlSchema } = one.target.postgres;
  const pool = createPool({ url, poolSize: POOL_SIZE });
  try {
    const { cassandra, target, tables } = await prepareOne(one, pool, logger);
    const [table] = tables;
    if (cassandra === null || table === undefined) throw new Error('both are there: it was looked at before');
    if (target.boundOf(table.name).policy === null) throw unreadableKey(table.name);
    const session = scanSession(cassandra);
    const parts: BackfillParts = {
      ...processPacing,
      jobs: new JobStore(pool, controlSchema),
      table,
      statics: staticTable(table),
      open: () => target.sourceRows.open(),
      shards: await shardsOf(target, table.topic),
      scan: (which, from, signal) =>
        scanRows(session, which, {
          ...SCAN_PATIENCE,
          range: WHOLE_RING,
          from,
          signal,
          elapsedMs: processPacing.elapsedMs,
          onRetry: (error, pageRows) => {
            logger.warn({ code: error.code, pageRows }, `${error.message}; trying again`);
          },
        }),
      problemOf: (which, { key, cells }) => readProblem(target.boundOf(which), key, cells),
      warn: (error, what) => {
        logger.warn({ code: error.code, reason: error.message }, what);
      },
    };
    return {
      parts,
      close: () =>
        closeAll(
          [
            ['Cassandra', () => cassandra.shutdown()],
            ['PostgreSQL', () => pool.end()],
          ],
          logger,
        ),
    };
  } catch (error) {
    await pool.end().catch(() => undefined);
    throw error;
  }
}

function unreadableKey(name: string): LockstepError {
  return new LockstepError(
    `rows of ${name} can not be read again one by one: its key has a tuple, collection or type`,
    {
      code: 'SOURCE_KEY',
      kind: 'config',
      remedy: 'what a backfill reads once could not be kept right afterwards; leave the table out of backfill',
    },
  );
}

/** Before the service ran for the first time a topic has no shards; its first one will be this. */
export async function shardsOf(target: Prepared['target'], topic: string): Promise<readonly ShardId[]> {
  const shards = await target.shards.list(topic);
  if (shards.length === 0) return [{ topic, incarnation: 1, partition: 0 }];
  return shards.map(({ shard }) => shard);
}
