/**
 * From the append to the Kafka log until the commit in PostgreSQL, row by row, at a steady rate. Both ends are stamps of
 * the servers (LogAppendTime, pg_xact_commit_timestamp) on one machine's clock, so neither the producer nor this program
 * is in the figure. LogAppendTime has whole milliseconds, cut off: figures are up to 1 ms too high.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { build } from 'hdr-histogram-js';
import type { BenchDatabase } from './database.ts';
import { BENCH_TOPIC, cassandraEvent } from './events.ts';
import { connectProducer, partitionerFor, type BenchKafka } from './kafka.ts';
import type { Workload } from './orders.ts';

const TICK_MS = 5;
/** The first seconds are not measured: connections, caches. */
const WARM_UP_MS = 2_000;
const ARRIVAL_LIMIT_MS = 30_000;

export interface LatencyOptions {
  readonly partitions: number;
  readonly changesPerSecond: number;
  readonly seconds: number;
}

/** Milliseconds. */
export interface Latency {
  readonly changes: number;
  readonly changesPerSecond: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

/** One update for each of as many rows as the run takes; every row's last change is then known, with its append time. */
export async function measureLatency(
  kafka: BenchKafka,
  database: BenchDatabase,
  workload: Workload,
  options: LatencyOptions,
): Promise<Latency> {
  const appendedMs = new Map<number, number>();
  const producer = await connectProducer(kafka);
  const partitionOf = partitionerFor(BENCH_TOPIC, options.partitions);
  const sends: Promise<void>[] = [];
  const total = Math.min(
    options.changesPerSecond * options.seconds + (options.changesPerSecond * WARM_UP_MS) / 1000,
    workload.size.rows,
  );
  const warmUp = (options.changesPerSecond * WARM_UP_MS) / 1000;

  async function send(ids: readonly number[]): Promise<void> {
    const messages = ids.map((id) => {
      const event = cassandraEvent(workload.next(id));
      return { ...event, partition: partitionOf(event.key) };
    });
    const stamps = new Map<number, number>();
    for (const { partition, logAppendTime } of await producer.send({ topic: BENCH_TOPIC, acks: 1, messages })) {
      stamps.set(partition, Number(logAppendTime));
    }
    messages.forEach(({ partition }, i) => {
      const id = ids[i] ?? -1;
      if (id >= warmUp) appendedMs.set(id, stamps.get(partition) ?? Number.NaN);
    });
  }

  await database.pool.query('CHECKPOINT');
  const startedMs = performance.now();
  let sent = 0;
  while (sent < total) {
    const due = Math.min(total, Math.floor(((performance.now() - startedMs) / 1000) * options.changesPerSecond));
    if (due > sent) sends.push(send(Array.from({ length: due - sent }, (_, i) => sent + i)));
    sent = Math.max(sent, due);
    await pause(TICK_MS);
  }
  await Promise.all(sends);
  const seconds = (performance.now() - startedMs) / 1000;
  await producer.disconnect();
  return { ...(await collect(database, workload, appendedMs)), changesPerSecond: total / seconds };
}

async function collect(
  database: BenchDatabase,
  workload: Workload,
  appendedMs: ReadonlyMap<number, number>,
): Promise<Omit<Latency, 'changesPerSecond'>> {
  const histogram = build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: 600_000_000,
    numberOfSignificantValueDigits: 3,
  });
  const waiting = new Set(appendedMs.keys());
  const deadline = performance.now() + ARRIVAL_LIMIT_MS;
  while (waiting.size > 0) {
    const { rows } = await database.pool.query<{ id: string; version: string; us: string }>(
      `SELECT id, version, (extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1e6)::bigint AS us
       FROM public.orders WHERE id = ANY($1::bigint[])`,
      [[...waiting]],
    );
    for (const { id, version, us } of rows) {
      if (version !== String(workload.expected(Number(id)).version)) continue;
      waiting.delete(Number(id));
      histogram.recordValue(Math.max(1, Number(us) - (appendedMs.get(Number(id)) ?? Number.NaN) * 1000));
    }
    if (waiting.size > 0 && performance.now() > deadline) throw new Error(`${waiting.size} changes have not arrived`);
    if (waiting.size > 0) await pause(LOOK_AGAIN_MS);
  }
  const ms = (percentile: number): number => histogram.getValueAtPercentile(percentile) / 1000;
  return { changes: appendedMs.size, p50: ms(50), p95: ms(95), p99: ms(99), max: histogram.maxValue / 1000 };
}

const LOOK_AGAIN_MS = 200;
