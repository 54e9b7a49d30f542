/**
 * Whether the DLQ topic still has a letter's record, and for how long (pure). Kafka deletes by time and by size, a segment
 * at a time; a letter that is still open then has lost its copy, and only its source topic may help.
 */
import kafkajs from 'kafkajs';

/** What the log of the topic says of one of its partitions. */
export interface DlqPartition {
  readonly start: bigint;
  readonly end: bigint;
  /** Time of the oldest record that is kept, ms; null where nothing was deleted yet, or nothing is left. */
  readonly oldestMs: number | null;
}

export interface DlqTopicFacts {
  readonly topic: string;
  /** retention.ms; null = for ever. */
  readonly retentionMs: number | null;
  /** retention.bytes of each partition; null = no bound. */
  readonly retentionBytes: number | null;
  /** By number. */
  readonly partitions: readonly DlqPartition[];
}

/** `leaving`: less than a quarter of its time is left. */
export type Keeping = 'kept' | 'leaving' | 'gone';

export const KEEPINGS: readonly Keeping[] = ['kept', 'leaving', 'gone'];

/** A quarter of the usual month is a week: enough for somebody to look. */
export const LEAVING_AFTER_SHARE = 0.75;

const partitioner = kafkajs.Partitioners.DefaultPartitioner();

/** The partition that the DLQ's producer puts a key into. */
export function dlqPartitionOf(topic: string, key: string, partitions: number): number {
  const partitionMetadata = Array.from({ length: partitions }, (_, partitionId) => ({
    partitionId,
    partitionErrorCode: 0,
    leader: 0,
    replicas: [],
    isr: [],
  }));
  return partitioner({ topic, partitionMetadata, message: { key, value: null } });
}

/** Letters that failed before this moment are to be looked at one by one; all others are kept. Null: none is. */
export function suspectBefore(facts: DlqTopicFacts, nowMs: number): number | null {
  const times = facts.partitions.flatMap((partition) => {
    const before = deletedBefore(partition);
    return before === null ? [] : [before];
  });
  if (facts.retentionMs !== null) times.push(nowMs - facts.retentionMs * LEAVING_AFTER_SHARE);
  return times.length === 0 ? null : Math.max(...times);
}

/** Records of a partition from before this time are gone; null where none is. */
function deletedBefore({ start, end, oldestMs }: DlqPartition): number | null {
  if (start === 0n) return null;
  return start >= end ? Number.POSITIVE_INFINITY : oldestMs;
}

/**
 * What has become of one letter's record.
 *
 * @param key coordinates of the letter, which are its key in the topic.
 * @param firstFailedMs when it was set aside; its record is a moment older.
 */
export function keepingOf(facts: DlqTopicFacts, key: string, firstFailedMs: number, nowMs: number): Keeping {
  const partition = facts.partitions[dlqPartitionOf(facts.topic, key, facts.partitions.length)];
  const before = partition === undefined ? null : deletedBefore(partition);
  if (before !== null && firstFailedMs < before) return 'gone';
  if (facts.retentionMs === null) return 'kept';
  return nowMs - firstFailedMs > facts.retentionMs * LEAVING_AFTER_SHARE ? 'leaving' : 'kept';
}

/** Open letters by what has become of their records. */
export interface KeepingSummary {
  readonly topic: string;
  readonly retentionMs: number | null;
  /** Of all partitions together; null = no bound. */
  readonly retentionBytes: number | null;
  /** Records in the topic, those of settled letters included. */
  readonly records: number;
  /** Their bytes, estimated from the index, uncompressed. */
  readonly bytes: number;
  readonly open: number;
  readonly oldestOpenMs: number | null;
  readonly gone: LetterGroupOfKeeping;
  readonly leaving: LetterGroupOfKeeping;
  /** When the first of those that are leaving may go, ms; null where none is. */
  readonly firstLeavesMs: number | null;
}

export interface LetterGroupOfKeeping {
  readonly count: number;
  /** Some of them, the oldest. */
  readonly ids: readonly bigint[];
}

/** True where the size of the topic ends its records before their time. */
export function isNearlyFull({ bytes, retentionBytes }: KeepingSummary): boolean {
  return retentionBytes !== null && bytes > retentionBytes * LEAVING_AFTER_SHARE;
}
