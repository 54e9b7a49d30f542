import type { ConsumeObserver } from '../../consume/observer.ts';
import type { Outcome } from '../../target/batch.ts';
import type { Clock } from '../../shared/clock.ts';
import type { Logger } from './logger.ts';
import type { Metrics } from './metrics.ts';
import type { DependencyBoard } from '../service/readiness.ts';
import type { StalenessTracker } from './staleness.ts';

export interface StreamObserverOptions {
  readonly metrics: Metrics;
  readonly dependencies: DependencyBoard;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly staleness: StalenessTracker;
  /** Source table of each topic. */
  readonly tableOfTopic: ReadonlyMap<string, string>;
}

/** Every outcome a change can have in the ledger. */
const OUTCOMES: readonly Outcome[] = ['processed', 'filtered', 'dead_lettered'];

/** The state of a shard that this member does not have. */
const RELEASED = 'released';

/** Turns what the consumer reports into metrics, readiness and log entries. */
export function createStreamObserver(options: StreamObserverOptions): ConsumeObserver {
  const { dependencies, logger, clock, staleness, tableOfTopic } = options;
  const { stream } = options.metrics;
  const states = new Map<string, string>();
  const tableOf = (topic: string) => tableOfTopic.get(topic) ?? topic;

  // Series that begin at 0 let rate() see their first increase.
  for (const [topic, table] of tableOfTopic) {
    stream.recordsConsumed.inc({ topic }, 0);
    for (const outcome of OUTCOMES) stream.changes.inc({ table, outcome }, 0);
    for (const counter of [stream.changesSuperseded, stream.duplicates, stream.rereads]) counter.inc({ table }, 0);
  }

  // Growing between commits, the figure can only be right when it is asked for.
  options.metrics.beforeScrape(() => {
    for (const table of tableOfTopic.values()) {
      stream.stalenessSeconds.set({ table }, staleness.seconds(table, clock.nowMs()));
      stream.rereadOldestSeconds.set({ table }, staleness.oldestRereadSeconds(table, clock.nowMs()));
    }
  });

  return {
    recordsConsumed: (topic, count) => {
      stream.recordsConsumed.inc({ topic }, count);
    },
    changes: (table, outcome, count) => {
      stream.changes.inc({ table, outcome }, count);
    },
    duplicates: (table, count) => {
      stream.duplicates.inc({ table }, count);
    },
    superseded: (table, count) => {
      stream.changesSuperseded.inc({ table }, count);
    },
    batchApplied: (seconds, changes) => {
      stream.applyBatchSeconds.observe(seconds);
      stream.applyBatchChanges.observe(changes);
      dependencies.up('postgres');
    },
    backlog: (topic, partition, depth) => {
      stream.backlogDepth.set({ topic, partition }, depth);
      staleness.backlog(tableOf(topic), `${topic}/${partition}`, depth);
    },
    staleness: (table, seconds) => {
      staleness.committed(table, seconds, clock.nowMs());
    },
    retried: (kind) => {
      stream.retries.inc({ kind });
    },
    shardState: (topic, partition, state) => {
      const shard = `${topic}/${partition}`;
      const before = states.get(shard);
      if (before !== undefined && before !== state) stream.shardState.set({ topic, partition, state: before }, 0);
      stream.shardState.set({ topic, partition, state }, 1);
      states.set(shard, state);
      if (state !== RELEASED) return;
      // Another member reports the shard's backlog now; ours would stand still.
      stream.backlogDepth.remove({ topic, partition });
      staleness.released(tableOf(topic), shard);
    },
    deadLettered: (table, code, count) => {
      stream.deadLetters.inc({ table, reason: code }, count);
    },
    bytesInFlight: (bytes) => {
      stream.bytesInFlight.set(bytes);
    },
    gap: (topic, partition, from, to) => {
      logger.error(
        { topic, partition, from: String(from), to: String(to) },
        'records are gone from Kafka that were never read; their windows stay open: reconcile this table',
      );
    },
    group: (state) => {
      switch (state.kind) {
        case 'joined':
          dependencies.up('kafka');
          logger.info({ partitions: state.partitions }, 'joined the consumer group');
          break;
        case 'failing':
          dependencies.down('kafka', state.reason);
          logger.warn(
            { reason: state.reason, attempt: state.attempt, retryMs: state.retryMs },
            'Kafka fails, retrying',
          );
          break;
        case 'connecting':
        case 'stopped':
          logger.debug({ state: state.kind }, 'consumer group');
          break;
      }
    },
  };
}
