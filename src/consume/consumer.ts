/**
 * The consumer: one member of the Kafka group, one worker per assigned partition, one byte budget over all. Everything it
 * touches is injected; the composition root does every `new`.
 */
import type { Logger } from 'pino';
import type { Decoded, Decoder, SourceRecord } from '../decode/record.ts';
import type { DeadLetterSink } from '../deadletter/dlq-producer.ts';
import { systemClock } from '../shared/clock.ts';
import type { Clock } from '../shared/clock.ts';
import { LockstepError } from '../shared/errors.ts';
import type { Door } from '../target/batch.ts';
import type { ShardPosition, ShardStore } from '../target/shard-store.ts';
import type { BreakerLimits } from './shard/breaker.ts';
import { ByteBudget } from './byte-budget.ts';
import { partitionKey } from './kafka/kafka-port.ts';
import type { FetchedBatch, GroupState, KafkaPort, LogRange, TopicPartition } from './kafka/kafka-port.ts';
import { defaultLimits } from './limits.ts';
import type { ConsumeLimits } from './limits.ts';
import type { ConsumeObserver } from './observer.ts';
import type { Stop } from './shard/shard-state.ts';
import { ShardWorker } from './shard/shard-worker.ts';
import type { ShardSnapshot, ShardWorkerContext } from './shard/shard-worker-context.ts';
import { isAborted, systemTimers } from './timers.ts';
import type { Timers } from './timers.ts';

/** What a topic is decoded with and where its changes belong. */
export interface ConsumedTopic {
  /** `keyspace.table`. */
  readonly table: string;
  readonly decoder: Decoder;
}

export interface ConsumerOptions {
  readonly kafka: KafkaPort;
  readonly door: Door;
  readonly store: ShardStore;
  readonly topics: ReadonlyMap<string, ConsumedTopic>;
  readonly deadLetters: DeadLetterSink;
  readonly breaker: BreakerLimits;
  readonly observer: ConsumeObserver;
  readonly logger: Logger;
  /** Names this process to operators: host and pid, a pod's name. */
  readonly owner: string;
  readonly limits?: Partial<ConsumeLimits>;
  readonly clock?: Clock;
  readonly timers?: Timers;
  /**
   * Asked when records carry columns that the decoder does not know, before they are given up on. True where the schema
   * is being read again: the shard waits, and reads the records anew after `rebind`, `block` or `resumeTopic`.
   */
  readonly schemaDoubt?: (topic: string, columns: readonly string[]) => boolean;
  /** Told how a topic's keys are written when a shard sees the first one or another form, before such records go on. */
  readonly noteKeyForm?: (topic: string, form: string) => Promise<void>;
}

export interface Consumer {
  /** Consumes until the signal aborts, through every failure; ends after the transactions in flight. Call it once. */
  run(signal: AbortSignal): Promise<void>;
  /** Every shard that is assigned to this process, now. */
  shards(): readonly ShardSnapshot[];
  /** State of the membership in the group. */
  group(): GroupState;
  /** Tries a stopped shard again at once and forgets the breaker's counts. False where it is not ours. */
  resume(partition: TopicPartition): boolean;
  /**
   * Replaces a topic's decoder while running. `swap` runs when nothing of the topic is in flight; afterwards its shards
   * read again from their positions, so what was decoded for the former table is decoded anew. Where `swap` rejects, the
   * former decoder stays and the rejection passes through.
   */
  rebind(topic: string, swap: () => Promise<Decoder>): Promise<void>;
  /** Stops a topic's shards for a reason that their own probes can't find gone; null lets them go on. */
  block(topic: string, stop: Stop | null): void;
  /** Tries a topic's stopped shards again at once. */
  resumeTopic(topic: string): void;
}

