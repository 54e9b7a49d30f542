/**
 * The dead-letter breaker (pure): when most of what arrives can't be applied, the fault is not in the records, and moving
 * a whole topic to the DLQ would only hide it. Asked before anything is produced.
 */
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
  const records = counts.records + batch.records;
  const deadLetters = counts.deadLetters + batch.deadLetters;
  return records > limits.minRecords * MEMORY_FACTOR
    ? { records: records / 2, deadLetters: deadLetters / 2 }
    : { records, deadLetters };
}

/** Whether a batch must not be produced to the DLQ. A batch without dead letters always passes. */
export function breakerOpens(counts: BreakerCounts, batch: BreakerCounts, limits: BreakerLimits): boolean {
  if (batch.deadLetters === 0) return false;
  const records = counts.records + batch.records;
  const deadLetters = counts.deadLetters + batch.deadLetters;
  return records >= limits.minRecords && deadLetters >= limits.maxRatio * records;
}
