import type { Pool } from 'pg';
import type { Configuration } from '../../config/index.ts';
import type { Consumer, KafkaPort } from '../../consume/index.ts';
import type { Clock } from '../../shared/clock.ts';
import type { ShardId } from '../../target/batch.ts';
import type { ReadRows } from '../../target/index.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Prepared } from '../connect/preparation.ts';
import type { DependencyBoard } from './readiness.ts';
import type { RereadBoard } from './reread-board.ts';
import { isStopped } from './shard-view.ts';
import type { StalenessTracker } from '../telemetry/staleness.ts';

/** The parts of a running service that are looked after. */
export interface RunningParts {
  readonly configuration: Configuration;
  readonly prepared: Prepared;
  readonly consumer: Consumer;
  readonly port: KafkaPort;
  readonly pool: Pool;
  readonly metrics: Metrics;
  readonly dependencies: DependencyBoard;
  readonly staleness: StalenessTracker;
  readonly rereadBoard: RereadBoard;
  /** Null where no source is configured. */
  readonly readRows: ReadRows | null;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What is told of upkeep that failed; it is tried again by itself. */
export type Report = (what: string) => (error: unknown, failures: number) => void;

export type OwnShard = ShardId & { readonly table: string };

/** The shards that this member works on and that are not stopped, each with its table. */
export function ownShards({ consumer }: RunningParts): readonly OwnShard[] {
  return consumer
    .shards()
    .filter(({ state }) => !isStopped(state) && state !== 'loading')
    .map(({ table, topic, incarnation, partition }) => ({ table, topic, incarnation, partition }));
}
