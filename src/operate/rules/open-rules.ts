/** The systems that rules ask, opened from the configuration: for a command, which has no service around it. */
import type { Configuration } from '../../config/index.ts';
import { logRangesOf } from '../../consume/kafka/log-ranges.ts';
import { systemClock } from '../../shared/clock.ts';
import { LockstepError } from '../../shared/errors.ts';
import { connectCassandra } from '../../source/cassandra-client.ts';
import { createPool } from '../../target/index.ts';
import { JobStore } from '../../target/stores/job-store.ts';
import { PostgresShardStore } from '../../target/postgres-shard-store.ts';
import { RuleFindingStore } from '../../target/stores/rule-finding-store.ts';
import { closeAll } from '../connect/closing.ts';
import type { Logger } from '../telemetry/logger.ts';
import { kafkaUnreachable, quietKafka, reachPostgres } from '../connect/reach.ts';
import { rulePartsOf } from './rule-parts.ts';
import type { RuleRun } from './rule-job.ts';
import type { ScheduledRule } from './rules-of.ts';

/** One for the rule's cursor, one for jobs, findings and barrier. */
const POOL_SIZE = 3;

export interface OpenRules {
  runOf(rule: ScheduledRule): RuleRun;
  close(): Promise<void>;
}

/** Rejects with a LockstepError where a system can't be reached. */
export async function openRules(configuration: Configuration, logger: Logger): Promise<OpenRules> {
  const { url, controlSchema } = configuration.target.postgres;
  const settings = configuration.source.cassandra;
  if (settings === null) {
    throw new LockstepError('source.cassandra is not configured, so there is nothing to ask', {
      code: 'SOURCE_MISSING',
      kind: 'config',
      remedy: 'set source.cassandra: contactPoints and localDataCenter',
    });
  }
  const pool = createPool({ url, poolSize: POOL_SIZE });
  const admin = quietKafka(configuration.kafka).admin();
  try {
    await reachPostgres(pool, url);
    await admin.connect().catch((cause: unknown) => {
      throw kafkaUnreachable(configuration.kafka, cause);
    });
    const cassandra = await connectCassandra(settings, { attempts: 1 });
    const systems = {
      configuration,
      cassandra,
      pool,
      clock: systemClock,
      shards: new PostgresShardStore(pool, controlSchema),
      logRanges: (topic: string) => logRangesOf(admin, topic),
    };
    const stores = { jobs: new JobStore(pool, controlSchema), findings: new RuleFindingStore(pool, controlSchema) };
    return {
      runOf: (rule) => ({ ...stores, parts: rulePartsOf(systems, rule) }),
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
