/** Waits for the stream's half of the barrier: asks Kafka and PostgreSQL until what they say proves it, or for as long as allowed. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Pool } from 'pg';
import type { LogRange } from '../../consume/index.ts';
import { unprovenReason } from '../../reconcile/delivery/barrier.ts';
import type { PostgresShardStore } from '../../target/postgres-shard-store.ts';
import { databaseNowMs, queuedBefore } from '../../target/stores/queued-work.ts';

const LOOK_MS = 250;

export interface BarrierWait {
  readonly logRanges: (topic: string) => Promise<readonly LogRange[]>;
  readonly shards: Pick<PostgresShardStore, 'list'>;
  readonly pool: Pool;
  readonly controlSchema: string;
  /** Longest wait for the shards to pass the log ends that were taken at the beginning. */
  readonly limitMs: number;
}

/**
 * Why not everything that was in the topic at the call has reached the target, or null where it has. What the capture
 * before Kafka still held is asked by `captureBarrier`, before this.
 *
 * What is queued is asked by PostgreSQL's clock and from the moment when the shards had passed: a batch from before the
 * log ends may have queued its re-reads only just then ⚠ (asked from the moment of the call, they were not waited for).
 */
export async function waitForBarrier(
  wait: BarrierWait,
  { table, topic }: { readonly table: string; readonly topic: string },
  signal: AbortSignal,
): Promise<string | null> {
  // Taken once: under a live load the newest record is always still under way.
  const ends = await wait.logRanges(topic);
  const deadline = performance.now() + wait.limitMs;
  let passedMs: number | null = null;
  for (;;) {
    const positions = await wait.shards.list(topic);
    const shards = ends.map(({ partition, end }) => ({
      topic,
      partition,
      position: positions.find(({ shard }) => shard.partition === partition)?.next ?? 0n,
      logEnd: end,
    }));
    let reason = unprovenReason({ shards, queued: 0 });
    if (reason === null) {
      passedMs ??= await databaseNowMs(wait.pool);
      reason = unprovenReason({ shards, queued: await queuedBefore(wait.pool, wait.controlSchema, table, passedMs) });
    }
    if (reason === null || performance.now() > deadline) return reason;
    await delay(LOOK_MS, undefined, { signal });
  }
}
