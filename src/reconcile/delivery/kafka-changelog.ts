/**
 * The topic itself as a changelog, read by time: proof that nothing which reached Kafka was passed over. It can't know
 * what the capture lost before Kafka; the changelog table in the source does.
 */
import type { Kafka } from 'kafkajs';
import { identify } from '../../change/change-id.ts';
import { readLog, type LogStretch } from '../../consume/index.ts';
import type { Decoder } from '../../decode/record.ts';
import { LockstepError } from '../../shared/errors.ts';
import type { Changelog, ChangelogEntry } from './changelog.ts';
import { idRangeOf } from './window.ts';

export interface KafkaChangelogOptions {
  readonly kafka: Kafka;
  /** Topic of a table, and the decoder by which its shards read it at this moment. */
  readonly topicOf: (table: string) => { readonly topic: string; readonly decoder: Decoder } | null;
  /**
   * How far clocks of source, capture and broker may be apart, ms: records from this long before the window are read
   * too. A write whose time was set by hand further in the future is not seen in its window; the ledger counts it
   * as unexpected there.
   */
  readonly skewMs: number;
  /** How long after the window its records may have come, ms. Later ones are found by no window that is read by time. */
  readonly latenessMs: number;
}

async function stretchesOf(kafka: Kafka, topic: string, fromMs: number, toMs: number): Promise<LogStretch[]> {
  const admin = kafka.admin({ retry: { retries: 2, initialRetryTime: 100, maxRetryTime: 1_000 } });
  try {
    await admin.connect();
    const [ranges, starts, ends] = await Promise.all([
      admin.fetchTopicOffsets(topic),
      admin.fetchTopicOffsetsByTimestamp(topic, fromMs),
      admin.fetchTopicOffsetsByTimestamp(topic, toMs),
    ]);
    const at = (offsets: typeof starts, partition: number): bigint | null => {
      const found = offsets.find((each) => each.partition === partition)?.offset;
      return found === undefined || BigInt(found) < 0n ? null : BigInt(found);
    };
    return ranges.map(({ partition, high }) => ({
      partition,
      from: at(starts, partition) ?? BigInt(high),
      to: at(ends, partition) ?? BigInt(high),
    }));
  } catch (cause) {
    throw new LockstepError(`looking for the offsets of ${topic} by time`, {
      code: 'KAFKA_UNAVAILABLE',
      kind: 'transient',
      cause,
    });
  } finally {
    await admin.disconnect().catch(() => undefined);
  }
}

/**
 * A changelog over the tables' own topics. Records that can't be read are left out: they have no change ID, and dead letters
 * account for them.
 */
export function kafkaChangelog(options: KafkaChangelogOptions): Changelog {
  const { kafka, topicOf, skewMs, latenessMs } = options;
  return {
    name: 'kafka',
    async *read(table, window, signal) {
      const source = topicOf(table);
      if (source === null) {
        throw new LockstepError(`no topic is known of ${table}`, { code: 'BUG_UNBOUND_TABLE', kind: 'bug' });
      }
      const { topic, decoder } = source;
      const { from, to } = idRangeOf(window);
      const stretches = await stretchesOf(kafka, topic, window.startMs - skewMs, window.endMs + latenessMs);
      for await (const records of readLog(kafka, topic, stretches, signal)) {
        const page: ChangelogEntry[] = [];
        for (const record of records) {
          const decoded = decoder.decode(record);
          if (decoded.kind === 'skipped' || decoded.change === undefined) continue;
          const { id } = identify(decoded.change, decoded.contents ?? null);
          if (id >= from && id < to) page.push({ id, evidence: { kind: 'record', record } });
        }
        if (page.length > 0) yield page;
      }
    },
  };
}
