/**
 * The barrier (DESIGN §7): proof that everything the source had at a moment has reached the target. Pure; who asks the
 * systems hands in what they said. It has two halves: the capture has passed the moment (heartbeats that were written
 * after it have come through every node's agent), and then the stream has passed the log ends.
 */

/** The position of one shard and the log end that was taken after the moment. */
export interface ShardProgress {
  readonly topic: string;
  readonly partition: number;
  readonly position: bigint;
  readonly logEnd: bigint;
}

export interface StreamFacts {
  readonly shards: readonly ShardProgress[];
  /** Work from before the moment that is still queued: re-reads, existence checks, waiting dead letters. */
  readonly queued: number;
}

/** Why the stream is not proven to have passed, or null where it is. */
export function unprovenReason(facts: StreamFacts): string | null {
  if (facts.shards.length === 0) return 'no shard is known';
  const behind = facts.shards.find(({ position, logEnd }) => position < logEnd);
  if (behind !== undefined) {
    return `${behind.topic}/${behind.partition} is at ${behind.position}, before the log end ${behind.logEnd}`;
  }
  if (facts.queued > 0) return `${facts.queued} re-reads, checks or waiting letters from before are still queued`;
  return null;
}

/** What became of the heartbeat that was written for one part of the ring. */
export interface HeartbeatFact {
  /** Node whose primary range it is, as operators know it. */
  readonly node: string;
  /** Why it could not be written, or null. */
  readonly unwritten: string | null;
  /** Its event has come through the capture and the door. */
  readonly arrived: boolean;
}

/** Which nodes are silent, or null where every one was heard. `sinceMs`: when the heartbeats were written. */
export function silentReason(facts: readonly HeartbeatFact[], sinceMs: number): string | null {
  if (facts.length === 0) return 'no node of the source is known';
  const unwritten = facts.flatMap((fact) => (fact.unwritten === null ? [] : [fact.unwritten]));
  const silent = facts.filter(({ unwritten: reason, arrived }) => reason === null && !arrived).map(({ node }) => node);
  const reasons = [
    ...(silent.length === 0
      ? []
      : [`no heartbeat has come through the capture of ${silent.join(', ')} since ${new Date(sinceMs).toISOString()}`]),
    ...unwritten,
  ];
  return reasons.length === 0 ? null : reasons.join('; ');
}

/** What is known behind the barrier. */
export interface BarrierVerdict {
  /** Why it is not proven that everything has arrived, or null. Then what is missing may be on its way. */
  readonly unproven: string | null;
  /**
   * Which node's capture is silent although heartbeats are written, or null. Then not even what is complete passes: what
   * the capture holds is in no account that goes through it.
   */
  readonly silent: string | null;
}
