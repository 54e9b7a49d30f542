/** What a run of a rule needs, from the parts of a service or of a command alike. */
import type { Client } from 'cassandra-driver';
import type { Pool } from 'pg';
import type { Configuration } from '../../config/index.ts';
import type { RuleParts } from '../../reconcile/rules/run-rule.ts';
import type { Clock } from '../../shared/clock.ts';
import type { PostgresShardStore } from '../../target/postgres-shard-store.ts';
import { waitForBarrier, type BarrierWait } from '../delivery/barrier-wait.ts';
import { BARRIER_LIMIT_MS, captureWait } from '../heartbeats/capture-wait.ts';
import type { ScheduledRule } from './rules-of.ts';
import { sidesOf } from './rule-sides.ts';

export interface RuleSystems {
  readonly configuration: Configuration;
  readonly cassandra: Client;
  readonly pool: Pool;
  readonly logRanges: BarrierWait['logRanges'];
  readonly shards: Pick<PostgresShardStore, 'list'>;
  readonly clock: Clock;
}

export function rulePartsOf(systems: RuleSystems, rule: ScheduledRule): RuleParts {
  const { configuration, cassandra, pool, clock, logRanges, shards } = systems;
  const { controlSchema } = configuration.target.postgres;
  const wait = { logRanges, shards, pool, controlSchema, limitMs: BARRIER_LIMIT_MS };
  const tables = configuration.tables.filter(({ source }) => rule.tables.includes(source));
  return {
    ...sidesOf(rule, cassandra, pool),
    barrier: async (signal) => {
      for (const { source, topic } of tables) {
        const reason = await waitForBarrier(wait, { table: source, topic }, signal);
        if (reason !== null) return `${source}: ${reason}`;
      }
      return null;
    },
    captured: captureWait(configuration, cassandra, pool, clock),
  };
}
