/**
 * Kafka behind the consumer's port, as careless as the real one: what was fetched before a seek is delivered after it,
 * members hear of a rebalance one after the other and some late, and a heartbeat says so by failing.
 */
import {
  type FetchedBatch,
  type GroupHandler,
  type KafkaPort,
  type LogRange,
  type TopicPartition,
} from '../../src/consume/kafka/kafka-port.ts';
import type { SourceRecord } from '../../src/decode/record.ts';
import type { Mutation } from '../model/mutation.ts';
import type { Scheduler } from './scheduler.ts';

/** A record with what the simulation knows of it. */
export interface LogRecord {
  readonly record: SourceRecord;
  /** The statement that it tells of; null of garbage and of Kafka tombstones. */
  readonly mutation: Mutation | null;
  /** `never`: nothing can make it apply. `nothing`: a Kafka tombstone. */
  readonly fate: 'applies' | 'never' | 'nothing';
}

export interface PartitionLog {
  readonly records: LogRecord[];
  end: bigint;
}

const MAX_FETCHED = 6;
/** How long a producer goes on with the number of partitions that it knows, ms. */
export const METADATA_AGE_MS = 700;

export class SimulatedKafka {
  readonly topic: string;
  readonly logs: PartitionLog[];
  /** How many partitions there were before the last was added, and when the service noted that: null until it did. */
  #grown: { readonly before: number; notedAtMs: number | null } | null = null;
  readonly scheduler: Scheduler;
  readonly members: Member[] = [];
  /** What the coordinator has decided; members hear of it in their own time. */
  #assignment = new Map<Member, readonly number[]>();

  constructor(scheduler: Scheduler, topic: string, partitions: number) {
    this.scheduler = scheduler;
    this.topic = topic;
    this.logs = Array.from({ length: partitions }, () => ({ records: [], end: 0n }));
  }

  append(partition: number, entry: Omit<LogRecord, 'record'>, key: string | null, value: string | null): void {
    const log = this.logs[partition]!;
    // A transaction marker takes an offset and is delivered to nobody.
    if (this.scheduler.random.chance(0.05)) log.end += 1n;
    log.records.push({
      ...entry,
      record: {
        topic: this.topic,
        partition,
        offset: log.end,
        timestampMs: Math.floor(this.scheduler.nowMs),
        key: key === null ? null : Buffer.from(key),
        value: value === null ? null : Buffer.from(value),
        headers: {},
      },
    });
    log.end += 1n;
    for (const member of this.members) member.wake();
  }

  /** One partition more. Members hear of it when they ask for the log's ranges. */
  grow(): void {
    this.#grown = { before: this.logs.length, notedAtMs: null };
    this.logs.push({ records: [], end: 0n });
    this.rebalance();
  }

  get isGrowthUnnoted(): boolean {
    return this.#grown?.notedAtMs === null;
  }

