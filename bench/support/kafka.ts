/** A Kafka of our own for one run, its topics, and the backlog that is produced before anything is measured. */
import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import kafkajs, { type Kafka, type Producer } from 'kafkajs';
import { openStack } from '../../src/stack/index.ts';
import { choosePorts } from '../../src/stack/native/ports.ts';
import { pollUntil } from '../../src/stack/poll.ts';
import { writeState } from '../../src/stack/native/state-file.ts';
import type { BenchEvent } from './events.ts';
import type { OrderChange, Workload } from './orders.ts';

/**
 * Records of one partition in one produce request, so of one record batch in the log: 16 of 0.9 kB fill the 16 KiB after
 * which the capture agent's producer sends. Larger batches than any agent writes would flatter consumers (less framing)
 * and harm those with small fetches (a fetch ends with a whole batch).
 */
const RECORDS_PER_BATCH = 16;
/** Produce requests in flight: generating the next one overlaps the broker's work. */

/** A broker on a busy machine takes its time to elect leaders. */
const TOPIC_LIMIT_MS = 60_000;

export interface BenchKafka {
  readonly broker: string;
  readonly client: Kafka;
  stop(): Promise<void>;
}

/** Starts a broker in `dir`. It dies with this process, however that ends (the stack's guardian sees to it). */
export async function startKafka(dir: string): Promise<BenchKafka> {
  await mkdir(dir, { recursive: true });
  // The stack starts a single part only where it has been up before: so it has, with nothing running.
  await writeState(dir, {
    version: 1,
    provider: 'native',
    ports: await choosePorts({}, new Set()),
    postgresPassword: 'unused',
    postgresDataDir: join(dir, 'postgres'),
    kafkaClusterId: Buffer.concat([Buffer.from([0]), randomBytes(15)]).toString('base64url'),
    parts: {},
  });
  const stack = await openStack({ provider: 'native', dir });
  await stack.startPart('kafka');
  const [broker = ''] = stack.endpoints().kafka.brokers;
  // What goes wrong is thrown; its log only repeats what was tried again (a new topic has no leader for a moment).
  const client = new kafkajs.Kafka({ brokers: [broker], clientId: 'bench', logLevel: kafkajs.logLevel.NOTHING });
  return { broker, client, stop: () => stack.destroy() };
}

/** A broker that somebody else starts and stops. */
export function attachKafka(brokers: readonly string[]): BenchKafka {
  const client = new kafkajs.Kafka({ brokers: [...brokers], clientId: 'bench', logLevel: kafkajs.logLevel.NOTHING });
  return { broker: brokers[0] ?? '', client, stop: () => Promise.resolve() };
}

/** Creates a topic whose records are stamped by the broker when it appends them: what latency is measured from. */
export async function createTopic(kafka: BenchKafka, topic: string, partitions: number): Promise<void> {
  const admin = kafka.client.admin();
  await admin.connect();
  try {
    await admin.createTopics({
      // kafkajs would wait, but gives up when the broker does not know its new topic yet.
      waitForLeaders: false,
      timeout: TOPIC_LIMIT_MS,
      topics: [
        {
          topic,
          numPartitions: partitions,
          replicationFactor: 1,
          configEntries: [{ name: 'message.timestamp.type', value: 'LogAppendTime' }],
        },
      ],
    });
    const ready = async (): Promise<true | undefined> => {
      const metadata = await admin.fetchTopicMetadata({ topics: [topic] }).catch(() => null);
      const led = metadata?.topics[0]?.partitions.filter(({ leader }) => leader >= 0) ?? [];
      return led.length === partitions ? true : undefined;
    };
    if (!(await pollUntil(ready, { limitMs: TOPIC_LIMIT_MS, everyMs: 100 }))) {
      throw new Error(`${topic} has no leaders after ${TOPIC_LIMIT_MS / 1000} s`);
    }
  } finally {
    await admin.disconnect();
  }
}

/** Gives the disk and the page cache back before the next applier's turn. */
export async function deleteTopic(kafka: BenchKafka, topic: string): Promise<void> {
  const admin = kafka.client.admin();
  await admin.connect();
  await admin.deleteTopics({ topics: [topic] }).finally(() => admin.disconnect());
}

/** `idempotent`: no send leaves records twice, and each waits for the answer to the one before. */
export async function connectProducer(kafka: BenchKafka, idempotent = false): Promise<Producer> {
  const producer = kafka.client.producer({
    createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
    ...(idempotent ? { idempotent, maxInFlightRequests: 1 } : {}),
  });
  await producer.connect();
  return producer;
}

/** The partition that Kafka's default partitioner gives a key (murmur2), known before sending. */
export function partitionerFor(topic: string, partitions: number): (key: string) => number {
  const choose = kafkajs.Partitioners.DefaultPartitioner();
  const partitionMetadata = Array.from({ length: partitions }, (_, partitionId) => ({
    partitionId,
    partitionErrorCode: 0,
    leader: 1,
    replicas: [1],
    isr: [1],
  }));
  return (key) => choose({ topic, partitionMetadata, message: { key, value: null } });
}

/** What was produced: enough to know when all of it has been applied. */
export interface Backlog {
  readonly topic: string;
  /** Log end of each partition. */
  readonly ends: readonly number[];
  /** The last change of each partition. */
  readonly last: readonly OrderChange[];
  readonly meanBytes: number;
}

/** Records that are there twice though the producer is idempotent. */
export class SentTwice extends Error {}

/** Figures and counts of a run with records that are there twice would be void. */
async function checkLogEnds(kafka: BenchKafka, topic: string, ends: readonly number[]): Promise<void> {
  const admin = kafka.client.admin();
  await admin.connect();
  const found = await admin.fetchTopicOffsets(topic).finally(() => admin.disconnect());
  for (const { partition, high } of found) {
    if (Number(high) === ends[partition]) continue;
    throw new SentTwice(`${topic}/${partition} holds ${high} records instead of ${ends[partition]}: sent twice`);
  }
}

/** Produces the whole workload, uncompressed, before anyone consumes it. */
export async function produceBacklog(
  kafka: BenchKafka,
  topic: string,
  partitions: number,
  workload: Workload,
  eventOf: (change: OrderChange) => BenchEvent,
): Promise<Backlog> {
  await createTopic(kafka, topic, partitions);
  const partitionOf = partitionerFor(topic, partitions);
  const producer = await connectProducer(kafka, true);
  const ends = new Array<number>(partitions).fill(0);
  const last = new Map<number, OrderChange>();
  let messages: { key: string; value: string; partition: number }[] = [];
  let bytes = 0;
  let count = 0;
  const send = async (): Promise<void> => {
    await producer.send({ topic, acks: -1, messages });
    messages = [];
  };
  try {
    for (const change of workload.changes()) {
      const event = eventOf(change);
      const partition = partitionOf(event.key);
      messages.push({ ...event, partition });
      ends[partition] = (ends[partition] ?? 0) + 1;
      last.set(partition, change);
      bytes += event.key.length + event.value.length;
      count += 1;
      if (messages.length === RECORDS_PER_BATCH * partitions) await send();
    }
    if (messages.length > 0) await send();
  } finally {
    await producer.disconnect();
  }
  await checkLogEnds(kafka, topic, ends);
  return { topic, ends, last: [...last.values()], meanBytes: Math.round(bytes / count) };
}
