/** What a comparison of a table of counters needs: the source, a table that something else keeps, and nothing of Kafka. */
import { bindCounters, type CounterMapping } from '../../catalog/counter-table.ts';
import type { SourceTable } from '../../catalog/source-table.ts';
import type { Configuration } from '../../config/index.ts';
import { systemClock } from '../../shared/clock.ts';
import { LockstepError } from '../../shared/errors.ts';
import { connectCassandra } from '../../source/cassandra-client.ts';
import { RowReader } from '../../source/row-reader.ts';
import { scanUnread } from '../../source/row-scan.ts';
import { scanSession } from '../../source/scan-session.ts';
import { readSchema } from '../../source/schema.ts';
import { auditEntry } from '../../target/stores/audit-log.ts';
import { registerTables } from '../../target/bound-table.ts';
import { FindingStore } from '../../target/stores/finding-store.ts';
import { createPool } from '../../target/index.ts';
import { JobStore } from '../../target/stores/job-store.ts';
import { migrate } from '../../target/migrate.ts';
import { plainRepairs, PlainScan } from '../../target/scan/plain-scan.ts';
import { TokenScan } from '../../target/scan/token-scan.ts';
import { VerifiedPoints } from '../../target/stores/verified-points.ts';
import { closeAll } from '../connect/closing.ts';
import { guessedWait } from '../heartbeats/capture-wait.ts';
import type { Logger } from '../telemetry/logger.ts';
import { SCAN_PATIENCE } from '../connect/one-table.ts';
import { processPacing } from '../connect/process-pacing.ts';
import { reachPostgres } from '../connect/reach.ts';
import { togetherAsConfigError } from '../schema/source-tables.ts';
import type { OpenEndState, Told } from './opened.ts';

const POOL_SIZE = 3;

/** Rejects with a LockstepError where a system can't be reached or the configuration does not fit it. */
export async function openCounters(
  { source, target, reconciliation }: Configuration,
  mapping: CounterMapping,
  told: Told,
  logger: Logger,
): Promise<OpenEndState> {
  const { url, controlSchema } = target.postgres;
  const { captureDelay } = reconciliation;
  if (source.cassandra === null) throw new Error('the configuration was checked for it');
  const pool = createPool({ url, poolSize: POOL_SIZE });
  try {
    await reachPostgres(pool, url);
    const cassandra = await connectCassandra(source.cassandra, { attempts: 1 });
    try {
      const [keyspace = ''] = mapping.source.split('.');
      const binding = bindCounters(counterTable(await readSchema(cassandra, keyspace), mapping.source), mapping);
      if (binding.kind === 'refused') throw togetherAsConfigError(binding.errors);
      const { table } = binding;
      await migrate(pool, controlSchema);
      const [bound] = await registerTables(pool, controlSchema, [table]);
      if (bound === undefined) throw new Error('one was registered');
      const scan = new PlainScan(pool, bound);
      const reader = new RowReader(cassandra, systemClock);
      const session = scanSession(cassandra);
      return {
        parts: {
          ...told,
          table: bound,
          target: scan,
          scanSource: (range, signal) =>
            scanUnread(session, table, {
              ...SCAN_PATIENCE,
              range,
              from: null,
              signal,
              elapsedMs: processPacing.elapsedMs,
              passesOver: true,
            }),
          readSource: (keys, signal) => reader.read(table, keys, signal),
          nowUs: () => BigInt(systemClock.nowMs()) * 1000n,
          // Nothing of it comes by Kafka: how far the copy may be behind is all that is known of it.
          barrier: () => Promise.resolve(null),
          captured: guessedWait(
            captureDelay,
            'how far the copy may be behind is unknown (reconciliation.captureDelay)',
          ),
          repairs: plainRepairs(scan),
          findings: new FindingStore(pool, controlSchema),
          audit: (entry) => auditEntry(controlSchema, entry),
          shard: { topic: table.topic, incarnation: 1, partition: 0 },
          quorumReads: false,
          pacing: processPacing,
        },
        statics: null,
        jobs: new JobStore(pool, controlSchema),
        verified: new VerifiedPoints(pool, controlSchema),
        skewUs: 0n,
        estimatedRows: async () => (await new TokenScan(pool, bound).estimatedRows()) ?? 0,
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
      await cassandra.shutdown().catch(() => undefined);
      throw error;
    }
  } catch (error) {
    await pool.end().catch(() => undefined);
    throw error;
  }
}

function counterTable(tables: readonly SourceTable[], name: string): SourceTable {
  const found = tables.find((table) => `${table.keyspace}.${table.name}` === name);
  if (found !== undefined) return found;
  throw new LockstepError(`reconciliation.counters: the source has no table ${name}`, {
    code: 'SOURCE_TABLE',
    kind: 'config',
    remedy: 'correct reconciliation.counters[].source',
  });
}
