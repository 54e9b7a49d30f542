import type { Client } from 'cassandra-driver';
import type { Kafka } from 'kafkajs';
import type { Pool } from 'pg';
import { LockstepError, messageOf } from '../../shared/errors.ts';
import { ShardAdmin } from '../../target/stores/shard-admin.ts';
import { UPKEEP_BACKOFF } from './backoff.ts';
import { openDeadLetters } from './open-dead-letters.ts';
import type { DependencyBoard } from '../service/readiness.ts';
import { countRereads, serveRereads } from './rereading.ts';
import type { Report, RunningParts } from '../service/running-parts.ts';
import { isStopped } from '../service/shard-view.ts';
import { repeating } from './repeating.ts';
import type { Service } from '../service/service.ts';
import { redriveWaiting } from './waiting-upkeep.ts';
import { watchDlq } from './watch-dlq.ts';
import { clearDropped, followGrowth, keepLedger, purgeMemory, sweepExpired } from './target-upkeep.ts';

/** Contact with each system: soon enough for readiness, rare enough to cost nothing. */
const CONTACT_EVERY_MS = 5_000;
const CONTACT_TIMEOUT_MS = 8_000;
const DEAD_LETTERS_EVERY_MS = 15_000;
/** A person waits. */
const REQUESTS_EVERY_MS = 1_000;

/** Asks PostgreSQL for a sign of life. */
export function watchPostgres(pool: Pool, dependencies: DependencyBoard): Service {
  return repeating('watch-postgres', {
    everyMs: CONTACT_EVERY_MS,
    timeoutMs: CONTACT_TIMEOUT_MS,
    work: async () => {
      await pool.query('SELECT 1');
      dependencies.up('postgres');
    },
    onError: (error) => {
      dependencies.down('postgres', messageOf(error));
    },
  });
}

/** Asks Kafka for a sign of life. */
export function watchKafka({ consumer, port, prepared, dependencies, staleness, clock }: RunningParts): Service {
  const [table] = prepared.tables;
  return repeating('watch-kafka', {
    everyMs: CONTACT_EVERY_MS,
    timeoutMs: CONTACT_TIMEOUT_MS,
    work: async () => {
      if (table !== undefined) await port.logRanges(table.topic);
      const group = consumer.group();
      // A broker that answers while the group throws us out is not up for us.
      if (group.kind === 'failing') throw new Error(group.reason);
      dependencies.up('kafka');
      staleness.connected(true, clock.nowMs());
    },
    onError: (error) => {
      dependencies.down('kafka', messageOf(error));
      staleness.connected(false, clock.nowMs());
    },
  });
}

/** Asks Cassandra for a sign of life. */
export function watchCassandra(cassandra: Client, dependencies: DependencyBoard): Service {
  return repeating('watch-cassandra', {
    everyMs: CONTACT_EVERY_MS,
    timeoutMs: CONTACT_TIMEOUT_MS,
    work: async () => {
      await cassandra.execute('SELECT key FROM system.local');
      dependencies.up('cassandra');
    },
    onError: (error) => {
      dependencies.down('cassandra', messageOf(error));
    },
  });
}

/** Takes up what operators ask of this member's shards through the control tables (`lockstep shards resume`). */
function takeRequests(parts: RunningParts, report: Report): Service {
  const { consumer, pool, configuration, logger } = parts;
  const admin = new ShardAdmin(pool, configuration.target.postgres.controlSchema);
  return repeating('shard-requests', {
    everyMs: REQUESTS_EVERY_MS,
    timeoutMs: CONTACT_TIMEOUT_MS,
    work: async () => {
      // A shard that works needs no request; asking only for stopped ones costs nothing while all is well.
      const stopped = consumer.shards().filter(({ state }) => isStopped(state));
      for (const shard of await admin.takeRequests(stopped)) {
        logger.info(shard, 'asked to go on');
        consumer.resume(shard);
      }
    },
    backoff: UPKEEP_BACKOFF,
    onError: report('looking for requests of operators'),
  });
}

/** What must be done again and again: expiry, ledger, purge, growth, the gauge of pending dead letters. */
export function upkeepOf(parts: RunningParts, kafka: Kafka): readonly Service[] {
  const { pool, metrics, logger, configuration } = parts;
  const report = (what: string) => (error: unknown, failures: number) => {
    metrics.stream.retries.inc({ kind: error instanceof LockstepError ? error.code : 'UPKEEP' });
    logger[failures === 1 ? 'warn' : 'debug']({ err: error, failures }, `${what} failed, retrying`);
  };
  const countDeadLetters = async () => {
    const open = await openDeadLetters(pool, configuration.target.postgres.controlSchema);
    for (const [table, count] of open) {
      metrics.stream.deadLettersPending.set({ table }, count.pending);
      metrics.stream.deadLettersWaiting.set({ table }, count.waiting);
    }
  };
  return [
    sweepExpired(parts, report),
    keepLedger(parts, report),
    purgeMemory(parts, report),
    clearDropped(parts, report),
    followGrowth(parts, report),
    takeRequests(parts, report),
    redriveWaiting(parts, kafka, report),
    watchDlq(parts, kafka, report),
    ...(parts.readRows === null ? [] : [serveRereads(parts, parts.readRows, report), countRereads(parts, report)]),
    repeating('count-dead-letters', {
      everyMs: DEAD_LETTERS_EVERY_MS,
      timeoutMs: CONTACT_TIMEOUT_MS,
      work: countDeadLetters,
      backoff: UPKEEP_BACKOFF,
      onError: report('counting dead letters'),
    }),
  ];
}
