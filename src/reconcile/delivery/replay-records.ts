/** Replays missed changes whose records are still in Kafka: through the outside door, with their IDs into the ledger. */
import { itemOf, type ChangeItem } from '../../consume/item.ts';
import type { Decoder } from '../../decode/record.ts';
import { LockstepError, messageOf } from '../../shared/errors.ts';
import type { ShardId } from '../../target/batch.ts';
import type { PacedDoor } from '../../target/paced-door.ts';
import type { Replay } from './verify-windows.ts';

/** Changes in one transaction under the exclusive gate: ≤ 50 ms of holding it (DESIGN §5). */
const BATCH_CHANGES = 50;

export interface ReplayParts {
  readonly door: PacedDoor;
  readonly decoderOf: (table: string) => Decoder | null;
  /** The shards of a topic's present incarnation. */
  readonly shardsOf: (topic: string) => Promise<readonly ShardId[]>;
  /** A change that can't be applied stays missing; somebody has to look. */
  readonly onFailure: (table: string, item: ChangeItem, reason: string) => void;
}

/** Entries that only an account of the source knows of are left out: their rows have to be read from there. */
export function replayRecords(parts: ReplayParts): Replay {
  const { door, decoderOf, shardsOf, onFailure } = parts;

  async function apply(
    shard: ShardId,
    table: string,
    items: readonly ChangeItem[],
    applied: Set<string>,
    signal: AbortSignal,
  ): Promise<void> {
    try {
      const changes = items.map(({ record, change, id }) => ({ offset: record.offset, change, id }));
      await door.apply({ shard, table, origin: 'replay', changes, also: () => [], dryRun: false }, signal);
      for (const { id } of items) applied.add(id);
    } catch (error) {
      if (!(error instanceof LockstepError) || error.kind !== 'row') throw error;
      const [only] = items;
      if (items.length === 1 && only !== undefined) {
        onFailure(table, only, messageOf(error));
        return;
      }
      const middle = Math.ceil(items.length / 2);
      await apply(shard, table, items.slice(0, middle), applied, signal);
      await apply(shard, table, items.slice(middle), applied, signal);
    }
  }

  return async (table, entries, signal) => {
    const applied = new Set<string>();
    const decoder = decoderOf(table);
    if (decoder === null) return applied;
    const items = entries.flatMap(({ evidence }) => {
      if (evidence.kind !== 'record') return [];
      const item = itemOf(evidence.record, decoder);
      return item.kind === 'change' ? [item] : [];
    });
    const topic = items[0]?.record.topic;
    if (topic === undefined) return applied;
    const shards = await shardsOf(topic);
    for (const [partition, own] of Map.groupBy(items, ({ record }) => record.partition)) {
      const shard = shards.find((each) => each.partition === partition);
      for (let at = 0; shard !== undefined && at < own.length; at += BATCH_CHANGES) {
        await apply(shard, table, own.slice(at, at + BATCH_CHANGES), applied, signal);
      }
    }
    return applied;
  };
}
