/**
 * Every metric as data: the registry (metrics.ts) and docs/metrics.md are both made from this table. Names and labels are
 * fixed (dashboards and alerts use them): add freely, rename none.
 */

export interface MetricDefinition {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
  readonly buckets?: readonly number[];
}

/** From a commit of one small batch on a local disk to a bulk batch that waits for locks. */
const BATCH_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** Up to the largest batch that the configuration allows (apply.maxBatchChanges). */
const BATCH_CHANGES = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2000, 5000, 10_000, 100_000];

/** From a small table to hours of a large one. */
const COMPARISON_SECONDS = [0.5, 1, 5, 15, 60, 300, 900, 3600, 14_400, 43_200];

/** Metrics of the stream: from the Kafka record to the commit. */
export const STREAM_METRICS = {
  recordsConsumed: {
    type: 'counter',
    name: 'cdc_records_consumed_total',
    help: 'Records taken in from a topic, delivered again or not.',
    labels: ['topic'],
  },
  changes: {
    type: 'counter',
    name: 'cdc_changes_total',
    help: 'Changes with their outcome in the ledger: processed, filtered, dead_lettered.',
    labels: ['table', 'outcome'],
  },
  changesSuperseded: {
    type: 'counter',
    name: 'cdc_changes_superseded_total',
    help: 'Rows that a batch left as they were, because everything in the target was newer or equal.',
    labels: ['table'],
  },
  applyBatchSeconds: {
    type: 'histogram',
    name: 'cdc_apply_batch_seconds',
    help: 'Duration of one committed apply transaction.',
    labels: [],
    buckets: BATCH_SECONDS,
  },
  applyBatchChanges: {
    type: 'histogram',
    name: 'cdc_apply_batch_changes',
    help: 'Changes in one committed apply transaction.',
    labels: [],
    buckets: BATCH_CHANGES,
  },
  backlogDepth: {
    type: 'gauge',
    name: 'cdc_backlog_depth',
    help: 'Records between the committed position and the log end of a shard.',
    labels: ['topic', 'partition'],
  },
  stalenessSeconds: {
    type: 'gauge',
    name: 'cdc_staleness_seconds',
    help: 'How far the target is behind the source; 0 when everything in Kafka is applied.',
    labels: ['table'],
  },
  retries: {
    type: 'counter',
    name: 'cdc_retries_total',
    help: 'Attempts that failed and will be repeated, by the code of the error.',
    labels: ['kind'],
  },
  shardState: {
    type: 'gauge',
    name: 'cdc_shard_state',
    help: '1 for the state that a shard is in at this member, 0 for states it was in: released, loading, verifying, running, or the code that stopped it.',
    labels: ['topic', 'partition', 'state'],
  },
  breakerState: {
    type: 'gauge',
    name: 'cdc_dead_letter_breaker_state',
    help: '1 for the state of the dead-letter breaker of a shard of this member, 0 for the others: closed, open, half-open.',
    labels: ['topic', 'partition', 'state'],
  },
  breakerShare: {
    type: 'gauge',
    name: 'cdc_dead_letter_breaker_share',
    help: 'Share of the recent records of a shard that could not be applied, 0 to 1; deadLetter.breaker.maxRatio opens the breaker.',
    labels: ['topic', 'partition'],
  },
  deadLetters: {
    type: 'counter',
    name: 'cdc_dead_letters_total',
    help: 'Records given up on, by table and reason code.',
    labels: ['table', 'reason'],
  },
  deadLettersPending: {
    type: 'gauge',
    name: 'cdc_dead_letters_pending',
    help: 'Dead letters in the index that are neither redriven nor dismissed.',
    labels: ['table'],
  },
  deadLettersWaiting: {
    type: 'gauge',
    name: 'cdc_dead_letters_waiting',
    help: 'Records that another row may mend and that are tried again by themselves; no dead letters yet.',
    labels: ['table'],
  },
  dlqLetters: {
    type: 'gauge',
    name: 'cdc_dlq_open_letters',
    help: 'Open dead letters by what has become of their record in the DLQ topic: kept, leaving (less than a quarter of its time is left), gone. Shown by one member.',
    labels: ['record'],
  },
  dlqOldestOpen: {
    type: 'gauge',
    name: 'cdc_dlq_oldest_open_seconds',
    help: 'Age of the oldest open dead letter, 0 where none is open.',
    labels: [],
  },
  dlqRetention: {
    type: 'gauge',
    name: 'cdc_dlq_retention_seconds',
    help: 'retention.ms of the DLQ topic; +Inf = for ever.',
    labels: [],
  },
  dlqRecords: {
    type: 'gauge',
    name: 'cdc_dlq_records',
    help: 'Records in the DLQ topic, those of settled letters included.',
    labels: [],
  },
  dlqBytes: {
    type: 'gauge',
    name: 'cdc_dlq_bytes',
    help: 'Size of the records in the DLQ topic, estimated from the index, uncompressed.',
    labels: [],
  },
  dlqNearlyFull: {
    type: 'gauge',
    name: 'cdc_dlq_nearly_full',
    help: '1 where the DLQ topic fills more than three quarters of its retention.bytes, so that records go before their time.',
    labels: [],
  },
  duplicates: {
    type: 'counter',
    name: 'cdc_duplicates_total',
    help: 'Records recognised as copies of a change applied a moment ago.',
    labels: ['table'],
  },
  rereads: {
    type: 'counter',
    name: 'cdc_rereads_total',
    help: 'Rows read again from the source because a change had lost its meaning on the way.',
    labels: ['table'],
  },
  rereadSeconds: {
    type: 'histogram',
    name: 'cdc_reread_seconds',
    help: 'Time that the source took for one read of up to 200 rows: what re-reads cost, per table.',
    labels: ['table'],
    buckets: BATCH_SECONDS,
  },
  rereadsQueued: {
    type: 'gauge',
    name: 'cdc_rereads_queued',
    help: 'Rows that wait to be read again from the source, over all shards of the table.',
    labels: ['table'],
  },
  rereadOldestSeconds: {
    type: 'gauge',
    name: 'cdc_reread_oldest_seconds',
    help: 'Age of the oldest queued re-read; cdc_staleness_seconds is at least this.',
    labels: ['table'],
  },
  bytesInFlight: {
    type: 'gauge',
    name: 'cdc_bytes_in_flight',
    help: 'Bytes of records fetched and not yet committed.',
    labels: [],
  },
  schemaChanges: {
    type: 'counter',
    name: 'cdc_schema_changes_total',
    help: 'Changes of a source table or of its target that were followed (applied) or stopped the table (stopped).',
    labels: ['table', 'outcome'],
  },
  schemaIgnoredColumns: {
    type: 'gauge',
    name: 'cdc_schema_ignored_columns',
    help: 'Columns that were added to the source and are left out (schemaChange: ignore).',
    labels: ['table'],
  },
  dependencyUp: {
    type: 'gauge',
    name: 'cdc_dependency_up',
    help: '1 while the last contact with kafka, postgres or cassandra succeeded, else 0.',
    labels: ['dependency'],
  },
} as const satisfies Readonly<Record<string, MetricDefinition>>;

