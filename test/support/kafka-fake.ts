/**
 * A Kafka in memory behind the consumer's port, as careless as the real one: it starts where it likes, an offset out of
 * range falls back to the log start, and nothing is fetched unless the test polls.
 */
import type { SourceRecord } from '../../src/decode/record.ts';
import { partitionKey } from '../../src/consume/kafka/kafka-port.ts';
import type {
  FetchedBatch,
  GroupHandler,
  KafkaPort,
  LogRange,
  TopicPartition,
} from '../../src/consume/kafka/kafka-port.ts';

interface Log {
  start: bigint;
  end: bigint;
  records: SourceRecord[];
}

export const FAKE_TIME_MS = 1_700_000_000_000;

export class FakeKafka implements KafkaPort {
  readonly logs = new Map<string, Log>();
  readonly #cursors = new Map<string, bigint>();
  readonly #held = new Set<string>();
  assigned: TopicPartition[] = [];
  handler: GroupHandler | null = null;
  readonly mirrored = new Map<string, bigint>();
  readonly seeks: bigint[] = [];
  left = false;
  heartbeats = 0;
  heartbeat: () => Promise<void> = async () => {
    this.heartbeats += 1;
  };
  failRanges: Error | null = null;
  rangeCalls = 0;

  log(topic: string, partition: number): Log {
    const key = partitionKey({ topic, partition });
    let log = this.logs.get(key);
    if (log === undefined) {
      log = { start: 0n, end: 0n, records: [] };
      this.logs.set(key, log);
    }
    return log;
  }

  append(topic: string, partition: number, ...values: (string | null)[]): void {
    const log = this.log(topic, partition);
    for (const value of values) {
      log.records.push({
        topic,
        partition,
        offset: log.end,
        timestampMs: FAKE_TIME_MS,
        key: Buffer.from(`k${log.end}`),
        value: value === null ? null : Buffer.from(value),
        headers: {},
      });
      log.end += 1n;
    }
  }

  /** A transaction marker: takes an offset, is delivered to nobody. */
  appendControl(topic: string, partition: number): void {
    this.log(topic, partition).end += 1n;
  }

  deleteBefore(topic: string, partition: number, offset: bigint): void {
    const log = this.log(topic, partition);
    log.start = offset;
    log.records = log.records.filter((record) => record.offset >= offset);
  }

  recreate(topic: string, partition: number): void {
    this.logs.set(partitionKey({ topic, partition }), { start: 0n, end: 0n, records: [] });
  }

  run(_topics: readonly string[], handler: GroupHandler, signal: AbortSignal): Promise<void> {
    this.handler = handler;
    return new Promise((resolve) => {
      signal.addEventListener('abort', () => {
        this.left = true;
        resolve();
      });
    });
  }

  assign(...partitions: TopicPartition[]): void {
    this.assigned = partitions;
    this.handler!.onAssigned(partitions);
  }

  seek(partition: TopicPartition, offset: bigint): void {
    this.seeks.push(offset);
    this.#cursors.set(partitionKey(partition), offset);
    this.#held.delete(partitionKey(partition));
  }

  hold(partition: TopicPartition): void {
    this.#held.add(partitionKey(partition));
  }

  isHeld(topic: string, partition: number): boolean {
    return this.#held.has(partitionKey({ topic, partition }));
  }

  async logRanges(topic: string): Promise<readonly LogRange[]> {
    this.rangeCalls += 1;
    if (this.failRanges !== null) throw this.failRanges;
    return [...this.logs]
      .filter(([key]) => key.startsWith(`${topic}/`))
      .map(([key, { start, end }]) => ({ partition: Number(key.split('/')[1]), start, end }))
      .sort((a, b) => a.partition - b.partition);
  }

  mirror(partition: TopicPartition, next: bigint): void {
    this.mirrored.set(partitionKey(partition), next);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** What a fetch at an offset brings, at most `max` offsets of it. */
  batchAt(topic: string, partition: number, fetchedOffset: bigint, max = 1_000n): FetchedBatch {
    const log = this.log(topic, partition);
    const next = fetchedOffset + max < log.end ? fetchedOffset + max : log.end;
    const records = log.records.filter(({ offset }) => offset >= fetchedOffset && offset < next);
    const bytes = records.reduce((sum, { key, value }) => sum + (key?.length ?? 0) + (value?.length ?? 0), 0);
    return { topic, partition, fetchedOffset, next, logEnd: log.end, records, bytes, unreadable: null };
  }

  deliver(batch: FetchedBatch): Promise<void> {
    return this.handler!.onBatch(batch, () => this.heartbeat());
  }

  /** One fetch of every assigned partition that is not held; resolves when all are handed over. */
  async poll(max = 1_000n): Promise<void> {
    await Promise.all(
      this.assigned.map(async ({ topic, partition }) => {
        const key = partitionKey({ topic, partition });
        if (this.#held.has(key)) return;
        const log = this.log(topic, partition);
        let cursor = this.#cursors.get(key) ?? log.start;
        if (cursor < log.start || cursor > log.end) cursor = log.start; // auto.offset.reset=earliest
        if (cursor === log.end) return;
        const batch = this.batchAt(topic, partition, cursor, max);
        this.#cursors.set(key, batch.next);
        await this.deliver(batch);
      }),
    );
  }
}
