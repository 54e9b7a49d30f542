/** What a comparison of a table needs, opened from the configuration: for a command, which has no service around it. */
import { staticTable } from '../../catalog/static-table.ts';
import type { Table } from '../../catalog/table.ts';
import type { Configuration } from '../../config/index.ts';
import { logRangesOf } from '../../consume/kafka/log-ranges.ts';
import type { ReconcileParts } from '../../reconcile/end-state/reconcile-table.ts';
import { RANGES_AT_ONCE } from '../../reconcile/end-state/scan-ranges.ts';
import { systemClock } from '../../shared/clock.ts';
import { RowReader } from '../../source/row-reader.ts';
import { scanSession } from '../../source/scan-session.ts';
import { createPool } from '../../target/index.ts';
import { JobStore } from '../../target/stores/job-store.ts';
import { TokenScan } from '../../target/scan/token-scan.ts';
import { VerifiedPoints } from '../../target/stores/verified-points.ts';
import { waitForBarrier } from '../delivery/barrier-wait.ts';
import { closeAll } from '../connect/closing.ts';
import { BARRIER_LIMIT_MS, captureWait } from '../heartbeats/capture-wait.ts';
import type { Logger } from '../telemetry/logger.ts';
import { openCounters } from './open-counters.ts';
import { onlyTable, prepareOne } from '../connect/one-table.ts';
import { processPacing } from '../connect/process-pacing.ts';
import { RateLimit } from '../connect/rate-limit.ts';
import { kafkaUnreachable, quietKafka } from '../connect/reach.ts';
import { comparisonScan } from './comparison-scan.ts';
import type { OpenEndState, Told } from './opened.ts';
import { rowParts } from './row-parts.ts';
import { schemaWatch } from './source-change.ts';

/** For each range that is scanned; one for the repairs' session, one for findings and barrier. */
const POOL_SIZE = RANGES_AT_ONCE + 2;

/** Rejects with a LockstepError where a system can't be reached or the configuration does not fit it. */
export async function openEndState(
  configuration: Configuration,
  name: string,
  told: Told,
  logger: Logger,
): Promise<OpenEndState> {
  const counters = configuration.reconciliation.counters.find(({ source }) => source === name);
  if (counters !== undefined) return openCounters(configuration, counters, told, logger);
  const one = onlyTable(configuration, name);
  const { url, controlSchema } = one.target.postgres;
  const { consistency } = one.source.cassandra ?? {};
  const pool = createPool({ url, poolSize: POOL_SIZE });
  const admin = quietKafka(one.kafka).admin();
  const connected = admin.connect().catch((cause: unknown) => {
    throw kafkaUnreachable(one.kafka, cause);
  });
  try {
    const [{ cassandra, target, tables }] = await Promise.all([prepareOne(one, pool, logger), connected]);
    const [table] = tables;
    if (cassandra === null || table === undefined) throw new Error('both are there: it was looked at before');
    const reader = new RowReader(cassandra, systemClock);
    const session = scanSession(cassandra);
    const wait = {
      logRanges: (topic: string) => logRangesOf(admin, topic),
      shards: target.shards,
      pool,
      controlSchema,
      limitMs: BARRIER_LIMIT_MS,
    };
    const systems = { target, pool, controlSchema, reader, clock: systemClock, consistency };
    const schemaChange = await schemaWatch(cassandra, table);
    const rate = new RateLimit(processPacing, told.rowsPerSecond ?? one.reconciliation.rowsPerSecond);
    const common = {
      onProgress: told.onProgress,
      onLeft: told.onLeft,
      schemaChange,
      repairs: target.repairs,
    };
    const captured = captureWait(one, cassandra, pool, systemClock);
    const sidesOf = async (which: Table): Promise<Omit<ReconcileParts, 'captured' | keyof typeof common>> => ({
      ...(await rowParts(systems, target.boundOf(which.name), table.topic)),
      target: new TokenScan(pool, target.boundOf(which.name)),
      scanSource: comparisonScan(session, which, rate),
      // What is owed of static columns stands in the queues of their table's shards.
      barrier: (signal) => waitForBarrier(wait, { table: which.name, topic: table.topic }, signal),
    });
    const estimateOf = (which: Table) => async (): Promise<number> =>
      (await new TokenScan(pool, target.boundOf(which.name)).estimatedRows()) ?? 0;
    const statics = staticTable(table);
    return {
      parts: { ...common, ...(await sidesOf(table)), captured },
      jobs: new JobStore(pool, controlSchema),
      verified: new VerifiedPoints(pool, controlSchema),
      skewUs: BigInt(one.reconciliation.windows.skew) * 1000n,
      estimatedRows: estimateOf(table),
      statics:
        statics === null
          ? null
          : {
              // No event tells of static columns, so the capture never holds one.
              parts: { ...common, ...(await sidesOf(statics)), captured: () => Promise.resolve(null) },
              estimatedRows: estimateOf(statics),
            },
      close: () =>
        closeAll(
          [
            ['Kafka', () => admin.disconnect()],
            ['Cassandra', () => cassandra.shutdown()],
            ['PostgreSQL', () => pool.end()],
          ],
          logger,
        ),
    };
  } catch (error) {
    await admin.disconnect().catch(() => undefined);
    await pool.end().catch(() => undefined);
    throw error;
  }
}