/** Metrics of reconciliation: what was found missing and what became of it. */
export const RECONCILIATION_METRICS = {
  windowMissing: {
    type: 'counter',
    name: 'cdc_window_missing_total',
    help: 'Changes of the changelog that were proven to have no outcome in the ledger, each once, whether they were replayed since or not.',
    labels: ['table'],
  },
  windowMissingNow: {
    type: 'gauge',
    name: 'cdc_window_missing_changes',
    help: 'Changes that are proven missing and have not been replayed: over all delivery windows that drift.',
    labels: ['table'],
  },
  windowLate: {
    type: 'counter',
    name: 'cdc_window_late_total',
    help: 'Changes that the changelog did not hold when their window was verified before.',
    labels: ['table'],
  },
  windowsReopened: {
    type: 'counter',
    name: 'cdc_windows_reopened_total',
    help: 'Delivery windows that had passed and were found changed at a later horizon.',
    labels: ['table'],
  },
  windowOldestUnverified: {
    type: 'gauge',
    name: 'cdc_window_oldest_unverified_seconds',
    help: 'Age of the oldest delivery window that is due and has not passed; 0 where all have.',
    labels: ['table'],
  },
  windowsVerified: {
    type: 'counter',
    name: 'cdc_windows_verified_total',
    help: 'Verifications of delivery windows by their verdict: PASS, DRIFT, INCONCLUSIVE.',
    labels: ['table', 'verdict'],
  },
  heartbeatDelay: {
    type: 'gauge',
    name: 'cdc_heartbeat_delay_seconds',
    help: 'Age of the newest heartbeat that has come through the capture of a Cassandra node. Grows while its agent stands still. Shown by the member that writes them.',
    labels: ['node'],
  },
  heartbeatsUnwritten: {
    type: 'counter',
    name: 'cdc_heartbeats_unwritten_total',
    help: 'Heartbeats that a Cassandra node did not take.',
    labels: ['node'],
  },
  driftPercentage: {
    type: 'gauge',
    name: 'cdc_reconciliation_drift_percentage',
    help: 'Proven drift of the last comparison, in percent of the rows that were compared.',
    labels: ['table'],
  },
  driftWarning: {
    type: 'gauge',
    name: 'cdc_reconciliation_drift_warning_threshold',
    help: 'Drift in percent above which ReconciliationDriftWarning fires: reconciliation.driftWarningThreshold.',
    labels: [],
  },
  driftCritical: {
    type: 'gauge',
    name: 'cdc_reconciliation_drift_critical_threshold',
    help: 'Drift in percent above which ReconciliationDriftCritical fires: reconciliation.driftCriticalThreshold.',
    labels: [],
  },
  cassandraRows: {
    type: 'gauge',
    name: 'cdc_reconciliation_cassandra_rows',
    help: 'Rows of the source that the last comparison saw.',
    labels: ['table'],
  },
  postgresRows: {
    type: 'gauge',
    name: 'cdc_reconciliation_postgres_rows',
    help: 'Rows of the target that the last comparison saw.',
    labels: ['table'],
  },
  coverageRatio: {
    type: 'gauge',
    name: 'cdc_reconciliation_coverage_ratio',
    help: 'Share of the ranges due that the last comparison scanned, 0 to 1.',
    labels: ['table'],
  },
  lastCleanPass: {
    type: 'gauge',
    name: 'cdc_reconciliation_last_clean_pass_timestamp_seconds',
    help: 'When a comparison of the table last ended with PASS, seconds since the epoch.',
    labels: ['table'],
  },
  mismatches: {
    type: 'counter',
    name: 'cdc_reconciliation_mismatches_total',
    help: 'Rows that comparisons proved to differ, by type.',
    labels: ['table', 'type'],
  },
  jobsCompleted: {
    type: 'counter',
    name: 'cdc_reconciliation_jobs_completed_total',
    help: 'Comparisons that ended, by strategy and status: COMPLETED, FAILED, CANCELLED. Counted by the owner of the first shard.',
    labels: ['table', 'strategy', 'status'],
  },
  jobSeconds: {
    type: 'histogram',
    name: 'cdc_reconciliation_duration_seconds',
    help: 'Duration of comparisons that ended with a verdict.',
    labels: ['strategy'],
    buckets: COMPARISON_SECONDS,
  },
  repairs: {
    type: 'counter',
    name: 'cdc_repairs_total',
    help: 'Drifting rows that were to be repaired, by what became of them: applied, stale (changed meanwhile), review, failed.',
    labels: ['table', 'outcome'],
  },
  autoCorrections: {
    type: 'counter',
    name: 'cdc_reconciliation_auto_corrections_total',
    help: 'Findings that a comparison repaired, by their type.',
    labels: ['table', 'correction_type'],
  },
  ruleMismatches: {
    type: 'gauge',
    name: 'cdc_reconciliation_rule_mismatches',
    help: 'Keys that the last run of a business rule proved to differ and that nobody has accepted.',
    labels: ['rule', 'severity'],
  },
  ruleLastPass: {
    type: 'gauge',
    name: 'cdc_reconciliation_rule_last_pass_timestamp_seconds',
    help: 'When a business rule last passed, seconds since the epoch.',
    labels: ['rule'],
  },
  ruleRuns: {
    type: 'counter',
    name: 'cdc_reconciliation_rule_runs_total',
    help: 'Runs of business rules by verdict: PASS, DRIFT, INCONCLUSIVE; FAILED or CANCELLED without one. Counted by the owner of the first shard.',
    labels: ['rule', 'verdict'],
  },
  replayed: {
    type: 'counter',
    name: 'cdc_replayed_total',
    help: 'Missing changes that were replayed, by what became of them: applied, queued (read again from the source), superseded (the row shows it or something newer), repaired, review (left to a person), failed.',
    labels: ['table', 'outcome'],
  },
} as const satisfies Readonly<Record<string, MetricDefinition>>;

/** The tables of docs/metrics.md. */
export const METRIC_SECTIONS: Readonly<Record<string, Readonly<Record<string, MetricDefinition>>>> = {
  Stream: STREAM_METRICS,
  Reconciliation: RECONCILIATION_METRICS,
};
