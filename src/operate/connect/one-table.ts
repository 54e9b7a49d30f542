/** What commands that work on one table share: the table, its target and source, its shards. No service is around them. */
import { closest } from 'fastest-levenshtein';
import type { Configuration } from '../../config/index.ts';
import { LockstepError } from '../../shared/errors.ts';
import type { ScanOptions } from '../../source/row-scan.ts';
import type { ShardId } from '../../target/batch.ts';
import type { createPool } from '../../target/index.ts';
import type { Logger } from '../telemetry/logger.ts';
import { prepareTarget, type Prepared } from './preparation.ts';
import { soon } from './prepare-soon.ts';
import { reachPostgres } from './reach.ts';

/** A node that restarts is waited for. */
export const SCAN_PATIENCE: Pick<ScanOptions, 'backoff' | 'giveUpMs'> = {
  backoff: { startingDelay: 250, maxDelay: 10_000 },
  giveUpMs: 300_000,
};

/** @throws {LockstepError} `usage`, with the nearest name, where the configuration has no such table. */
export function tableMappingOf(configuration: Configuration, table: string): Configuration['tables'][number] {
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
  return mapping;
}

/** Everything that is wrong with the request is said before anything is connected. */
export function onlyTable(configuration: Configuration, table: string): Configuration {
  const mapping = tableMappingOf(configuration, table);
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
  await reachPostgres(pool, configuration.target.postgres.url);
  // Heartbeats are the service's; a command only waits for its own to come through.
  const reconciliation = { ...configuration.reconciliation, heartbeats: null };
  return soon(prepareTarget, { configuration: { ...configuration, reconciliation }, pool, logger });
}

/** Before the service ran for the first time a topic has no shards; its first one will be this. */
export async function shardsOf(target: Prepared['target'], topic: string): Promise<readonly [ShardId, ...ShardId[]]> {
  const [first, ...more] = await target.shards.list(topic);
  if (first === undefined) return [{ topic, incarnation: 1, partition: 0 }];
  return [first.shard, ...more.map(({ shard }) => shard)];
}
