import type { Admin, ConfigResourceTypes, Kafka } from 'kafkajs';
import kafkajs from 'kafkajs';
import { ensureDlqTopic, requiredDlqMessageBytes } from '../../deadletter/index.ts';

/** A topic's partitions and the settings that matter here. */
export interface TopicFacts {
  readonly partitions: number;
  /** Partitions without a leader. */
  readonly leaderless: number;
  readonly settings: ReadonlyMap<string, string>;
}

/** What doctor and the start of the service ask of Kafka; tests answer without one. */
export interface KafkaProbe {
  connect(): Promise<{ readonly brokers: number; readonly version: string | null }>;
  /** Null where the topic does not exist. */
  topic(name: string): Promise<TopicFacts | null>;
  /** max.message.bytes that the DLQ topic needs. */
  requiredDlqBytes(sourceTopics: readonly string[]): Promise<number>;
  /** Creates the DLQ topic where there is none, with this retention; true where it did. */
  ensureDlq(topic: string, sourceTopics: readonly string[], retentionMs: number): Promise<boolean>;
  /** Creates a topic of one partition where there is none; true where it did. */
  ensureTopic(topic: string): Promise<boolean>;
  close(): Promise<void>;
}

const TOPIC_SETTINGS = ['cleanup.policy', 'max.message.bytes', 'retention.ms', 'retention.bytes'];

/** Brokers before 4.0 tell their version by this setting; there is no request that asks for it. */
const VERSION_SETTING = 'inter.broker.protocol.version';

/** The probe behind which a real Kafka is; `kafka` gives up soon (probeClientOf). */
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
    ensureDlq: (topic, sourceTopics, retentionMs) => ensureDlqTopic(admin, { topic, sourceTopics, retentionMs }),
    requiredDlqBytes: (sourceTopics) => requiredDlqMessageBytes(admin, sourceTopics),
    async ensureTopic(topic) {
      if ((await admin.listTopics()).includes(topic)) return false;
      // The broker's own replication factor.
      return admin.createTopics({ topics: [{ topic, numPartitions: 1, replicationFactor: -1 }] });
    },
    close: () => admin.disconnect(),
  };
}
