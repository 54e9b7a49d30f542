/** Waits for the barrier of a moment: asks Kafka and PostgreSQL until what they say proves it, or for as long as allowed. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Pool } from 'pg';
import type { LogRange } from '../consume/index.ts';
import { unprovenReason, type BarrierFacts } from '../reconcile/delivery/barrier.ts';
import type { Clock } from '../shared/clock.ts';
import type { PostgresShardStore } from '../target/postgres-shard-store.ts';
import { queuedBefore } from '../target/queued-work.ts';

const LOOK_MS = 250;

export interface BarrierWait {
  readonly logRanges: (topic: string) => Promise<readonly LogRange[]>;
  readonly shards: Pick<PostgresShardStore, 'list'>;
  readonly pool: Pool;
  readonly controlSchema: string;
  readonly clock: Clock;
  /** Longest wait for the shards to pass the log ends that were taken at the beginning. */
  readonly limitMs: number;
}

/**
 * Why not everything that was in the topic at the call has reached the target, or null where it has. What the capture
 * before Kafka still held is not asked.
 */
export async function waitForBarrier(
  wait: BarrierWait,
  { table, topic }: { readonly table: string; readonly topic: string },
  signal: AbortSignal,
): Promise<string | null> {
  const atMs = wait.clock.nowMs();
  // Taken once: under a live load the newest record is always still under way.
  const ends = await wait.logRanges(topic);
  const deadline = performance.now() + wait.limitMs;
  for (;;) {
    const positions = await wait.shards.list(topic);
    const facts: BarrierFacts = {
      atMs,
      shards: ends.map(({ partition, end }) => ({
        topic,
        partition,
        position: positions.find(({ shard }) => shard.partition === partition)?.next ?? 0n,
        logEnd: end,
      })),
      queued: await queuedBefore(wait.pool, wait.controlSchema, table, atMs),
      heartbeats: null,
    };
    const reason = unprovenReason(facts, { heartbeats: false });
    if (reason === null || performance.now() > deadline) return reason;
    await delay(LOOK_MS, undefined, { signal });
  }
}
