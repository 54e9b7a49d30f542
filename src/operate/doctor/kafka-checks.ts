import type { Configuration } from '../../config/index.ts';
import type { KafkaProbe, TopicFacts } from '../connect/kafka-probe.ts';
import { messageOf } from '../../shared/errors.ts';
import { counted, fault, ok, skipped, warn, type Check, type Finding } from './check.ts';

function sourceTopicFinding(topic: string, source: string, facts: TopicFacts | null): Finding {
  if (facts === null) {
    return fault(
      `the topic of ${source} does not exist`,
      `Correct tables[].topic, start the capture of ${source}, or create the topic with cleanup.policy=delete.`,
      topic,
    );
  }
  const policy = facts.settings.get('cleanup.policy') ?? 'unknown';
  if (policy.includes('compact')) {
    return fault(
      `cleanup.policy is ${policy}: compaction drops sparse updates that share a key`,
      `Set cleanup.policy=delete on ${topic}, then compare ${source} with the source.`,
      topic,
    );
  }
  if (facts.leaderless > 0) {
    return fault(
      `${facts.leaderless} of ${facts.partitions} partitions have no leader`,
      'Bring the brokers back that held them.',
      topic,
    );
  }
  return ok(`${counted(facts.partitions, 'partition')}, cleanup.policy ${policy}`, topic);
}

/** How long the topic keeps a letter: what the configuration says, and by time alone. */
function dlqRetentionFinding(topic: string, facts: TopicFacts, wantedMs: number): Finding | null {
  const bytes = Number(facts.settings.get('retention.bytes') ?? -1);
  if (bytes >= 0) {
    return warn(
      `retention.bytes is ${bytes}: a flood of letters drives older ones out before anybody has seen them`,
      `Set retention.bytes=-1 on ${topic}, so that time alone decides.`,
      topic,
    );
  }
  const keptMs = Number(facts.settings.get('retention.ms') ?? -1);
  if (keptMs < 0 || keptMs >= wantedMs) return null;
  return warn(
    `retention.ms is ${keptMs}, less than retention.deadLetters (${wantedMs}): letters leave sooner than the configuration says`,
    `Set retention.ms=${wantedMs} on ${topic}, or lower retention.deadLetters.`,
    topic,
  );
}

function dlqFinding(topic: string, facts: TopicFacts | null, requiredBytes: number, wantedMs: number): Finding {
  if (facts === null) return ok('does not exist yet; lockstep run creates it', topic);
  const policy = facts.settings.get('cleanup.policy') ?? '';
  if (!policy.includes('compact')) {
    return warn(
      `cleanup.policy is ${policy}: a dead letter can not be erased by its key`,
      `Set cleanup.policy=compact,delete on ${topic}.`,
      topic,
    );
  }
  const bytes = Number(facts.settings.get('max.message.bytes'));
  if (Number.isFinite(bytes) && bytes < requiredBytes) {
    return fault(
      `max.message.bytes is ${bytes}: the largest source record with its headers does not fit`,
      `Set max.message.bytes of ${topic} to ${requiredBytes} or more.`,
      topic,
    );
  }
  const retention = dlqRetentionFinding(topic, facts, wantedMs);
  if (retention !== null) return retention;
  return ok(
    `cleanup.policy ${policy}, max.message.bytes ${bytes}, retention.ms ${facts.settings.get('retention.ms') ?? 'unknown'}`,
    topic,
  );
}

/** Kafka: reachable, source topics usable, DLQ topic able to hold what may come. */
export function kafkaChecks(configuration: () => Configuration, probe: () => KafkaProbe): readonly Check[] {
  return [
    {
      id: 'kafka.reachable',
      needs: ['configuration'],
      async run() {
        const { brokers } = configuration().kafka;
        try {
          const cluster = await probe().connect();
          const version = cluster.version === null ? '' : `, version ${cluster.version}`;
          return [ok(counted(cluster.brokers, 'broker') + version, brokers.join(','))];
        } catch (error) {
          return [
            fault(
              `Kafka can not be reached: ${messageOf(error)}`,
              'Start Kafka or correct kafka.brokers, kafka.ssl and kafka.sasl; the addresses that brokers advertise must be reachable too.',
              brokers.join(','),
            ),
          ];
        }
      },
    },
    {
      id: 'kafka.topics',
      needs: ['kafka.reachable'],
      run: () =>
        Promise.all(
          configuration().tables.map(async ({ topic, source }) =>
            sourceTopicFinding(topic, source, await probe().topic(topic)),
          ),
        ),
    },
    {
      id: 'kafka.dlq',
      needs: ['kafka.reachable'],
      async run() {
        const { deadLetter, retention, tables } = configuration();
        const present: string[] = [];
        for (const { topic } of tables) if ((await probe().topic(topic)) !== null) present.push(topic);
        if (present.length === 0) return [skipped('no source topic exists to measure it by', null, deadLetter.topic)];
        const required = await probe().requiredDlqBytes(present);
        return [dlqFinding(deadLetter.topic, await probe().topic(deadLetter.topic), required, retention.deadLetters)];
      },
    },
  ];
}
