import { rowKey, type Bound, type ChangeEvent } from './change-event.ts';
import { identify, type ChangeId } from './change-id.ts';
import type { WriteTime } from './write-time.ts';

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

/** Microseconds of a millisecond, the whole one first: drivers' clocks count up from it. */
const MICROSECONDS = 1_000n;

/**
 * The write time of a change of which only the ID is known: the microsecond, within the millisecond that the ID begins
 * with, whose hash it is. Null where there is none: a time at the ends that IDs are clamped to, or another encoding.
 */
export function writeTimeOf(id: ChangeId, change: Omit<ChangelogChange, 'writeTime'>): WriteTime | null {
  const startUs = BigInt(`0x${id.slice(0, 12)}`) * MICROSECONDS;
  for (let us = 0n; us < MICROSECONDS; us++) {
    if (changeIdOf({ ...change, writeTime: startUs + us }) === id) return startUs + us;
  }
  return null;
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
