/**
 * Creates the DLQ topic as dead letters need it (DESIGN §8): compacted, so that one record can be erased by its key, and
 * deleted by time; wide enough for the largest source record with its headers.
 */
import type { Admin } from 'kafkajs';
import kafkajs from 'kafkajs';

/** Room for our headers beside the source's record. */
const HEADER_ROOM_BYTES = 64 * 1024;
const DEFAULT_MAX_MESSAGE_BYTES = 1_048_588;
const DAY_MS = 86_400_000;
/** An erased record must be gone from the log within a day at most. */
const MAX_COMPACTION_LAG_MS = DAY_MS;
/** 10 s; a topic that is not known by then is the producer's problem, which says so and tries again. */
const KNOWN_ASKS = 100;
const KNOWN_PAUSE_MS = 100;
const DEFAULT_RETENTION_MS = 30 * DAY_MS;

export interface DlqTopicOptions {
  readonly topic: string;
  readonly sourceTopics: readonly string[];
  /** Default 30 days; must exceed the time in which somebody looks at dead letters. */
  readonly retentionMs?: number;
  /** Default: the broker's. */
  readonly partitions?: number;
  readonly replicationFactor?: number;
}

/** max.message.bytes that the DLQ topic needs: the largest source topic's, and room for headers. */
export async function requiredDlqMessageBytes(admin: Admin, sourceTopics: readonly string[]): Promise<number> {
  if (sourceTopics.length === 0) return DEFAULT_MAX_MESSAGE_BYTES + HEADER_ROOM_BYTES;
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: sourceTopics.map((name) => ({
      type: kafkajs.ConfigResourceTypes.TOPIC,
      name,
      configNames: ['max.message.bytes'],
    })),
  });
  const sizes = resources.flatMap((resource) => resource.configEntries.map((entry) => Number(entry.configValue)));
  return Math.max(DEFAULT_MAX_MESSAGE_BYTES, ...sizes.filter(Number.isFinite)) + HEADER_ROOM_BYTES;
}

/** Creates the DLQ topic if there is none. True where it did; an existing topic is left alone (doctor checks it). */
export async function ensureDlqTopic(admin: Admin, options: DlqTopicOptions): Promise<boolean> {
  const existing = await admin.listTopics();
  if (existing.includes(options.topic)) return false;
  const maxMessageBytes = await requiredDlqMessageBytes(
    admin,
    options.sourceTopics.filter((topic) => existing.includes(topic)),
  );
  const isCreated = await admin.createTopics({
    // kafkajs's own wait fails where the broker that it asks does not know the new topic yet.
    waitForLeaders: false,
    topics: [
      {
        topic: options.topic,
        numPartitions: options.partitions ?? -1,
        replicationFactor: options.replicationFactor ?? -1,
        configEntries: [
          { name: 'cleanup.policy', value: 'compact,delete' },
          { name: 'retention.ms', value: String(options.retentionMs ?? DEFAULT_RETENTION_MS) },
          { name: 'max.compaction.lag.ms', value: String(MAX_COMPACTION_LAG_MS) },
          { name: 'max.message.bytes', value: String(maxMessageBytes) },
        ],
      },
    ],
  });
  await untilKnown(admin, options.topic);
  return isCreated;
}

/** A topic is created by the controller and known to brokers a moment later. */
async function untilKnown(admin: Admin, topic: string): Promise<void> {
  for (let asked = 0; asked < KNOWN_ASKS; asked += 1) {
    const isKnown = await admin.fetchTopicMetadata({ topics: [topic] }).then(
      ({ topics }) => topics.every(({ partitions }) => partitions.every(({ leader }) => leader >= 0)),
      () => false,
    );
    if (isKnown) return;
    await new Promise((resolve) => setTimeout(resolve, KNOWN_PAUSE_MS));
  }
}
