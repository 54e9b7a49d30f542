/**
 * Copies positions to Kafka's group offsets, for tools that watch lag there. Truth is in PostgreSQL, so this is best
 * effort: the latest position per partition, once a second, one request at a time, failures forgotten.
 */
import type { Logger } from 'pino';
import { messageOf } from '../shared/errors.ts';
import { partitionKey } from './kafka/kafka-port.ts';
import type { TopicPartition } from './kafka/kafka-port.ts';

const FLUSH_MS = 1_000;

interface MirroredPosition {
  readonly topic: string;
  readonly partition: number;
  readonly offset: string;
}

export class PositionMirror {
  readonly #commit: (positions: MirroredPosition[]) => Promise<void>;
  readonly #logger: Logger;
  readonly #pending = new Map<string, MirroredPosition>();
  #assigned = new Set<string>();
  #timer: NodeJS.Timeout | null = null;
  #flushing = false;

  constructor(commit: (positions: MirroredPosition[]) => Promise<void>, logger: Logger) {
    this.#commit = commit;
    this.#logger = logger;
  }

  /** After a rebalance: what is not ours any more must not be committed. */
  keepOnly(partitions: readonly TopicPartition[]): void {
    this.#assigned = new Set(partitions.map(partitionKey));
    for (const key of this.#pending.keys()) if (!this.#assigned.has(key)) this.#pending.delete(key);
  }

  note({ topic, partition }: TopicPartition, next: bigint): void {
    const key = partitionKey({ topic, partition });
    if (!this.#assigned.has(key)) return;
    this.#pending.set(key, { topic, partition, offset: String(next) });
    this.#timer ??= setTimeout(() => void this.flush(), FLUSH_MS).unref();
  }

  /** Sends what is pending; never rejects. */
  async flush(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#flushing || this.#pending.size === 0) return;
    const positions = [...this.#pending.values()];
    this.#pending.clear();
    this.#flushing = true;
    try {
      await this.#commit(positions);
    } catch (error) {
      this.#logger.debug({ reason: messageOf(error) }, 'positions not mirrored to Kafka this time');
    } finally {
      this.#flushing = false;
      if (this.#pending.size > 0) this.#timer ??= setTimeout(() => void this.flush(), FLUSH_MS).unref();
    }
  }

  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#pending.clear();
  }
}
