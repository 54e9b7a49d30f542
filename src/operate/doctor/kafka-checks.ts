import type { Admin, ConfigResourceTypes, Kafka } from 'kafkajs';
import kafkajs from 'kafkajs';
import type { Configuration } from '../../config/index.ts';
import { requiredDlqMessageBytes } from '../../deadletter/index.ts';
import { messageOf } from '../../shared/errors.ts';
import { fault, ok, skipped, warn, type Check, type Finding } from './check.ts';

/** A topic's partitions and the settings that matter here. */
export interface TopicFacts {
  readonly partitions: number;
  /** Partitions without a leader. */
  readonly leaderless: number;
  readonly settings: ReadonlyMap<string, string>;
}

/** What the checks ask of Kafka; tests answer without one. */
export interface KafkaProbe {
  connect(): Promise<{ readonly brokers: number; readonly version: string | null }>;
  /** Null where the topic does not exist. */
  topic(name: string): Promise<TopicFacts | null>;
  requiredDlqBytes(sourceTopics: readonly string[]): Promise<number>;
  close(): Promise<void>;
}

const TOPIC_SETTINGS = ['cleanup.policy', 'max.message.bytes', 'retention.ms'];

/** Brokers before 4.0 tell their version by this setting; there is no request that asks for it. */
const VERSION_SETTING = 'inter.broker.protocol.version';

/** The probe behind which a real Kafka is. */
export function createKafkaProbe(kafka: Kafka): KafkaProbe {
  const admin: Admin = kafka.admin();
  const settingsOf = async (type: ConfigResourceTypes, name: string, names: string[]): Promise<Map<string, string>> => {
    const answer = await admin.describeConfigs({
      includeSynonyms: false,
      resources: [{ type, name, configNames: names }],
    });
    return new Map(
      answer.resources.flatMap(({ configEntries }) => configEntries.map((e) => [e.configName, e.configValue])),
    );
  };
  return {
    async connect() {
      await admin.connect();
      const { brokers } = await admin.describeCluster();
      const first = brokers[0];
      const settings =
        first === undefined
          ? new Map<string, string>()
          : // A listing of broker settings may be forbidden; reachability does not depend on it.
            await settingsOf(kafkajs.ConfigResourceTypes.BROKER, String(first.nodeId), [VERSION_SETTING]).catch(
              () => new Map<string, string>(),
            );
      return { brokers: brokers.length, version: settings.get(VERSION_SETTING) ?? null };
    },
    async topic(name) {
      // Asking for the metadata of a missing topic could create it.
      if (!(await admin.listTopics()).includes(name)) return null;
      const { topics } = await admin.fetchTopicMetadata({ topics: [name] });
      const partitions = topics[0]?.partitions ?? [];
      return {
        partitions: partitions.length,
        leaderless: partitions.filter(({ leader }) => leader < 0).length,
        settings: await settingsOf(kafkajs.ConfigResourceTypes.TOPIC, name, TOPIC_SETTINGS),
      };
    },
    requiredDlqBytes: (sourceTopics) => requiredDlqMessageBytes(admin, sourceTopics),
    close: () => admin.disconnect(),
  };
}

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
  return ok(`${facts.partitions} partitions, cleanup.policy ${policy}`, topic);
}

function dlqFinding(topic: string, facts: TopicFacts | null, requiredBytes: number): Finding {
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
  return ok(`cleanup.policy ${policy}, max.message.bytes ${bytes}`, topic);
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
          return [ok(`${cluster.brokers} brokers${version}`, brokers.join(','))];
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
        const { deadLetter, tables } = configuration();
        const present: string[] = [];
        for (const { topic } of tables) if ((await probe().topic(topic)) !== null) present.push(topic);
        if (present.length === 0) return [skipped('no source topic exists to measure it by', null, deadLetter.topic)];
        const required = await probe().requiredDlqBytes(present);
        return [dlqFinding(deadLetter.topic, await probe().topic(deadLetter.topic), required)];
      },
    },
  ];
}
