/** Asks Kafka and the index which open letters' records the DLQ topic still has. */
import type { Kafka } from 'kafkajs';
import kafkajs from 'kafkajs';
import { logRangesOf } from '../../consume/kafka/log-ranges.ts';
import { readLog } from '../../consume/kafka/read-log.ts';
import { coordinatesOf } from '../../deadletter/dead-letter.ts';
import { letterFilter, type LetterFilter, type LetterStatus } from '../../deadletter/letter-filter.ts';
import type { LetterIndex } from '../../deadletter/letter-index.ts';
import {
  keepingOf,
  suspectBefore,
  type DlqPartition,
  type DlqTopicFacts,
  type KeepingSummary,
} from '../../deadletter/letter-keeping.ts';

const PAGE_LETTERS = 1_000;
/** Suspects looked at; what is beyond is not counted. */
const MAX_SUSPECTS = 100_000;
/** IDs that are named. */
const NAMED = 20;
/** Headers of a letter beside its value: our own are about this much. */
const HEADER_BYTES = 700;
const OPEN: readonly LetterStatus[] = ['pending', 'waiting'];

export interface DlqKeepingOptions {
  readonly kafka: Kafka;
  readonly topic: string;
  readonly index: LetterIndex;
}

/** Null where the topic does not exist. Rejects with what kafkajs throws. */
async function factsOf(kafka: Kafka, topic: string, signal: AbortSignal): Promise<DlqTopicFacts | null> {
  const admin = kafka.admin();
  try {
    await admin.connect();
    if (!(await admin.listTopics()).includes(topic)) return null;
    const { resources } = await admin.describeConfigs({
      includeSynonyms: false,
      resources: [
        { type: kafkajs.ConfigResourceTypes.TOPIC, name: topic, configNames: ['retention.ms', 'retention.bytes'] },
      ],
    });
    const settings = new Map(
      resources.flatMap(({ configEntries }) => configEntries.map((e) => [e.configName, Number(e.configValue)])),
    );
    const bound = (name: string): number | null => {
      const value = settings.get(name) ?? -1;
      return value < 0 ? null : value;
    };
    const ranges = await logRangesOf(admin, topic);
    const oldest = await oldestTimes(kafka, topic, ranges, signal);
    const partitions = ranges.map(({ start, end }, number): DlqPartition => ({
      start,
      end,
      oldestMs: oldest.get(number) ?? null,
    }));
    return { topic, retentionMs: bound('retention.ms'), retentionBytes: bound('retention.bytes'), partitions };
  } finally {
    await admin.disconnect().catch(() => undefined);
  }
}

/** Time of the first record of each partition of which something was deleted. */
async function oldestTimes(
  kafka: Kafka,
  topic: string,
  ranges: readonly { readonly start: bigint; readonly end: bigint }[],
  signal: AbortSignal,
): Promise<ReadonlyMap<number, number>> {
  const stretches = ranges.flatMap(({ start, end }, partition) =>
    start > 0n && end > start ? [{ partition, from: start, to: end }] : [],
  );
  const times = new Map<number, number>();
  for await (const records of readLog(kafka, topic, stretches, signal)) {
    for (const { partition, timestampMs } of records) {
      times.set(partition, Math.min(timestampMs, times.get(partition) ?? Number.POSITIVE_INFINITY));
    }
    if (times.size === stretches.length) break;
  }
  return times;
}

/**
 * What the topic still has of the open letters that a filter lets through; null where there is no topic. Costs one small
 * query while nothing is near its end.
 */
export async function keepingSummary(
  { kafka, topic, index }: DlqKeepingOptions,
  filter: LetterFilter,
  nowMs: number,
  signal: AbortSignal,
): Promise<KeepingSummary | null> {
  const facts = await factsOf(kafka, topic, signal);
  if (facts === null) return null;
  const { open, oldestMs, averageBytes } = await index.openLetters(filter);
  const records = facts.partitions.reduce((sum, { start, end }) => sum + Number(end - start), 0);
  const found = { gone: [] as bigint[], leaving: [] as bigint[] };
  const counts = { gone: 0, leaving: 0 };
  let firstLeavesMs: number | null = null;
  const before = open === 0 ? null : suspectBefore(facts, nowMs);
  if (before !== null) {
    for await (const letter of suspects(index, filter, before)) {
      const key = coordinatesOf(letter.shard, letter.offset);
      const keeping = keepingOf(facts, key, letter.firstFailedMs, nowMs);
      if (keeping === 'kept') continue;
      counts[keeping] += 1;
      if (found[keeping].length < NAMED) found[keeping].push(letter.id);
      if (keeping === 'leaving' && facts.retentionMs !== null) {
        const leavesMs = letter.firstFailedMs + facts.retentionMs;
        firstLeavesMs = Math.min(leavesMs, firstLeavesMs ?? leavesMs);
      }
    }
  }
  return {
    topic,
    retentionMs: facts.retentionMs,
    retentionBytes: facts.retentionBytes === null ? null : facts.retentionBytes * facts.partitions.length,
    records,
    bytes: Math.round(records * (averageBytes + HEADER_BYTES)),
    open,
    oldestOpenMs: oldestMs,
    gone: { count: counts.gone, ids: found.gone },
    leaving: { count: counts.leaving, ids: found.leaving },
    firstLeavesMs,
  };
}

async function* suspects(index: LetterIndex, filter: LetterFilter, beforeMs: number) {
  let looked = 0;
  for (const status of OPEN) {
    if (filter.status !== undefined && filter.status !== status) continue;
    const toMs = Math.min(filter.toMs ?? Number.POSITIVE_INFINITY, beforeMs);
    const narrowed = letterFilter({ ...filter, status, toMs: Number.isFinite(toMs) ? toMs : undefined });
    let after = 0n;
    while (looked < MAX_SUSPECTS) {
      const page = await index.page(narrowed, after, PAGE_LETTERS);
      const last = page.at(-1);
      if (last === undefined) break;
      yield* page;
      looked += page.length;
      after = last.id;
    }
  }
}
