/** Delivers records again, out of order: what a connector does after a crash, made worse on purpose. */
import type { Kafka, Producer } from 'kafkajs';
import { logRanges, type LogRange } from '../kafka/kafka.ts';
import { readRecords, type LogRecord } from '../kafka/read-records.ts';
import { shuffled, type Random } from '../workload/random.ts';

/** Takes up to `count` records before the end of each log, or before an earlier end that is given by `skip`. */
function tails(ranges: readonly LogRange[], count: number, skip: number): LogRange[] {
  return ranges.map((range) => {
    const end = range.end - BigInt(skip) > range.start ? range.end - BigInt(skip) : range.end;
    const start = end - BigInt(count);
    return { ...range, end, start: start > range.start ? start : range.start };
  });
}

/** What to deliver again. */
export interface RedeliveryOptions {
  readonly kafka: Kafka;
  readonly producer: Producer;
  readonly topics: readonly string[];
  readonly random: Random;
  /** Records of each partition at most. */
  readonly perPartition: number;
  /** Newest records of each partition to leave out, so that older ones come after newer ones. */
  readonly skipNewest: number;
  readonly signal?: AbortSignal;
}

/** Reads the records and produces them again, shuffled, to the partitions they came from. Returns how many. */
export async function redeliver(options: RedeliveryOptions): Promise<number> {
  const { kafka, producer, topics, random, perPartition, skipNewest, signal } = options;
  const records: LogRecord[] = [];
  const ranges = tails(await logRanges(kafka, topics), perPartition, skipNewest);
  await readRecords(kafka, ranges, (record) => records.push(record), signal);
  // A poison record is injected once; delivering it again would be a second one.
  const events = records.filter(({ key, value }) => key !== null && value?.[0] === 0x7b);
  await producer.sendBatch({
    topicMessages: topics.map((topic) => ({
      topic,
      messages: shuffled(
        random,
        events.filter((record) => record.topic === topic),
      ).map((record) => ({
        key: record.key,
        value: record.value,
        partition: record.partition,
        timestamp: String(record.timestampMs),
        ...(record.headers === undefined ? {} : { headers: record.headers }),
      })),
    })),
  });
  return events.length;
}
