/** What a shard worker is given and what it shows. */
import type { Logger } from 'pino';
import type { DeadLetterSink } from '../../deadletter/dlq-producer.ts';
import type { Clock } from '../../shared/clock.ts';
import type { Door, ShardId } from '../../target/batch.ts';
import type { BreakerReading, ShardNote } from '../../target/stores/shard-note.ts';
import type { ShardPosition } from '../../target/shard-store.ts';
import type { BreakerLimits } from './breaker.ts';
import type { ByteBudget } from '../byte-budget.ts';
import type { KafkaPort, LogRange, TopicPartition } from '../kafka/kafka-port.ts';
import type { ConsumeLimits } from '../limits.ts';
import type { ConsumeObserver } from '../observer.ts';
import type { Timers } from '../timers.ts';

/** What a worker shares with the other shards. */
export interface ShardWorkerContext {
  readonly kafka: KafkaPort;
  readonly door: Door;
  readonly deadLetters: DeadLetterSink;
  readonly breaker: BreakerLimits;
  readonly limits: ConsumeLimits;
  readonly observer: ConsumeObserver;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly budget: ByteBudget;
  readonly logger: Logger;
  /** Position and log range of a partition, claimed for this process. */
  readonly load: (partition: TopicPartition) => Promise<{ position: ShardPosition; range: LogRange }>;
  /** Writes the gap row; false where the position had moved. */
  readonly recordGap: (shard: ShardId, from: bigint, to: bigint, afterMs: number | null) => Promise<boolean>;
  /** True where the schema is being read again because of these unknown columns: the shard waits. */
  readonly schemaDoubt: (topic: string, columns: readonly string[]) => boolean;
  /** Notes another form of a topic's keys; records with such keys wait for it. */
  readonly noteKeyForm: (topic: string, form: string) => Promise<void>;
  readonly setState: (shard: ShardId, state: string, note: ShardNote) => Promise<void>;
}

/** What an operator sees of a shard. */
export interface ShardSnapshot {
  readonly topic: string;
  readonly partition: number;
  readonly table: string;
  readonly incarnation: number;
  /** `loading`, `verifying`, `running`, `retrying`, or the code that stopped it. */
  readonly state: string;
  readonly reason: string | null;
  /** Null until it was read. */
  readonly position: bigint | null;
  readonly logEnd: bigint | null;
  readonly owner: string | null;
  readonly epoch: bigint | null;
  /** Source time of the newest change committed since the start, ms. */
  readonly appliedSourceMs: number | null;
  readonly breaker: BreakerReading;
}
