/** The demo's own Kafka client: it shares nothing with the service's but the library. */
import { Kafka, logLevel, Partitioners, type Producer } from 'kafkajs';

/** One Kafka partition. */
export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

/** Offsets that a partition's log holds: [start, end). */
export interface LogRange extends TopicPartition {
  readonly start: bigint;
  readonly end: bigint;
}

/** A client for the demo. Its errors are thrown, not logged. */
export function demoKafka(brokers: readonly string[]): Kafka {
  return new Kafka({ brokers: [...brokers], clientId: 'lockstep-demo', logLevel: logLevel.NOTHING });
}

/** Creates topics that do not exist yet. */
export async function createTopics(kafka: Kafka, topics: readonly string[], partitions: number): Promise<void> {
  const admin = kafka.admin();
  await admin.connect();
  try {
    await admin.createTopics({
      waitForLeaders: true,
      topics: topics.map((topic) => ({ topic, numPartitions: partitions, replicationFactor: 1 })),
    });
  } finally {
    await admin.disconnect();
  }
}

/** What the logs of these topics hold now. A topic that does not exist has no partitions. */
export async function logRanges(kafka: Kafka, topics: readonly string[]): Promise<LogRange[]> {
  const admin = kafka.admin();
  await admin.connect();
  try {
    const existing = new Set(await admin.listTopics());
    const ranges: LogRange[] = [];
    for (const topic of topics) {
      if (!existing.has(topic)) continue;
      for (const { partition, low, high } of await admin.fetchTopicOffsets(topic)) {
        ranges.push({ topic, partition, start: BigInt(low), end: BigInt(high) });
      }
    }
    return ranges;
  } finally {
    await admin.disconnect();
  }
}

/** A producer that puts records where it is told. */
export async function connectProducer(kafka: Kafka): Promise<Producer> {
  const producer = kafka.producer({
    createPartitioner: Partitioners.DefaultPartitioner,
    allowAutoTopicCreation: false,
  });
  await producer.connect();
  return producer;
}
