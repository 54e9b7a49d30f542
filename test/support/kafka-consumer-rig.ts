/** A consumer on a Kafka and a target in memory, for tests that tell it step by step what happens. */
import pino from 'pino';
import { createConsumer } from '../../src/consume/consumer.ts';
import type { Consumer } from '../../src/consume/consumer.ts';
import type { ConsumeLimits } from '../../src/consume/limits.ts';
import { silentObserver } from '../../src/consume/observer.ts';
import type { DeadLetter } from '../../src/deadletter/dead-letter.ts';
import type { BreakerReading } from '../../src/target/stores/shard-note.ts';
import { FakeKafka } from './kafka-fake.ts';
import { MemoryTarget } from './kafka-memory-target.ts';
import { plainDecoder, TEST_TABLE } from './kafka-records.ts';
import { ManualTimers, settled } from './kafka-timers.ts';

export const TOPIC = 't';

export class ConsumerRig {
  readonly kafka = new FakeKafka();
  readonly target = new MemoryTarget();
  readonly timers = new ManualTimers();
  readonly produced: DeadLetter[] = [];
  readonly retried: string[] = [];
  readonly gaps: [bigint, bigint][] = [];
  /** Forms of record keys that were noted, with how many changes had been applied by then. */
  readonly keyForms: [string, number][] = [];
  readonly counts = { duplicates: 0, consumed: 0, deadLetters: 0 };
  maxInFlight = 0;
  inFlight = 0;
  failDlq: () => void = () => undefined;
  readonly stop = new AbortController();
  readonly consumer: Consumer;
  readonly running: Promise<void>;

  constructor(limits: Partial<ConsumeLimits> = {}, partitions = 1) {
    for (let partition = 0; partition < partitions; partition += 1) this.kafka.log(TOPIC, partition);
    this.consumer = createConsumer({
      kafka: this.kafka,
      door: this.target,
      store: this.target,
      topics: new Map([[TOPIC, { table: TEST_TABLE, decoder: plainDecoder }]]),
      deadLetters: {
        put: async (letters) => {
          this.failDlq();
          this.produced.push(...letters);
        },
        forget: () => undefined,
        close: async () => undefined,
      },
      breaker: { maxRatio: 0.5, minRecords: 20 },
      observer: {
        ...silentObserver,
        duplicates: (_table, count) => (this.counts.duplicates += count),
        recordsConsumed: (_topic, count) => (this.counts.consumed += count),
        deadLettered: (_table, _code, count) => (this.counts.deadLetters += count),
        retried: (code) => this.retried.push(code),
        gap: (_topic, _partition, from, to) => this.gaps.push([from, to]),
        bytesInFlight: (bytes) => {
          this.inFlight = bytes;
          this.maxInFlight = Math.max(this.maxInFlight, bytes);
        },
      },
      logger: pino({ level: 'silent' }),
      noteKeyForm: async (_topic, form) => {
        this.keyForms.push([form, this.target.changes]);
      },
      owner: 'test',
      limits: { logEndsMs: 1_000_000_000, ...limits },
      clock: { nowMs: () => this.timers.nowMs },
      timers: this.timers,
    });
    this.running = this.consumer.run(this.stop.signal);
  }

  /** Assigns the first partitions and lets them load. */
  async assign(partitions = 1): Promise<void> {
    this.kafka.assign(...Array.from({ length: partitions }, (_, partition) => ({ topic: TOPIC, partition })));
    await settled();
  }

  async poll(max?: bigint): Promise<void> {
    void this.kafka.poll(max).catch(() => undefined);
    await settled();
  }

  get next(): bigint {
    return this.target.next(TOPIC, 0);
  }

  get state(): string {
    return this.consumer.shards()[0]!.state;
  }

  get breaker(): BreakerReading {
    return this.consumer.shards()[0]!.breaker;
  }

  /** Offsets applied to the target, in order. */
  get applied(): bigint[] {
    return this.target.applied.get(`${TOPIC}/0`) ?? [];
  }

  async end(): Promise<void> {
    this.stop.abort();
    await settled();
    await this.running;
  }
}

export function values(count: number, from = 0): string[] {
  return Array.from({ length: count }, (_, i) => `v${from + i}`);
}
