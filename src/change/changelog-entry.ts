import { rowKey, type Bound, type ChangeEvent } from './change-event.ts';
import { identify, type ChangeId } from './change-id.ts';

/** Kinds of change that an account of the source can name. */
export type ChangeKind = ChangeEvent['kind'];

/** What an independent account says of one change: enough for its change ID, nothing of its cells. */
export interface ChangelogChange {
  /** `keyspace.table`. */
  readonly table: string;
  readonly kind: ChangeKind;
  /** Canonical texts of the whole primary key; of the partition key for partition and range deletes. */
  readonly key: readonly string[];
  /** Of range deletes only. */
  readonly bounds: { readonly start: Bound; readonly end: Bound } | null;
  /** µs since the epoch. */
  readonly writeTime: bigint;
}

/** The change ID that the captured event of this change has: the account and the stream meet in it. */
export function changeIdOf(change: ChangelogChange): ChangeId {
  const { table, kind, writeTime, bounds } = change;
  const key = rowKey(change.key);
  const base = { table, writeTime, ambiguity: null };
  switch (kind) {
    case 'write':
      return identify({ ...base, kind, key, marker: null, cells: [] }).id;
    case 'row-delete':
      return identify({ ...base, kind, key }).id;
    case 'partition-delete':
      return identify({ ...base, kind, partition: key }).id;
    case 'range-delete': {
      const unbounded: Bound = { values: [], inclusive: true };
      const { start, end } = bounds ?? { start: unbounded, end: unbounded };
      return identify({ ...base, kind, partition: key, start, end }).id;
    }
  }
}
