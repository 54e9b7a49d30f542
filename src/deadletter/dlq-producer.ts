/**
 * Writes dead letters to the DLQ topic, before the transaction that indexes them (DESIGN §8).
 *
 * Once per coordinates: what was acknowledged is remembered until the transaction has committed, so a batch that is
 * tried again for hours produces nothing again. A copy without an index row is no dead letter, so a crash between the
 * two does no harm; the second copy has the same key and compaction removes the first.
 */
import type { Kafka, Producer } from 'kafkajs';
import kafkajs from 'kafkajs';
import { LRUCache } from 'lru-cache';
import { LockstepError, messageOf } from '../shared/errors.ts';
import { coordinatesOf, deadLetterRecord } from './dead-letter.ts';
import type { DeadLetter, DeadLetterOrigin, DeadLetterRecord } from './dead-letter.ts';

/** Where dead letters go. `put` resolves when every in-sync replica has all of them. */
export interface DeadLetterSink {
  /** Rejects with a LockstepError: `transient` (try again) or `batch` (the shard must stop). */
  put(letters: readonly DeadLetter[]): Promise<void>;
  /** The letters' transaction has committed, or they were dropped: their coordinates need not be remembered. */
  forget(letters: readonly DeadLetter[]): void;
  close(): Promise<void>;
}

export interface DlqProducerOptions {
  readonly kafka: Kafka;
  readonly topic: string;
  readonly origin: DeadLetterOrigin;
}

/** Records are sent in groups of about this size, because a request is refused as a whole when it is too large. */
const REQUEST_BYTES = 512 * 1024;
const COMPRESSED_FROM_BYTES = 16 * 1024;
/** A broker that does not answer for this long is reported as a transient error; the shard goes on trying. */
const SEND_TIMEOUT_MS = 10_000;
/** More coordinates than any set of batches in flight can hold; beyond it the oldest are produced again, harmlessly. */
const MAX_REMEMBERED = 100_000;

/** kafkajs errors carry the broker's code in `type`, possibly under a retry wrapper. */
function brokerCode(error: unknown): string | null {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const { type } = cause as Error & { type?: unknown };
    if (typeof type === 'string') return type;
  }
  return null;
}

function classify(error: unknown, topic: string): LockstepError {
  const code = brokerCode(error);
  const action = `writing dead letters to ${topic}`;
  switch (code) {
    case 'MESSAGE_TOO_LARGE':
    case 'RECORD_LIST_TOO_LARGE':
      return new LockstepError(`${action}: a record is larger than the topic takes`, {
        code: 'DLQ_RECORD_TOO_LARGE',
        kind: 'batch',
        remedy: `Raise max.message.bytes of ${topic} to the source topic's + 64 kB (lockstep doctor says how much).`,
        cause: error,
      });
    case 'TOPIC_AUTHORIZATION_FAILED':
    case 'CLUSTER_AUTHORIZATION_FAILED':
      return new LockstepError(`${action}: not authorised`, {
        code: 'DLQ_NOT_AUTHORIZED',
        kind: 'batch',
        remedy: `Grant WRITE and DESCRIBE on ${topic} and IDEMPOTENT_WRITE on the cluster.`,
        cause: error,
      });
    case 'UNKNOWN_TOPIC_OR_PARTITION':
      return new LockstepError(`${action}: the topic does not exist`, {
        code: 'DLQ_TOPIC_MISSING',
        kind: 'batch',
        remedy: `Create ${topic} with cleanup.policy=compact,delete; a restart of lockstep run does it too.`,
        cause: error,
      });
    default:
      return new LockstepError(`${action}: ${messageOf(error)}`, {
        code: 'DLQ_UNAVAILABLE',
        kind: 'transient',
        cause: error,
      });
  }
}

function sizeOf(record: DeadLetterRecord): number {
  let bytes = record.value.length + record.key.length;
  for (const value of Object.values(record.headers)) bytes += Array.isArray(value) ? 0 : value.length;
  return bytes;
}

/**
 * Compressed, because the broker measures the compressed batch and the source's record came compressed too; but not a few
 * small ones, which fit every topic: zlib takes half a millisecond of CPU for each batch, whatever its size.
 */
function compressionOf(group: readonly DeadLetterRecord[]): kafkajs.CompressionTypes {
  const bytes = group.reduce((sum, record) => sum + sizeOf(record), 0);
  return bytes < COMPRESSED_FROM_BYTES ? kafkajs.CompressionTypes.None : kafkajs.CompressionTypes.GZIP;
}

function groupsOf(records: readonly DeadLetterRecord[]): DeadLetterRecord[][] {
  const groups: DeadLetterRecord[][] = [];
  let bytes = Infinity;
  for (const record of records) {
    const size = sizeOf(record);
    if (bytes + size > REQUEST_BYTES) {
      groups.push([]);
      bytes = 0;
    }
    groups.at(-1)?.push(record);
    bytes += size;
  }
  return groups;
}

/** The DLQ producer over kafkajs. Connects on first use. */
export function createDlqProducer(options: DlqProducerOptions): DeadLetterSink {
  const { kafka, topic, origin } = options;
  const remembered = new LRUCache<string, true>({ max: MAX_REMEMBERED });
  let producer: Promise<Producer> | null = null;

  async function connect(): Promise<Producer> {
    const fresh = kafka.producer({
      idempotent: true,
      createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
      maxInFlightRequests: 1,
      allowAutoTopicCreation: false,
      retry: { retries: 3, initialRetryTime: 100, maxRetryTime: 2_000 },
    });
    await fresh.connect();
    return fresh;
  }

  /** An idempotent producer whose send failed may have lost its sequence; a new one is cheap, and copies do no harm. */
  async function discard(): Promise<void> {
    const old = producer;
    producer = null;
    const connected = await old?.catch(() => null);
    await connected?.disconnect().catch(() => undefined);
  }

  return {
    async put(letters) {
      const fresh = letters.filter((letter) => !remembered.has(coordinatesOf(letter.shard, letter.record.offset)));
      if (fresh.length === 0) return;
      for (const group of groupsOf(fresh.map((letter) => deadLetterRecord(letter, origin)))) {
        try {
          producer ??= connect();
          const connected = await producer;
          await connected.send({
            topic,
            messages: group,
            acks: -1,
            timeout: SEND_TIMEOUT_MS,
            compression: compressionOf(group),
          });
        } catch (error) {
          await discard();
          throw classify(error, topic);
        }
        for (const record of group) remembered.set(record.key, true);
      }
    },
    forget(letters) {
      for (const letter of letters) remembered.delete(coordinatesOf(letter.shard, letter.record.offset));
    },
    close: discard,
  };
}
