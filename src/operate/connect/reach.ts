/**
 * Whether the systems that a command needs answer, asked before it begins: a person is told within seconds which of them
 * does not, under which address, and what to do. A service has its own way: it waits, and says so in readiness.
 */
import type { Kafka } from 'kafkajs';
import type { Pool } from 'pg';
import { maskUrl, type Configuration } from '../../config/index.ts';
import { LockstepError, messageOf } from '../../shared/errors.ts';
import { classifyPostgresError } from '../../target/index.ts';
import { probeClientOf } from './kafka-client.ts';
import { createLogger } from '../telemetry/logger.ts';

/** @throws LockstepError `POSTGRES_UNREACHABLE`, or what PostgreSQL answers instead of letting us in. */
export async function reachPostgres(pool: Pool, url: string): Promise<void> {
  try {
    await pool.query('SELECT 1');
  } catch (error) {
    const { kind, code, remedy } = classifyPostgresError(error, 'connecting');
    const where = `PostgreSQL at ${maskUrl(url)}`;
    if (kind === 'transient') {
      throw new LockstepError(`${where} can not be reached: ${messageOf(error)}`, {
        code: 'POSTGRES_UNREACHABLE',
        kind: 'transient',
        remedy: 'start PostgreSQL or correct target.postgres.url; lockstep doctor looks at everything',
        cause: error,
      });
    }
    throw new LockstepError(`${where} refuses the connection: ${messageOf(error)}`, {
      code,
      kind,
      remedy: remedy ?? 'correct target.postgres.url; lockstep doctor looks at everything',
      cause: error,
    });
  }
}

/** @throws LockstepError `KAFKA_UNREACHABLE`. */
export async function reachKafka(configuration: Configuration['kafka']): Promise<void> {
  const admin = quietKafka(configuration).admin();
  try {
    await admin.connect();
    // The first broker let us in; this asks whether the ones that it names do too.
    await admin.describeCluster();
  } catch (cause) {
    throw kafkaUnreachable(configuration, cause);
  } finally {
    await admin.disconnect().catch(() => undefined);
  }
}

/** A client that gives up soon and leaves the telling to whoever asked. */
export function quietKafka(configuration: Configuration['kafka']): Kafka {
  return probeClientOf(configuration, createLogger({ level: 'silent' }));
}

/** What a command says of a Kafka that does not answer. */
export function kafkaUnreachable({ brokers }: Configuration['kafka'], cause: unknown): LockstepError {
  return new LockstepError(`Kafka at ${brokers.join(', ')} can not be reached: ${messageOf(cause)}`, {
    code: 'KAFKA_UNREACHABLE',
    kind: 'transient',
    remedy:
      'start Kafka or correct kafka.brokers, kafka.ssl and kafka.sasl; the addresses that brokers advertise must be reachable too',
    cause,
  });
}

/** Both, beside one another; where neither answers, one error names both. */
export async function reachBoth(configuration: Configuration, pool: Pool): Promise<void> {
  const { kafka, target } = configuration;
  const asked = await Promise.allSettled([reachPostgres(pool, target.postgres.url), reachKafka(kafka)]);
  const [first, second] = asked.flatMap((each) => (each.status === 'rejected' ? [asError(each.reason)] : []));
  if (first === undefined) return;
  if (second === undefined) throw first;
  throw new LockstepError(`${messageOf(first)}; ${messageOf(second)}`, {
    code: first.code,
    kind: first.kind,
    remedy: `${first.remedy ?? ''}; ${second.remedy ?? ''}`,
  });
}

function asError(reason: unknown): LockstepError {
  return reason instanceof LockstepError ? reason : classifyPostgresError(reason, 'connecting');
}
