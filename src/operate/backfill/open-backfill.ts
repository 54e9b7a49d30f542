/** What a backfill needs, opened from the configuration: for a command, which has no running service around it. */
import { staticTable } from '../../catalog/static-table.ts';
import type { Configuration } from '../../config/index.ts';
import { LockstepError } from '../../shared/errors.ts';
import { WHOLE_RING } from '../../change/token-range.ts';
import { scanRows } from '../../source/row-scan.ts';
import { scanSession } from '../../source/scan-session.ts';
import { createPool } from '../../target/index.ts';
import { JobStore } from '../../target/stores/job-store.ts';
import { readProblem } from '../../target/rereads/read-problem.ts';
import { closeAll } from '../connect/closing.ts';
import type { Logger } from '../telemetry/logger.ts';
import { onlyTable, prepareOne, SCAN_PATIENCE, shardsOf } from '../connect/one-table.ts';
import { processPacing } from '../connect/process-pacing.ts';
import type { BackfillParts } from './backfill-run.ts';

/** One for the rows, one for the job, and one in reserve: the stream has its own. */
const POOL_SIZE = 3;

export interface OpenBackfill {
  readonly parts: BackfillParts;
  close(): Promise<void>;
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
    `rows of ${name} can not be read again one by one: the bytes of its key’s types are not known`,
    {
      code: 'SOURCE_KEY',
      kind: 'config',
      remedy: 'what a backfill reads once could not be kept right afterwards; leave the table out of backfill',
    },
  );
}
