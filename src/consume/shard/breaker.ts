/**
 * The dead-letter breaker (pure): when most of what arrives can't be applied, the fault is not in the records, and moving
 * a whole topic to the DLQ would only hide it. Asked before anything is produced.
 */
import type { BreakerReading } from '../../target/stores/shard-note.ts';

export interface BreakerLimits {
  /** Opens at this share of dead letters among the recent records. */
  readonly maxRatio: number;
  /** Says nothing about fewer records than this. */
  readonly minRecords: number;
}

/** Recent records and dead letters of one shard; old ones fade out. */
export interface BreakerCounts {
  readonly records: number;
  readonly deadLetters: number;
}

export const noCounts: BreakerCounts = { records: 0, deadLetters: 0 };

/** Beyond this many times `minRecords` the counts are halved, so that a healthy past does not hide a broken present. */
const MEMORY_FACTOR = 10;

/** Counts with a committed batch in them. */
export function counted(counts: BreakerCounts, batch: BreakerCounts, limits: BreakerLimits): BreakerCounts {
  const { records, deadLetters } = withBatch(counts, batch);
  return records > limits.minRecords * MEMORY_FACTOR
    ? { records: records / 2, deadLetters: deadLetters / 2 }
    : { records, deadLetters };
}

/** Whether a batch must not be produced to the DLQ. A batch without dead letters always passes. */
export function breakerOpens(counts: BreakerCounts, batch: BreakerCounts, limits: BreakerLimits): boolean {
  if (batch.deadLetters === 0) return false;
  const { records, deadLetters } = withBatch(counts, batch);
  return records >= limits.minRecords && deadLetters >= limits.maxRatio * records;
}

/** A breaker at this moment: the counts that opened it and when, or the recent ones where it is closed. */
export interface BreakerState {
  readonly counts: BreakerCounts;
  readonly openedMs: number | null;
}

/** The counts that a refused batch brings about. */
export function withBatch(counts: BreakerCounts, batch: BreakerCounts): BreakerCounts {
  return { records: counts.records + batch.records, deadLetters: counts.deadLetters + batch.deadLetters };
}

/** For operators. An open breaker whose shard is not stopped is being probed: half-open. */
export function breakerReading({ counts, openedMs }: BreakerState, isStopped: boolean): BreakerReading {
  const state = openedMs === null ? 'closed' : isStopped ? 'open' : 'half-open';
  const share = counts.records === 0 ? 0 : counts.deadLetters / counts.records;
  return { state, share, records: Math.round(counts.records), sinceMs: openedMs };
}
