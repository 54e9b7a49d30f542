/** The demo's own Kafka client: it shares nothing with the service's but the library. */
import kafkajs, { Kafka, logLevel, Partitioners, type Admin, type Producer } from 'kafkajs';
import { DemoError } from '../demo-error.ts';
import { pause, waitFor } from '../waiting.ts';

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

const LEADERS_LIMIT_MS = 30_000;
const NO_LEADERS = 'look at the log of Kafka in the directory of the stack';

async function haveLeaders(admin: Admin, topics: readonly string[]): Promise<boolean> {
  try {
    const metadata = await admin.fetchTopicMetadata({ topics: [...topics] });
    return metadata.topics.every(({ partitions }) => partitions.every(({ leader }) => leader >= 0));
  } catch (error) {
    if (error instanceof kafkajs.KafkaJSProtocolError && error.retriable) return false;
    throw error;
  }
}

/** Creates topics that do not exist yet. Rejects with a DemoError where they get no leaders. */
export async function createTopics(kafka: Kafka, topics: readonly string[], partitions: number): Promise<void> {
  const admin = kafka.admin();
  await admin.connect();
  try {
    await admin.createTopics({
      // kafkajs's own wait fails where the broker that it asks does not know the new topic yet.
      waitForLeaders: false,
      topics: topics.map((topic) => ({ topic, numPartitions: partitions, replicationFactor: 1 })),
    });
    const ready = await waitFor(() => haveLeaders(admin, topics), { limitMs: LEADERS_LIMIT_MS, everyMs: 100 });
    if (!ready) throw new DemoError('DEMO_KAFKA', `no leader for every partition of ${topics.join(', ')}`, NO_LEADERS);
  } finally {
    await admin.disconnect();
  }
}

/** A broker that was started again has no leaders for a moment, and kafkajs does not wait for them here. */
const RETRY_LIMIT_MS = 30_000;
const RETRY_MS = 250;

/** What the logs of these topics hold now. A topic that does not exist has no partitions. */
export async function logRanges(kafka: Kafka, topics: readonly string[]): Promise<LogRange[]> {
  const deadline = performance.now() + RETRY_LIMIT_MS;
  for (;;) {
    try {
      return await readLogRanges(kafka, topics);
    } catch (error) {
      const isPassing = error instanceof kafkajs.KafkaJSError && error.retriable;
      if (!isPassing || performance.now() >= deadline) throw error;
      await pause(RETRY_MS);
    }
  }
}

async function readLogRanges(kafka: Kafka, topics: readonly string[]): Promise<LogRange[]> {
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
