/**
 * The original records of dead letters: from the DLQ topic, or from their source topic where the copy has expired. A copy,
 * from wherever, counts only if its SHA-256 is that of the index (DESIGN §8).
 */
import type { Kafka } from 'kafkajs';
import { coordinatesOf, originalOf } from '../deadletter/dead-letter.ts';
import type { IndexedLetter } from '../deadletter/letter-index.ts';
import { hashOfRecord } from '../deadletter/record-hash.ts';
import type { SourceRecord } from '../decode/record.ts';
import { LockstepError } from '../shared/errors.ts';
import { readLog, type LogStretch } from './kafka/read-log.ts';

/**
 * A letter is produced before its index row is committed, and again when a batch is tried for long: its newest copy is
 * this much older than the row at most, and clocks differ.
 */
const BEFORE_INDEX_MS = 3_600_000;

interface TopicRange {
  readonly partition: number;
  readonly start: bigint;
  readonly end: bigint;
}

async function rangesOf(kafka: Kafka, topic: string): Promise<readonly TopicRange[]> {
  const admin = kafka.admin({ retry: { retries: 2, initialRetryTime: 100, maxRetryTime: 1_000 } });
  try {
    await admin.connect();
    if (!(await admin.listTopics()).includes(topic)) return [];
    const offsets = await admin.fetchTopicOffsets(topic);
    return offsets.map(({ partition, low, high }) => ({ partition, start: BigInt(low), end: BigInt(high) }));
  } catch (cause) {
    throw new LockstepError(`reading the offsets of ${topic}`, { code: 'KAFKA_UNAVAILABLE', kind: 'transient', cause });
  } finally {
    await admin.disconnect().catch(() => undefined);
  }
}

async function stretchesSince(kafka: Kafka, topic: string, fromMs: number): Promise<readonly LogStretch[]> {
  const ranges = await rangesOf(kafka, topic);
  if (ranges.length === 0) return [];
  const admin = kafka.admin({ retry: { retries: 2, initialRetryTime: 100, maxRetryTime: 1_000 } });
  try {
    await admin.connect();
    const starts = await admin.fetchTopicOffsetsByTimestamp(topic, fromMs);
    return ranges.map(({ partition, start, end }) => {
      const found = starts.find((each) => each.partition === partition)?.offset;
      const from = found === undefined || BigInt(found) < start ? start : BigInt(found);
      return { partition, from, to: end };
    });
  } catch (cause) {
    throw new LockstepError(`reading the offsets of ${topic}`, { code: 'KAFKA_UNAVAILABLE', kind: 'transient', cause });
  } finally {
    await admin.disconnect().catch(() => undefined);
  }
}

function isOriginal(letter: IndexedLetter, key: Buffer | null, value: Buffer | null): boolean {
  return hashOfRecord(key, value).equals(letter.sha256);
}

function sourceRecordOf(letter: IndexedLetter, from: Pick<SourceRecord, 'key' | 'value' | 'headers'>): SourceRecord {
  const { topic, partition } = letter.shard;
  return { topic, partition, offset: letter.offset, timestampMs: letter.recordMs, ...from };
}

/** Reads the original records of letters, a page at a time. */
export class LetterBytes {
  readonly #kafka: Kafka;
  readonly #dlqTopic: string;

  constructor(kafka: Kafka, dlqTopic: string) {
    this.#kafka = kafka;
    this.#dlqTopic = dlqTopic;
  }

  /** The records that could be found, by letter ID. What is not in the answer is gone everywhere. */
  async read(letters: readonly IndexedLetter[], signal: AbortSignal): Promise<ReadonlyMap<bigint, SourceRecord>> {
    const found = new Map<bigint, SourceRecord>();
    await this.#fromDlq(letters, found, signal);
    const missing = letters.filter(({ id }) => !found.has(id));
    for (const [topic, ofTopic] of Map.groupBy(missing, ({ shard }) => shard.topic)) {
      await this.#fromSource(topic, ofTopic, found, signal);
    }
    return found;
  }

  async #fromDlq(
    letters: readonly IndexedLetter[],
    found: Map<bigint, SourceRecord>,
    signal: AbortSignal,
  ): Promise<void> {
    const wanted = new Map(letters.map((letter) => [coordinatesOf(letter.shard, letter.offset), letter]));
    const oldest = Math.min(...letters.map(({ firstFailedMs }) => firstFailedMs));
    const stretches = await stretchesSince(this.#kafka, this.#dlqTopic, oldest - BEFORE_INDEX_MS);
    for await (const records of readLog(this.#kafka, this.#dlqTopic, stretches, signal)) {
      for (const record of records) {
        const letter = wanted.get(record.key?.toString() ?? '');
        if (letter === undefined) continue;
        const original = originalOf(record);
        if (isOriginal(letter, original.key, original.value)) found.set(letter.id, sourceRecordOf(letter, original));
      }
      if (found.size === letters.length) return;
    }
  }

  async #fromSource(
    topic: string,
    letters: readonly IndexedLetter[],
    found: Map<bigint, SourceRecord>,
    signal: AbortSignal,
  ): Promise<void> {
    const ranges = await rangesOf(this.#kafka, topic);
    const stretches = [...Map.groupBy(letters, ({ shard }) => shard.partition)].flatMap(([partition, own]) => {
      const range = ranges.find((each) => each.partition === partition);
      const kept = own.filter(({ offset }) => range !== undefined && offset >= range.start && offset < range.end);
      const offsets = kept.map(({ offset }) => offset).sort((a, b) => (a < b ? -1 : 1));
      const [first, last] = [offsets[0], offsets.at(-1)];
      return first === undefined || last === undefined ? [] : [{ partition, from: first, to: last + 1n }];
    });
    const wanted = new Map(letters.map((letter) => [`${letter.shard.partition}:${letter.offset}`, letter]));
    for await (const records of readLog(this.#kafka, topic, stretches, signal)) {
      for (const record of records) {
        const letter = wanted.get(`${record.partition}:${record.offset}`);
        // A topic that was created anew has other records at these offsets: the hash tells.
        if (letter !== undefined && isOriginal(letter, record.key, record.value)) found.set(letter.id, record);
      }
    }
  }
}
