import type { RecordMark, ShardId } from './batch.ts';
import type { ShardNote } from './stores/shard-note.ts';

export interface ShardPosition {
  readonly shard: ShardId;
  readonly next: bigint;
  readonly lastRecord: RecordMark | null;
  readonly owner: string | null;
  readonly epoch: bigint;
  /** `running`, or the code that stopped it. */
  readonly state: string;
  readonly note: ShardNote;
}

export interface Gap {
  readonly shard: ShardId;
  /** Must equal the stored position. */
  readonly from: bigint;
  /** The log start: first offset that still exists. */
  readonly to: bigint;
  /** Record times around the gap where known, ms. */
  readonly afterMs: number | null;
  readonly beforeMs: number | null;
}

/** Positions of the shards of a topic, kept in `_cdc_offsets`. */
export interface ShardStore {
  /** Creates the rows of all partitions that have none, at once, each at its log start; returns all positions. */
  ensure(topic: string, logStarts: readonly bigint[]): Promise<readonly ShardPosition[]>;
  load(topic: string, partition: number): Promise<ShardPosition | null>;
  /** Notes who works on the shard now (information, not a fence) and raises its epoch. */
  claim(shard: ShardId, owner: string): Promise<ShardPosition>;
  /** Writes the gap row and moves the position over it in one transaction. False where the position was not `from`. */
  recordGap(gap: Gap): Promise<boolean>;
  /** Records the code that stopped a shard, or `running`, with what there is to say about it. */
  setState(shard: ShardId, state: string, note: ShardNote): Promise<void>;
}
