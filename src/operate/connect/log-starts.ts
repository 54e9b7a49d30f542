import type { Configuration } from '../../config/index.ts';
import { logRangesOf } from '../../consume/kafka/log-ranges.ts';
import { LockstepError } from '../../shared/errors.ts';
import { kafkaUnreachable, quietKafka } from './reach.ts';

/**
 * Where the log of each partition of a topic starts, by partition.
 *
 * @throws LockstepError where Kafka does not answer, or has no such topic.
 */
export async function logStartsOf(configuration: Configuration['kafka'], topic: string): Promise<readonly bigint[]> {
  const admin = quietKafka(configuration).admin();
  try {
    await admin.connect();
    const topics = await admin.listTopics();
    if (topics.includes(topic)) {
      return (await logRangesOf(admin, topic)).map(({ start }) => start);
    }
  } catch (cause) {
    throw kafkaUnreachable(configuration, cause);
  } finally {
    await admin.disconnect().catch(() => undefined);
  }
  throw new LockstepError(`there is no topic ${topic}`, {
    code: 'TOPIC_UNKNOWN',
    kind: 'usage',
    remedy: 'name a topic as tables[].topic has it; a topic that was deleted has to be created first',
  });
}
