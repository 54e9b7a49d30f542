/** Every limit of the consumer: unit, default and reason in one place. Compiled once; no `undefined` afterwards. */
export interface ConsumeLimits {
  /** Changes in one transaction. 2,000 measured as good as 5,000 and holds locks for half the time. */
  readonly maxBatchChanges: number;
  /** Bytes of records in one transaction. */
  readonly maxBatchBytes: number;
  /** Bytes of records over all shards that are fetched and not yet committed. */
  readonly maxBytesInFlight: number;
  /** Bytes of one shard that wait behind its transaction; more make its fetch wait. Enough to fill the next batch. */
  readonly maxQueuedBytes: number;
  /** Decoding gives way to heartbeats and other shards' I/O after this long. */
  readonly decodeSliceMs: number;
  /** First pause of a transient error; doubles, with full jitter, up to the next. */
  readonly retryMinMs: number;
  readonly retryMaxMs: number;
  /** A stopped shard tries again this often, because somebody may have repaired what stopped it. */
  readonly probeMs: number;
  /** Fingerprints remembered per shard. 16k × about 100 bytes; Debezium's copies come a second apart. */
  readonly recentFingerprints: number;
  /** Statement timeouts on one batch before it is halved. */
  readonly timeoutsBeforeBisection: number;
  /** How often log ends and positions are read for shards that get no batches: their backlog, and commits that were lost. */
  readonly logEndsMs: number;
  /** After fetching stood still for this long (a target that was away), every shard compares its record again. */
  readonly recheckMs: number;
  /** While a fetch waits for room, the group hears from us this often. */
  readonly heartbeatMs: number;
  /** A transaction that takes longer than this to finish does not hold up a stop. */
  readonly stopMs: number;
}

export const defaultLimits: ConsumeLimits = {
  maxBatchChanges: 2_000,
  maxBatchBytes: 8 * 1024 * 1024,
  maxBytesInFlight: 64 * 1024 * 1024,
  maxQueuedBytes: 768 * 1024,
  decodeSliceMs: 4,
  retryMinMs: 100,
  retryMaxMs: 15_000,
  probeMs: 30_000,
  recentFingerprints: 16_384,
  timeoutsBeforeBisection: 3,
  logEndsMs: 10_000,
  recheckMs: 30_000,
  heartbeatMs: 1_000,
  stopMs: 10_000,
};
