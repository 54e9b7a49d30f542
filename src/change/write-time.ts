/**
 * A source's write time: microseconds since the epoch, any int64 (−5, 862 and 2^63−1 were all seen). Never the wall
 * clock of this process. Compared as `bigint`; `Number` would merge neighbours above 2^53.
 */
export type WriteTime = bigint;

/** Seconds by which an expiry computed from a remaining TTL may differ from the event's; a TTL has whole seconds. */
export const TTL_SLACK_US = 2_000_000n;

export const INT64_MIN = -(2n ** 63n);
export const INT64_MAX = 2n ** 63n - 1n;

/**
 * "Never written". Cassandra keeps Long.MIN_VALUE for exactly this (`LivenessInfo.NO_TIMESTAMP`), so no real write
 * carries it. In the target's arrays it stands for a missing entry: not NULL, which would make every comparison NULL ⚠.
 */
export const NEVER: WriteTime = INT64_MIN;
