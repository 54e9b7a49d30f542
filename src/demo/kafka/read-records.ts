/** Reads stretches of Kafka logs to their ends, as an account of what is there. */
import { randomUUID } from 'node:crypto';
import type { Batch, Kafka, KafkaMessage } from 'kafkajs';
import { DemoError } from '../demo-error.ts';
import type { LogRange } from './kafka.ts';

/** A record as it lies in the log. */
export interface LogRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint;
  readonly timestampMs: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: KafkaMessage['headers'];
}

/** A broker that delivers nothing for this long has failed; the ranges are known to exist. */
const SILENCE_LIMIT_MS = 30_000;

const shardOf = (topic: string, partition: number): string => `${topic}/${partition}`;

/**
 * Hands over every record of the given ranges, each once, in order within a partition. Control records and offsets
 * that Kafka left out are not handed over.
 */
export async function readRecords(
  kafka: Kafka,
  ranges: readonly LogRange[],
  each: (record: LogRecord) => void,
  signal?: AbortSignal,
): Promise<void> {
  const wanted = ranges.filter(({ start, end }) => end > start);
  if (wanted.length === 0) return;
  /** Next offset to hand over, and where to end, by shard. */
  const open = new Map(
    wanted.map((range) => [shardOf(range.topic, range.partition), { next: range.start, end: range.end }]),
  );
  const groupId = `lockstep-demo-${randomUUID()}`;
  const consumer = kafka.consumer({
    groupId,
    maxWaitTimeInMs: 100,
    maxBytesPerPartition: 4 * 1024 * 1024,
    sessionTimeout: SILENCE_LIMIT_MS,
    allowAutoTopicCreation: false,
    // A broker that has just started is still loading its groups; SILENCE_LIMIT_MS ends what does not get better.
    retry: { retries: 5, restartOnFailure: () => Promise.resolve(true) },
  });
  await consumer.connect();
  let silence: NodeJS.Timeout | undefined;
  const onAbort = new AbortController();
  try {
    await consumer.subscribe({ topics: [...new Set(wanted.map(({ topic }) => topic))], fromBeginning: true });
    await new Promise<void>((resolve, reject) => {
      const heard = (): void => {
        clearTimeout(silence);
        silence = setTimeout(() => {
          reject(
            new DemoError(
              'DEMO_KAFKA',
              `Kafka delivered nothing for ${SILENCE_LIMIT_MS / 1000} s`,
              'Look at the log of Kafka in the stack directory.',
            ),
          );
        }, SILENCE_LIMIT_MS);
      };
      heard();
      signal?.addEventListener(
        'abort',
        () => {
          reject(signal.reason as Error);
        },
        { once: true, signal: onAbort.signal },
      );
      consumer.on(consumer.events.CRASH, ({ payload }) => {
        if (!payload.restart) reject(payload.error);
      });
      const running = consumer.run({
        autoCommit: false,
        eachBatchAutoResolve: false,
        partitionsConsumedConcurrently: 1,
        eachBatch: async (payload) => {
          const { batch } = payload;
          heard();
          const state = open.get(shardOf(batch.topic, batch.partition));
          if (state !== undefined) {
            for (const message of batch.messages) {
              const offset = BigInt(message.offset);
              // A seek lets batches from elsewhere through first; only what continues the range is taken.
              if (offset < state.next || offset >= state.end) continue;
              state.next = offset + 1n;
              each({
                topic: batch.topic,
                partition: batch.partition,
                offset,
                timestampMs: Number(message.timestamp),
                key: message.key,
                value: message.value,
                headers: message.headers,
              });
            }
            // Control records at the end are no messages, but they end the range all the same.
            const passed = BigInt(batch.lastOffset()) + 1n;
            const { fetchedOffset } = batch as Batch & { readonly fetchedOffset: string };
            const atPlace = BigInt(fetchedOffset) <= state.next;
            if (state.next >= state.end || (atPlace && passed >= state.end))
              open.delete(shardOf(batch.topic, batch.partition));
          }
          payload.resolveOffset(batch.lastOffset());
          if (open.size === 0) resolve();
        },
      });
      running.catch(reject);
      for (const { topic, partition, start } of wanted) {
        consumer.seek({ topic, partition, offset: String(start) });
      }
    });
  } finally {
    clearTimeout(silence);
    onAbort.abort();
    await consumer.disconnect();
    await forgetGroup(kafka, groupId);
  }
}

/** The group was only needed to read; nobody is to find it later. */
async function forgetGroup(kafka: Kafka, groupId: string): Promise<void> {
  const admin = kafka.admin();
  try {
    await admin.connect();
    await admin.deleteGroups([groupId]);
  } catch {
    // It expires by itself.
  } finally {
    await admin.disconnect();
  }
}