/** Builds a consumer; nothing happens before `run`. */
export function createConsumer(options: ConsumerOptions): Consumer {
  const { kafka, store, observer, logger, owner } = options;
  const limits: ConsumeLimits = { ...defaultLimits, ...options.limits };
  const timers = options.timers ?? systemTimers;
  const workers = new Map<string, ShardWorker>();
  const assigned = new Set<string>();
  const leaving = new Set<Promise<void>>();
  const pendingTopics = new Map<string, Promise<TopicPositions>>();
  const rebinding = new Set<string>();
  const blocked = new Map<string, Stop>();
  const decoders = new Map([...options.topics].map(([topic, { decoder }]) => [topic, new CurrentDecoder(decoder)]));
  let group: GroupState = { kind: 'connecting' };
  let stopping = false;

  /** Log ranges and positions of a topic, asked for once however many of its shards load at the same moment. */
  function topicPositions(topic: string): Promise<TopicPositions> {
    const pending = pendingTopics.get(topic);
    if (pending !== undefined) return pending;
    const fresh = (async (): Promise<TopicPositions> => {
      const ranges = await kafka.logRanges(topic);
      const positions = await store.ensure(
        topic,
        ranges.map((range) => range.start),
      );
      return { ranges, positions };
    })().finally(() => pendingTopics.delete(topic));
    pendingTopics.set(topic, fresh);
    return fresh;
  }

  async function load({ topic, partition }: TopicPartition): Promise<{ position: ShardPosition; range: LogRange }> {
    const stop = blocked.get(topic);
    if (stop !== undefined) throw new LockstepError(stop.reason, { code: stop.code, kind: 'batch' });
    const { ranges, positions } = await topicPositions(topic);
    const range = ranges.find((each) => each.partition === partition);
    const known = positions.find(({ shard }) => shard.partition === partition);
    if (range === undefined || known === undefined) {
      throw new LockstepError(`${topic} has no partition ${partition} at this moment`, {
        code: 'PARTITION_UNKNOWN',
        kind: 'transient',
      });
    }
    const position = await store.claim(known.shard, owner);
    // The log end may be older than the position, which another process moved meanwhile; newer ends are never wrong.
    const end = position.next > range.end ? await currentEnd(topic, partition) : range.end;
    return { position, range: { ...range, end } };
  }

  async function currentEnd(topic: string, partition: number): Promise<bigint> {
    const ranges = await kafka.logRanges(topic);
    return ranges.find((each) => each.partition === partition)?.end ?? 0n;
  }

  const context: ShardWorkerContext = {
    kafka,
    door: options.door,
    deadLetters: options.deadLetters,
    breaker: options.breaker,
    limits,
    observer,
    clock: options.clock ?? systemClock,
    timers,
    budget: new ByteBudget(limits.maxBytesInFlight, (used) => observer.bytesInFlight(used)),
    logger,
    load,
    recordGap: (shard, from, to, afterMs) => store.recordGap({ shard, from, to, afterMs, beforeMs: null }),
    schemaDoubt: (topic, columns) => options.schemaDoubt?.(topic, columns) ?? false,
    noteKeyForm: (topic, form) => options.noteKeyForm?.(topic, form) ?? Promise.resolve(),
    setState: (shard, state, note) => store.setState(shard, state, note),
  };

  function workerOf(partition: TopicPartition): ShardWorker | null {
    const known = workers.get(partitionKey(partition));
    if (known !== undefined) return known;
    const topic = options.topics.get(partition.topic);
    const decoder = decoders.get(partition.topic);
    if (topic === undefined || decoder === undefined) return null;
    const worker = new ShardWorker(partition, topic.table, decoder, context);
    workers.set(partitionKey(partition), worker);
    return worker;
  }

  /** The workers of a topic's assigned shards. */
  function workersOf(topic: string): readonly ShardWorker[] {
    return [...workers]
      .filter(([key]) => assigned.has(key))
      .flatMap(([, worker]) => (worker.topic === topic ? [worker] : []));
  }

  function revoke(worker: ShardWorker): void {
    const done = worker.revoke().finally(() => leaving.delete(done));
    leaving.add(done);
  }

  function onAssigned(partitions: readonly TopicPartition[]): void {
    const now = new Set(partitions.map(partitionKey));
    for (const [key, worker] of workers) {
      if (!assigned.has(key) || now.has(key)) continue;
      assigned.delete(key);
      revoke(worker);
    }
    if (stopping) return;
    for (const partition of partitions) {
      assigned.add(partitionKey(partition));
      // Its shards are assigned when the new decoder stands.
      if (rebinding.has(partition.topic)) continue;
      workerOf(partition)?.assign();
    }
  }

  async function onBatch(batch: FetchedBatch, heartbeat: () => Promise<void>): Promise<void> {
    const key = partitionKey(batch);
    if (stopping || !assigned.has(key)) return;
    const startedMs = timers.elapsedMs();
    await workers.get(key)?.onBatch(batch, heartbeat);
    if (timers.elapsedMs() - startedMs < limits.recheckMs) return;
    // Nothing was fetched meanwhile, so a topic that was deleted and created again would have gone unnoticed.
    for (const worker of workers.values())
      if (assigned.has(worker.key) && !rebinding.has(worker.topic)) worker.assign();
  }

  /**
   * Log ends of all assigned partitions, for the backlog of shards that fetch nothing (stopped, held, idle), and the stored
   * positions of shards at rest: a database that lost its last commits (failover, restore) is behind them, and no record
   * may come for a long time whose batch would find that out.
   */
  async function watchIdle(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await timers.pause(limits.logEndsMs, signal);
      for (const topic of options.topics.keys()) {
        if (isAborted(signal)) return;
        const resting = new Map(workersOf(topic).map((worker) => [worker.key, worker.restingAt]));
        const { ranges, positions } = await topicPositions(topic).catch(() => ({ ranges: [], positions: [] }));
        for (const { partition, end } of ranges) {
          const key = partitionKey({ topic, partition });
          if (assigned.has(key)) workers.get(key)?.noteLogEnd(end);
        }
        for (const { shard, next } of positions) {
          const key = partitionKey(shard);
          const restedAt = resting.get(key) ?? null;
          if (assigned.has(key) && restedAt !== null) workers.get(key)?.compareStored(next, restedAt);
        }
      }
    }
  }

  return {
    async run(signal) {
      const leave = new AbortController();
      const running = kafka.run(
        [...options.topics.keys()],
        {
          onAssigned,
          onBatch,
          onState: (state) => {
            group = state;
            observer.group(state);
          },
        },
        leave.signal,
      );
      const watching = watchIdle(leave.signal);
      const ended = running.then(() => 'ended' as const);
      await Promise.race([ended, new Promise<void>((resolve) => whenAborted(signal, resolve))]);
      // First the transactions in flight, then the group: the next owner finds the position where we left it.
      stopping = true;
      for (const key of assigned) {
        const worker = workers.get(key);
        if (worker !== undefined) revoke(worker);
      }
      assigned.clear();
      await Promise.race([Promise.allSettled(leaving), timers.pause(limits.stopMs)]);
      leave.abort();
      await running;
      await watching;
    },
    shards: () => [...workers].filter(([key]) => assigned.has(key)).map(([, worker]) => worker.snapshot()),
    group: () => group,
    resume(partition) {
      const key = partitionKey(partition);
      const worker = assigned.has(key) ? workers.get(key) : undefined;
      worker?.resume();
      return worker !== undefined;
    },
    async rebind(topic, swap) {
      rebinding.add(topic);
      try {
        await Promise.all(workersOf(topic).map((worker) => worker.revoke()));
        decoders.get(topic)?.become(await swap());
      } finally {
        rebinding.delete(topic);
        if (!stopping) for (const worker of workersOf(topic)) worker.assign();
      }
    },
    block(topic, stop) {
      if (stop === null) {
        if (blocked.delete(topic)) for (const worker of workersOf(topic)) worker.resume();
        return;
      }
      blocked.set(topic, stop);
      for (const worker of workersOf(topic)) worker.halt(stop);
    },
    resumeTopic(topic) {
      for (const worker of workersOf(topic)) worker.resume();
    },
  };
}

/** The decoder of a topic, which `rebind` replaces. */
class CurrentDecoder implements Decoder {
  #decoder: Decoder;

  constructor(decoder: Decoder) {
    this.#decoder = decoder;
  }

  become(decoder: Decoder): void {
    this.#decoder = decoder;
  }

  decode(record: SourceRecord): Decoded {
    return this.#decoder.decode(record);
  }
}

interface TopicPositions {
  readonly ranges: readonly LogRange[];
  readonly positions: readonly ShardPosition[];
}

function whenAborted(signal: AbortSignal, done: () => void): void {
  if (signal.aborted) done();
  else signal.addEventListener('abort', done, { once: true });
}
