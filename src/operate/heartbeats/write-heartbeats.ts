/** Writes heartbeats again and again and shows how far behind the capture of each node is. */
import { newestHeartbeats } from '../../target/stores/heartbeat-store.ts';
import { UPKEEP_BACKOFF } from '../upkeep/backoff.ts';
import { repeating } from '../upkeep/repeating.ts';
import { ownShards, type RunningParts } from '../service/running-parts.ts';
import type { Service } from '../service/service.ts';
import { beatAll, heartbeatParts, type HeartbeatParts } from './capture-barrier.ts';
import { HEARTBEAT_TARGET } from './heartbeat-table-mapping.ts';

/** Includes the wait for a node that does not answer. */
const BEAT_TIMEOUT_MS = 15_000;

/**
 * The owner of the first shard of the heartbeats' topic writes them, so that one clock makes and reads them. Null where
 * none are configured.
 */
export function writeHeartbeats(parts: RunningParts): Service | null {
  const { configuration, prepared, pool, clock, logger, metrics } = parts;
  const { heartbeats } = configuration.reconciliation;
  const beats = heartbeatParts(configuration, prepared.cassandra, pool, clock);
  if (heartbeats === null || beats === null) return null;
  const { heartbeatDelay, heartbeatsUnwritten } = metrics.reconciliation;
  const { controlSchema } = configuration.target.postgres;
  /** When this member began to write for a node: a node that was never heard is silent since then. */
  const sinceMs = new Map<string, number>();
  const refused = new Set<string>();

  async function beat(of: HeartbeatParts): Promise<void> {
    for (const written of await beatAll(of)) {
      const { node } = written;
      if (!('unwritten' in written)) {
        if (refused.delete(node)) logger.info({ node }, 'heartbeats of the node are written again');
        continue;
      }
      heartbeatsUnwritten.inc({ node });
      if (!refused.has(node)) logger.warn({ node, reason: written.unwritten }, 'a heartbeat can not be written');
      refused.add(node);
    }
  }

  async function show({ nodes }: HeartbeatParts): Promise<void> {
    const newest = await newestHeartbeats(pool, controlSchema, HEARTBEAT_TARGET);
    const nowMs = clock.nowMs();
    // Nodes that have left are not shown any more.
    heartbeatDelay.reset();
    for (const { node, key } of nodes()) {
      if (!sinceMs.has(node)) sinceMs.set(node, nowMs);
      const heardMs = (key === null ? undefined : newest.get(key)) ?? sinceMs.get(node) ?? nowMs;
      heartbeatDelay.set({ node }, Math.max(0, nowMs - heardMs) / 1000);
    }
  }

  return repeating('write-heartbeats', {
    everyMs: heartbeats.every,
    timeoutMs: BEAT_TIMEOUT_MS,
    work: async () => {
      const isOwner = ownShards(parts).some((shard) => shard.table === heartbeats.table && shard.partition === 0);
      if (!isOwner) {
        heartbeatDelay.reset();
        return;
      }
      await show(beats);
      await beat(beats);
    },
    backoff: UPKEEP_BACKOFF,
    onError: (error, failures) => {
      logger[failures === 1 ? 'warn' : 'debug']({ err: error, failures }, 'writing heartbeats failed, retrying');
    },
  });
}
