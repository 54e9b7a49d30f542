/**
 * The barrier (DESIGN §7): proof that everything the source had at a moment has reached the target. Pure; who asks the
 * systems hands in what they said.
 */

/** The position of one shard and the log end that was taken after the moment. */
export interface ShardProgress {
  readonly topic: string;
  readonly partition: number;
  readonly position: bigint;
  readonly logEnd: bigint;
}

/** When a heartbeat last came through the capture of one part of the ring. */
export interface HeartbeatArrival {
  /** Node whose primary range it is, as operators know it. */
  readonly node: string;
  /** Write time of the newest heartbeat that arrived, ms since the epoch, or null where none ever did. */
  readonly arrivedMs: number | null;
}

export interface BarrierFacts {
  readonly atMs: number;
  readonly shards: readonly ShardProgress[];
  /** Work from before the moment that is still queued: re-reads, existence checks, waiting dead letters. */
  readonly queued: number;
  /** Null where no heartbeats are written: then what the capture still holds is unknown. */
  readonly heartbeats: readonly HeartbeatArrival[] | null;
}

/** What the verdict leans on. An account of Kafka itself asks nothing of the capture before it. */
export interface BarrierNeeds {
  readonly heartbeats: boolean;
}

/** Why the barrier is not proven, or null where it is. */
export function unprovenReason(facts: BarrierFacts, needs: BarrierNeeds): string | null {
  if (facts.shards.length === 0) return 'no shard is known';
  const behind = facts.shards.find(({ position, logEnd }) => position < logEnd);
  if (behind !== undefined) {
    return `${behind.topic}/${behind.partition} is at ${behind.position}, before the log end ${behind.logEnd}`;
  }
  if (facts.queued > 0) return `${facts.queued} re-reads, checks or waiting letters from before are still queued`;
  if (!needs.heartbeats) return null;
  if (facts.heartbeats === null) return 'no heartbeats are written, so what the capture still holds is unknown';
  if (facts.heartbeats.length === 0) return 'no node of the source is known';
  const silent = facts.heartbeats.find(({ arrivedMs }) => arrivedMs === null || arrivedMs < facts.atMs);
  return silent === undefined ? null : `no heartbeat of ${silent.node} since ${new Date(facts.atMs).toISOString()}`;
}
