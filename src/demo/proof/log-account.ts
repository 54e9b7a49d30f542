/** What the source topics hold: the account that the ledger is checked against. */
import type { Kafka } from 'kafkajs';
import { logRanges, type LogRange } from '../kafka/kafka.ts';
import { readRecords } from '../kafka/read-records.ts';
import { changeIdentity } from './envelope.ts';
import { recordHash } from './record-hash.ts';

/** One shard's log. */
export interface ShardAccount extends LogRange {
  /** In log order: offset, and which change it is; null for a record that is no event. */
  readonly records: readonly { readonly offset: bigint; readonly change: string | null }[];
}

/** All shards of the source topics. */
export interface LogAccount {
  readonly shards: readonly ShardAccount[];
  /** Records that are no events, by `topic:partition:offset`: SHA-256 over their bytes. */
  readonly foreign: ReadonlyMap<string, string>;
}

/** Coordinates as text, without the incarnation. */
export const coordinates = (topic: string, partition: number, offset: bigint | string): string =>
  `${topic}:${partition}:${offset}`;

/** Reads the source topics from their log start to their log end. */
export async function readLogAccount(
  kafka: Kafka,
  topics: readonly string[],
  signal?: AbortSignal,
): Promise<LogAccount> {
  const ranges = await logRanges(kafka, topics);
  const records = new Map(
    ranges.map(({ topic, partition }) => [`${topic}/${partition}`, [] as ShardAccount['records'][number][]]),
  );
  const foreign = new Map<string, string>();
  // One text per change, however often it was delivered.
  const known = new Map<string, string>();
  await readRecords(
    kafka,
    ranges,
    ({ topic, partition, offset, key, value }) => {
      const identity = changeIdentity(topic, key, value);
      if (identity === null) foreign.set(coordinates(topic, partition, offset), recordHash(key, value));
      else if (!known.has(identity)) known.set(identity, identity);
      records
        .get(`${topic}/${partition}`)
        ?.push({ offset, change: identity === null ? null : (known.get(identity) ?? identity) });
    },
    signal,
  );
  return {
    shards: ranges.map((range) => ({ ...range, records: records.get(`${range.topic}/${range.partition}`) ?? [] })),
    foreign,
  };
}
