/**
 * What the consumer reports while it works: the stream metrics of INTERFACE, without the metrics library. Every method
 * must return quickly and never throw. Times in milliseconds unless the name says otherwise.
 */
import type { Outcome } from '../target/batch.ts';
import type { GroupState } from './kafka/kafka-port.ts';

export interface ConsumeObserver {
  /** cdc_records_consumed_total: records taken into the pipeline, delivered again or not. */
  recordsConsumed(topic: string, count: number): void;
  /** cdc_changes_total: counted after COMMIT. */
  changes(table: string, outcome: Outcome, count: number): void;
  /** cdc_duplicates_total. */
  duplicates(table: string, count: number): void;
  /** cdc_changes_superseded_total. */
  superseded(table: string, count: number): void;
  /** cdc_apply_batch_seconds and cdc_apply_batch_changes, of a committed batch. */
  batchApplied(seconds: number, changes: number): void;
  /** cdc_backlog_depth: log end − position. */
  backlog(topic: string, partition: number, depth: number): void;
  /** cdc_staleness_seconds: how old the newest change of the last committed batch was at its COMMIT. */
  staleness(table: string, seconds: number): void;
  /** cdc_retries_total: `kind` is the code of the error. */
  retried(kind: string): void;
  /** cdc_shard_state: a phase, or the code that stopped the shard. */
  shardState(topic: string, partition: number, state: string): void;
  /** cdc_dead_letters_total: counted after COMMIT. */
  deadLettered(table: string, code: string, count: number): void;
  /** cdc_bytes_in_flight, over all shards. */
  bytesInFlight(bytes: number): void;
  /** Records that are gone from the log before they were read: alarm. */
  gap(topic: string, partition: number, from: bigint, to: bigint): void;
  /** Connection to Kafka, for readiness and log. */
  group(state: GroupState): void;
}

/** Observes nothing. */
export const silentObserver: ConsumeObserver = {
  recordsConsumed: () => undefined,
  changes: () => undefined,
  duplicates: () => undefined,
  superseded: () => undefined,
  batchApplied: () => undefined,
  backlog: () => undefined,
  staleness: () => undefined,
  retried: () => undefined,
  shardState: () => undefined,
  deadLettered: () => undefined,
  bytesInFlight: () => undefined,
  gap: () => undefined,
  group: () => undefined,
};
