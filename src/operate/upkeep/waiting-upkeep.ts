/** Dead letters that wait for another row, tried again by the owner of their shard. */
import type { Kafka } from 'kafkajs';
import { LetterBytes } from '../../consume/letter-bytes.ts';
import { PacedDoor } from '../../target/paced-door.ts';
import { UPKEEP_BACKOFF } from './backoff.ts';
import { processPacing } from '../connect/process-pacing.ts';
import { redriveParts } from '../redrive/redrive-parts.ts';
import { tryWaiting, type WaitingParts } from '../redrive/waiting-letters.ts';
import { repeating } from './repeating.ts';
import { ownShards, type Report, type RunningParts } from '../service/running-parts.ts';
import type { Service } from '../service/service.ts';

/** The other row is mostly there a moment later; one indexed query a shard is cheap. */
const EVERY_MS = 1_000;
const TIMEOUT_MS = 60_000;

export function redriveWaiting(parts: RunningParts, kafka: Kafka, report: Report): Service {
  const { configuration, pool, prepared, metrics, logger } = parts;
  const { topic, waitForOthers } = configuration.deadLetter;
  const bytes = new LetterBytes(kafka, topic);
  const { controlSchema } = configuration.target.postgres;
  const { index, read, decoderOf, door } = redriveParts(pool, controlSchema, prepared.target, bytes);
  const waiting: WaitingParts = {
    index,
    read,
    decoderOf,
    door: new PacedDoor(door, processPacing),
    waitMs: waitForOthers,
    onRedriven: ({ table, offset }) => {
      metrics.stream.changes.inc({ table: table ?? '', outcome: 'processed' });
      logger.info({ table, offset: String(offset) }, 'what a record waited for has come');
    },
    onGivenUp: ({ table, offset }, code, reason) => {
      metrics.stream.changes.inc({ table: table ?? '', outcome: 'dead_lettered' });
      metrics.stream.deadLetters.inc({ table: table ?? '', reason: code });
      logger.warn({ table, offset: String(offset), code, reason }, 'dead letter');
    },
  };
  return repeating('redrive-waiting', {
    everyMs: EVERY_MS,
    timeoutMs: TIMEOUT_MS,
    work: async () => {
      const limit = AbortSignal.timeout(TIMEOUT_MS);
      for (const shard of ownShards(parts)) await tryWaiting(waiting, shard, limit);
    },
    backoff: UPKEEP_BACKOFF,
    onError: report('trying waiting records again'),
  });
}
