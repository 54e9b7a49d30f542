/**
 * The capture's half of the barrier: writes a heartbeat for every node and waits until each has come back through that
 * node's agent, Kafka and the door. No clock is compared with another: it is these very heartbeats that are waited for,
 * by the change IDs that their events must have.
 *
 * An agent sends to several partitions at once. That an earlier change is still on its way to one while a later heartbeat
 * is through by another takes a partition without a leader, for which the log ends that are asked for next can't be had.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from 'cassandra-driver';
import type { Pool } from 'pg';
import type { ChangeId } from '../../change/change-id.ts';
import type { Configuration } from '../../config/index.ts';
import { silentReason, type HeartbeatFact } from '../../reconcile/delivery/barrier.ts';
import type { Clock } from '../../shared/clock.ts';
import { messageOf } from '../../shared/errors.ts';
import {
  keysOfRing,
  ringOf,
  writeHeartbeat,
  type HeartbeatNode,
  type WrittenHeartbeat,
} from '../../source/heartbeat-table.ts';
import { LedgerReader } from '../../target/stores/ledger-reader.ts';

const LOOK_MS = 200;
const MICROSECONDS = 1_000;

/** What heartbeats need of the systems; tests answer without them. */
export interface HeartbeatParts {
  readonly nodes: () => readonly HeartbeatNode[];
  /** Rejects where the node does not take it. */
  readonly write: (node: { readonly node: string; readonly key: string }) => Promise<WrittenHeartbeat>;
  /** Which of these change IDs have come through the door. */
  readonly arrived: (ids: readonly ChangeId[]) => Promise<ReadonlySet<ChangeId>>;
  readonly clock: Clock;
}

/** Null where no heartbeats are configured, or no source. */
export function heartbeatParts(
  { reconciliation, source, target }: Configuration,
  client: Client | null,
  pool: Pool,
  clock: Clock,
): HeartbeatParts | null {
  const { heartbeats } = reconciliation;
  if (heartbeats === null || client === null || source.cassandra === null) return null;
  const { table } = heartbeats;
  const { localDataCenter } = source.cassandra;
  const ledger = new LedgerReader(pool, target.postgres.controlSchema);
  return {
    nodes: () => keysOfRing(ringOf(client, table, localDataCenter)),
    write: (node) => writeHeartbeat(client, table, node, clock.nowMs(), Math.floor(Math.random() * MICROSECONDS)),
    arrived: (ids) => ledger.having(table, ids),
    clock,
  };
}

type Beat = { readonly node: string; readonly unwritten: string } | WrittenHeartbeat;

/** A heartbeat for every node; one that does not take it is told of and keeps none of the others. */
export async function beatAll({ nodes, write }: Pick<HeartbeatParts, 'nodes' | 'write'>): Promise<readonly Beat[]> {
  return Promise.all(
    nodes().map(async ({ node, key }): Promise<Beat> => {
      if (key === null) return { node, unwritten: `no partition key is known that falls to ${node}` };
      try {
        return await write({ node, key });
      } catch (error) {
        return { node, unwritten: messageOf(error) };
      }
    }),
  );
}

/**
 * Why not everything that the source had at the call is known to have come through the capture, or null where it has.
 * Rejects where PostgreSQL does not answer.
 *
 * @param limitMs Longest wait; agents that are well answer in a second.
 */
export async function captureBarrier(
  parts: HeartbeatParts,
  limitMs: number,
  signal: AbortSignal,
): Promise<string | null> {
  const sinceMs = parts.clock.nowMs();
  const deadline = performance.now() + limitMs;
  const beats = await beatAll(parts);
  const ids = beats.flatMap((beat) => ('id' in beat ? [beat.id] : []));
  const isHopeless = ids.length < beats.length;
  for (;;) {
    const arrived = ids.length === 0 ? new Set<ChangeId>() : await parts.arrived(ids);
    const facts = beats.map((beat): HeartbeatFact => {
      if ('unwritten' in beat) return { ...beat, arrived: false };
      return { node: beat.node, unwritten: null, arrived: arrived.has(beat.id) };
    });
    // Where one could not be written no waiting proves anything; the others are given a moment to be told of rightly.
    const isOver = arrived.size === ids.length || performance.now() > deadline;
    if (isOver || (isHopeless && performance.now() > deadline - limitMs / 2)) return silentReason(facts, sinceMs);
    await delay(LOOK_MS, undefined, { signal });
  }
}