  /** The new shard rows are there, marked as growing since then. */
  growthNoted(atMs: number): void {
    if (this.#grown !== null) this.#grown.notedAtMs ??= atMs;
  }

  /**
   * Partitions as a producer knows them at this moment. None uses the new number before the service has noted it: keys move
   * between old partitions, too, and until then nothing keeps their shards apart (CONTRIBUTING, "What it does not cover").
   */
  partitionsOfProducer(): number {
    if (this.#grown === null) return this.logs.length;
    const { before, notedAtMs } = this.#grown;
    if (notedAtMs === null) return before;
    const { random, nowMs } = this.scheduler;
    const isOld = nowMs < notedAtMs + METADATA_AGE_MS && random.chance(0.5);
    return isOld ? before : this.logs.length;
  }

  join(): Member {
    const member = new Member(this);
    this.members.push(member);
    return member;
  }

  /** Deals the partitions to the members that live. Nobody is told at once. */
  rebalance(): void {
    const living = this.members.filter((member) => member.isAlive);
    if (living.length === 0) return;
    const { random } = this.scheduler;
    this.#assignment = new Map(living.map((member) => [member, []]));
    for (const partition of this.logs.keys()) {
      const member = random.pick(living);
      this.#assignment.set(member, [...(this.#assignment.get(member) ?? []), partition]);
    }
    for (const member of living) {
      // A member that is slow to hear goes on with what it had: a stale owner.
      const lateMs = random.chance(0.3) ? random.below(5_000) : 0;
      this.scheduler.after(
        lateMs,
        () => member.hear(),
        () => member.isAlive,
      );
    }
  }

  assignmentOf(member: Member): readonly number[] {
    return this.#assignment.get(member) ?? [];
  }
}

interface Cursor {
  /** Null while nothing is to be fetched. */
  next: bigint | null;
  /** Rises with every seek. */
  seeks: number;
}

export class Member implements KafkaPort {
  readonly #kafka: SimulatedKafka;
  readonly #cursors = new Map<number, Cursor>();
  #handler: GroupHandler | null = null;
  #mine: readonly number[] = [];
  #isFetching = false;
  isAlive = true;

  constructor(kafka: SimulatedKafka) {
    this.#kafka = kafka;
  }

  run(_topics: readonly string[], handler: GroupHandler, signal: AbortSignal): Promise<void> {
    this.#handler = handler;
    return new Promise((resolve) => {
      signal.addEventListener('abort', () => {
        this.isAlive = false;
        resolve();
        this.#kafka.scheduler.step(() => this.#kafka.rebalance());
      });
    });
  }

  /** The process is gone. */
  crash(): void {
    this.isAlive = false;
    this.#handler = null;
  }

  /** Learns of the newest assignment. */
  hear(): void {
    if (!this.isAlive || this.#handler === null) return;
    this.#mine = this.#kafka.assignmentOf(this);
    for (const partition of this.#mine) {
      const cursor = this.#cursorOf(partition);
      cursor.next ??= 0n;
    }
    this.#handler.onAssigned(this.#mine.map((partition) => ({ topic: this.#kafka.topic, partition })));
    this.wake();
  }

  /** Partitions that this member believes to own. */
  get partitions(): readonly number[] {
    return this.#mine;
  }

  wake(): void {
    if (this.#isFetching || !this.isAlive || this.#handler === null) return;
    const { scheduler, logs } = this.#kafka;
    const ready = this.#mine.filter((partition) => {
      const { next } = this.#cursorOf(partition);
      return next !== null && next < logs[partition]!.end;
    });
    if (ready.length === 0) return;
    this.#isFetching = true;
    scheduler.step(() => {
      const partition = scheduler.random.pick(ready);
      const cursor = this.#cursorOf(partition);
      if (cursor.next === null) {
        this.#isFetching = false;
        this.wake();
        return;
      }
      const batch = this.#fetch(partition, cursor.next);
      const { seeks } = cursor;
      // Delivered later: a seek in between does not call it back.
      scheduler.step(() => {
        if (!this.isAlive) return;
        if (cursor.seeks === seeks) cursor.next = batch.next;
        void this.#deliver(batch);
      });
    });
  }

  #fetch(partition: number, from: bigint): FetchedBatch {
    const { topic, logs, scheduler } = this.#kafka;
    const log = logs[partition]!;
    const most = scheduler.random.between(1, MAX_FETCHED);
    const records = log.records.filter(({ record }) => record.offset >= from).slice(0, most);
    const following = log.records.find(({ record }) => record.offset > (records.at(-1)?.record.offset ?? log.end));
    const next = following === undefined ? log.end : records.at(-1)!.record.offset + 1n;
    const taken = records.map(({ record }) => record);
    const bytes = taken.reduce((sum, { key, value }) => sum + (key?.length ?? 0) + (value?.length ?? 0), 0);
    return { topic, partition, fetchedOffset: from, next, logEnd: log.end, records: taken, bytes, unreadable: null };
  }

  async #deliver(batch: FetchedBatch): Promise<void> {
    try {
      await this.#handler?.onBatch(batch, () => this.#heartbeat());
    } catch {
      // A rebalance, or a fault of the handler: the group is joined again.
      this.#kafka.scheduler.step(() => this.hear());
    }
    this.#isFetching = false;
    this.wake();
  }

  #heartbeat(): Promise<void> {
    const assigned = this.#kafka.assignmentOf(this);
    const isStale = assigned !== this.#mine;
    return isStale ? Promise.reject(new Error('REBALANCE_IN_PROGRESS')) : Promise.resolve();
  }

  #cursorOf(partition: number): Cursor {
    let cursor = this.#cursors.get(partition);
    if (cursor === undefined) {
      cursor = { next: null, seeks: 0 };
      this.#cursors.set(partition, cursor);
    }
    return cursor;
  }

  seek({ partition }: TopicPartition, offset: bigint): void {
    const cursor = this.#cursorOf(partition);
    cursor.next = offset;
    cursor.seeks += 1;
    this.wake();
  }

  hold({ partition }: TopicPartition): void {
    const cursor = this.#cursorOf(partition);
    cursor.next = null;
    cursor.seeks += 1;
  }

  logRanges(): Promise<readonly LogRange[]> {
    return new Promise((resolve) => {
      this.#kafka.scheduler.step(() =>
        resolve(this.#kafka.logs.map(({ end }, partition) => ({ partition, start: 0n, end }))),
      );
    });
  }

  mirror(): void {
    // For lag tools only.
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
