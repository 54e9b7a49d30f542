/** One process of the service: the real consumer, decoder and doors over the simulated Kafka and PostgreSQL. */
import pino from 'pino';
import { createConsumer } from '../../src/consume/consumer.ts';
import { silentObserver } from '../../src/consume/observer.ts';
import type { Timers } from '../../src/consume/timers.ts';
import type { DeadLetter } from '../../src/deadletter/dead-letter.ts';
import { createDebeziumCassandraDecoder } from '../../src/decode/debezium-cassandra/index.ts';
import type { Decoder } from '../../src/decode/record.ts';
import { representableOnly } from '../../src/decode/representable.ts';
import type { Clock } from '../../src/shared/clock.ts';
import type { ShardId } from '../../src/target/batch.ts';
import type { BoundTable } from '../../src/target/bound-table.ts';
import { ControlStatements } from '../../src/target/control-statements.ts';
import { PostgresDoor } from '../../src/target/door.ts';
import { sweepExpired } from '../../src/target/expiry-sweep.ts';
import { OutsideDoor } from '../../src/target/outside-door.ts';
import { PostgresShardStore } from '../../src/target/postgres-shard-store.ts';
import { RereadQueue } from '../../src/target/rereads/reread-queue.ts';
import type { ReadRows } from '../../src/target/rereads/reread-merge.ts';
import { Rereads } from '../../src/target/rereads/rereads.ts';
import { rowStatements } from '../../src/target/row-statements.ts';
import type { TableDoor } from '../../src/target/row-writes.ts';
import { METADATA_AGE_MS, type Member, type SimulatedKafka } from './kafka.ts';
import type { SimulatedPool, SimulatedPostgres } from './postgres/server.ts';
import type { Scheduler } from './scheduler.ts';

const CONTROL_SCHEMA = 'public';
const logger = pino({ level: 'silent' });
const control = new ControlStatements(CONTROL_SCHEMA);
const rereads = new RereadQueue(CONTROL_SCHEMA);

/** Small, so that histories of a few statements are several batches, and back-pressure is felt. */
const LIMITS = {
  maxBatchChanges: 4,
  maxBatchBytes: 8_192,
  maxQueuedBytes: 4_096,
  maxBytesInFlight: 12_000,
  recentFingerprints: 8,
  logEndsMs: 3_000,
  retryMinMs: 20,
  retryMaxMs: 200,
  probeMs: 500,
} as const;

const statements = new WeakMap<BoundTable, TableDoor>();

/** The statements of a table, generated once a process. */
function doorOf(bound: BoundTable): TableDoor {
  let door = statements.get(bound);
  if (door === undefined) {
    door = { bound, statements: rowStatements(bound) };
    statements.set(bound, door);
  }
  return door;
}

/** What all processes of one run share. */
export interface World {
  readonly scheduler: Scheduler;
  readonly kafka: SimulatedKafka;
  readonly postgres: SimulatedPostgres;
  readonly clock: Clock;
  readonly onBytesInFlight: (bytes: number, limit: number) => void;
  /** Produces to the DLQ topic; rejects as Kafka does. */
  /** Asks the source; rejects as a source that is down does. */
  readonly readRows: ReadRows;
  readonly putLetters: (letters: readonly DeadLetter[]) => Promise<void>;
}

export class ServiceProcess {
  readonly member: Member;
  readonly pool: SimulatedPool;
  readonly decoder: Decoder;
  readonly outside: OutsideDoor;
  readonly #world: World;
  readonly #table: TableDoor;
  readonly #store: PostgresShardStore;
  readonly #rereads: Rereads;
  readonly #stop = new AbortController();
  readonly #crashed = new AbortController();
  isAlive = true;

  constructor(world: World, name: string) {
    const { scheduler, kafka, postgres, clock } = world;
    const { table } = postgres;
    this.#world = world;
    this.member = kafka.join();
    this.pool = postgres.pool();
    this.decoder = representableOnly(table.table, createDebeziumCassandraDecoder(table.table));
    this.#table = doorOf(table);
    this.outside = new OutsideDoor({
      pool: this.pool.asPool,
      controlSchema: CONTROL_SCHEMA,
      tableOf: () => this.#table,
      clock,
    });
    this.#rereads = new Rereads({
      pool: this.pool.asPool,
      control,
      queue: rereads,
      clock,
      doorOf: () => this.#table,
      staticsOf: () => null,
    });
    this.#store = new PostgresShardStore(this.pool.asPool, CONTROL_SCHEMA);
    const consumer = createConsumer({
      kafka: this.member,
      door: new PostgresDoor({ pool: this.pool.asPool, controlSchema: CONTROL_SCHEMA, tables: [table], clock }),
      store: this.#store,
      topics: new Map([[table.table.topic, { table: table.table.name, decoder: this.decoder }]]),
      deadLetters: {
        put: (letters) =>
          new Promise((resolve, reject) => {
            scheduler.step(() => {
              if (this.isAlive) world.putLetters(letters).then(resolve, reject);
            });
          }),
        forget: () => undefined,
        close: () => Promise.resolve(),
      },
      // Never opens: histories are short, and one poison record is much of them.
      breaker: { maxRatio: 1, minRecords: 1_000_000 },
      observer: { ...silentObserver, bytesInFlight: (bytes) => world.onBytesInFlight(bytes, LIMITS.maxBytesInFlight) },
      logger,
      owner: name,
      limits: LIMITS,
      clock,
      timers: this.#timers(),
    });
    void consumer.run(this.#stop.signal);
  }

  /** Nothing of it happens any more; what it had sent to PostgreSQL may. */
  crash(): void {
    this.isAlive = false;
    this.#crashed.abort();
    this.member.crash();
    this.pool.crash();
  }

  /** SIGTERM. */
  stop(): void {
    this.isAlive = false;
    this.#stop.abort();
  }

  sweep(partition: number): Promise<number> {
    const shard: ShardId = { topic: this.#table.bound.table.topic, incarnation: 1, partition };
    return sweepExpired(this.pool.asPool, control, rereads, this.#table, shard, this.#world.clock);
  }

  /** One turn of what a shard owes to the source. */
  async serve(partition: number): Promise<void> {
    const shard: ShardId = { topic: this.#table.bound.table.topic, incarnation: 1, partition };
    await this.#rereads.serve(this.#table.bound.table.name, shard, this.#world.readRows, this.#crashed.signal);
  }

  /** One step towards the end of the topic's growth, if it grows. */
  async followGrowth(): Promise<void> {
    const ends = async (): Promise<bigint[]> => (await this.member.logRanges()).map(({ end }) => end);
    await this.#store.growth.step(this.#table.bound.table.topic, METADATA_AGE_MS, ends);
  }

  #timers(): Timers {
    const { scheduler } = this.#world;
    return {
      pause: (ms, signal) =>
        new Promise((resolve) => {
          if (signal?.aborted === true) {
            resolve();
            return;
          }
          let isOver = false;
          const end = (): void => {
            if (isOver) return;
            isOver = true;
            signal?.removeEventListener('abort', end);
            resolve();
          };
          scheduler.after(ms, end, () => !isOver && !this.#crashed.signal.aborted);
          signal?.addEventListener('abort', end, { once: true });
        }),
      yield: () =>
        new Promise((resolve) => {
          scheduler.step(resolve);
        }),
      elapsedMs: () => scheduler.nowMs,
      random: () => scheduler.random.next(),
    };
  }
}
