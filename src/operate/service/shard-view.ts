import type { ShardSnapshot } from '../../consume/index.ts';
import type { ShardPosition } from '../../target/shard-store.ts';
import type { BreakerReading } from '../../target/stores/shard-note.ts';
import type { ShardReadiness } from './readiness.ts';

/** States of a shard that is at work; every other state is the code of what stopped it. */
const WORKING_STATES: ReadonlySet<string> = new Set(['released', 'loading', 'verifying', 'running', 'retrying']);

/** True where the state is the code of what stopped the shard. */
export function isStopped(state: string): boolean {
  return !WORKING_STATES.has(state);
}

/** A shard of this member as readiness sees it. */
export function shardReadiness({ topic, partition, state, reason }: ShardSnapshot): ShardReadiness {
  return { topic, partition, state, reason, stopped: isStopped(state) };
}

/** Records between position and log end, or null where one of them is not known yet. */
export function backlogOf({ position, logEnd }: ShardSnapshot): bigint | null {
  if (position === null || logEnd === null) return null;
  return logEnd > position ? logEnd - position : 0n;
}

/** The dead-letter breaker of a shard. */
export interface BreakerDocument {
  readonly state: BreakerReading['state'];
  readonly share: number;
  readonly records: number;
  readonly since: string | null;
}

/** Share with as many digits as say something. */
const SHARE_DIGITS = 4;

export function breakerDocument(reading: BreakerReading): BreakerDocument;
export function breakerDocument(reading: BreakerReading | null): BreakerDocument | null;
export function breakerDocument(reading: BreakerReading | null): BreakerDocument | null {
  if (reading === null) return null;
  const { state, share, records, sinceMs } = reading;
  const since = sinceMs === null ? null : new Date(sinceMs).toISOString();
  return { state, share: Number(share.toFixed(SHARE_DIGITS)), records, since };
}

/** One entry of `/shards`. Offsets are text: they are 64-bit integers, which JSON numbers are not. */
export interface ShardView {
  readonly topic: string;
  readonly partition: number;
  readonly incarnation: number;
  readonly table: string | null;
  readonly state: string;
  readonly reason: string | null;
  readonly next_offset: string;
  readonly log_end: string | null;
  readonly lag: string | null;
  readonly owner: string | null;
  readonly epoch: string;
  /** Null where its owner has noted none: then it is closed. */
  readonly breaker: BreakerDocument | null;
  /** Whether this member works on it; only then are log end and lag known here. */
  readonly here: boolean;
}

/** The stored position of a shard, with what this member knows beyond it if the shard is its own. */
export function shardView(stored: ShardPosition, table: string | null, own: ShardSnapshot | undefined): ShardView {
  const lag = own === undefined ? null : backlogOf(own);
  return {
    topic: stored.shard.topic,
    partition: stored.shard.partition,
    incarnation: stored.shard.incarnation,
    table,
    state: own?.state ?? stored.state,
    reason: own === undefined ? stored.note.reason : own.reason,
    next_offset: String(stored.next),
    log_end: own?.logEnd === undefined || own.logEnd === null ? null : String(own.logEnd),
    lag: lag === null ? null : String(lag),
    owner: stored.owner,
    epoch: String(stored.epoch),
    breaker: breakerDocument(own === undefined ? stored.note.breaker : own.breaker),
    here: own !== undefined,
  };
}
