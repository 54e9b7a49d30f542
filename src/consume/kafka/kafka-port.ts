/**
 * What the consumer needs of Kafka, and nothing more. kafkajs is behind it (`kafkajs-consumer.ts`); tests put a fake there.
 *
 * The port promises little on purpose: batches may come from offsets nobody asked for, twice, or after a seek. The shard
 * state machine is what makes that harmless.
 */
import type { SourceRecord } from '../../decode/record.ts';

/** What one fetch brought for one partition. */
export interface FetchedBatch {
  readonly topic: string;
  readonly partition: number;
  /** The offset that was asked for: not the first record's, which compaction and control records move. */
  readonly fetchedOffset: bigint;
  /** Where the next fetch begins: last offset of the fetch + 1, control records and aborted ones included. */
  readonly next: bigint;
  /** One past the last record of the log, as the broker knew it. */
  readonly logEnd: bigint;
  /** Records that a reader of committed data sees; may be empty although `next` is past `fetchedOffset`. */
  readonly records: readonly SourceRecord[];
  /** Bytes of keys, values and headers. */
  readonly bytes: number;
  /** Set where what begins at `next` can't be unpacked (a decompression bomb, a damaged block). */
  readonly unreadable: Unreadable | null;
}

export interface Unreadable {
  readonly code: string;
  readonly message: string;
}

export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

/** Names a partition in maps and logs. */
export function partitionKey({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}

/** What the log of a partition holds: offsets in [start, end). */
export interface LogRange {
  readonly partition: number;
  readonly start: bigint;
  readonly end: bigint;
}

/** State of this member of the group, for people. */
export type GroupState =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'joined'; readonly partitions: number }
  /** Kafka can't be reached or threw us out; the next attempt comes by itself. */
  | { readonly kind: 'failing'; readonly reason: string; readonly attempt: number; readonly retryMs: number }
  | { readonly kind: 'stopped' };

/** What the group tells its user. */
export interface GroupHandler {
  /**
   * The complete assignment after every rebalance, before anything of it is fetched: `hold` called here is in time. The
   * same one again after a fetch that failed: the log may not be the one that it was, so it is to be compared anew.
   * Synchronous, because kafkajs waits for nobody.
   */
  onAssigned(partitions: readonly TopicPartition[]): void;
  /**
   * Takes over one batch. Until it resolves nothing more is fetched from this broker, which is the back-pressure; whoever
   * waits longer than a second must call `heartbeat` meanwhile and let its rejection (a rebalance) pass through.
   */
  onBatch(batch: FetchedBatch, heartbeat: () => Promise<void>): Promise<void>;
  onState(state: GroupState): void;
}

/** One member of a consumer group. */
export interface KafkaPort {
  /** Joins the group and stays in it through every failure until the signal aborts; resolves when it has left. */
  run(topics: readonly string[], handler: GroupHandler, signal: AbortSignal): Promise<void>;
  /** The next fetch of the partition begins at `offset`; also ends a `hold`. */
  seek(partition: TopicPartition, offset: bigint): void;
  /** Fetches nothing of the partition until the next seek. */
  hold(partition: TopicPartition): void;
  /** First and next offsets of every partition, in order of partition. */
  logRanges(topic: string): Promise<readonly LogRange[]>;
  /** Notes a position for lag tools. Returns at once; what the tools see may be a second late, or missing. */
  mirror(partition: TopicPartition, next: bigint): void;
  /** Closes what outlives `run` (the admin connection). */
  close(): Promise<void>;
}
