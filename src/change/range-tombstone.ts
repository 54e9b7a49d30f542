import type { Bound } from './change-event.ts';
import type { WriteTime } from './write-time.ts';

/**
 * A tombstone over the rows of one partition between two bounds. A partition delete is the one without bounds.
 * Bounds stand in the source's comparator order (DESC columns already turned round by whoever captured them).
 */
export interface RangeTombstone {
  readonly start: Bound;
  readonly end: Bound;
  readonly writeTime: WriteTime;
}

export const UNBOUNDED: Bound = { values: [], inclusive: true };

/** Comparators of the clustering columns, in key order, DESC included: Cassandra's `ClusteringComparator`. */
export type ClusteringOrder = readonly ((left: string, right: string) => number)[];

function comparePrefix(order: ClusteringOrder, clustering: readonly string[], prefix: readonly string[]): number {
  for (let i = 0; i < prefix.length; i++) {
    const compared = order[i]?.(clustering[i] ?? '', prefix[i] ?? '') ?? 0;
    if (compared !== 0) return compared;
  }
  return 0;
}

/** Whether the row with this clustering key lies between the bounds. */
export function covers(tombstone: RangeTombstone, order: ClusteringOrder, clustering: readonly string[]): boolean {
  const fromStart = comparePrefix(order, clustering, tombstone.start.values);
  if (fromStart < 0 || (fromStart === 0 && !tombstone.start.inclusive)) return false;
  const fromEnd = comparePrefix(order, clustering, tombstone.end.values);
  return fromEnd < 0 || (fromEnd === 0 && tombstone.end.inclusive);
}

/** The write time of the newest tombstone that covers the row, or `floor` where none is newer. */
export function newestCovering(
  tombstones: readonly RangeTombstone[],
  order: ClusteringOrder,
  clustering: readonly string[],
  floor: WriteTime,
): WriteTime {
  let newest = floor;
  for (const tombstone of tombstones) {
    if (tombstone.writeTime > newest && covers(tombstone, order, clustering)) newest = tombstone.writeTime;
  }
  return newest;
}

/**
 * Where a bound cuts the order: just before or just after the rows that begin with its values. A start that includes
 * them and an end that excludes them cut before, the other two after.
 */
function compareCuts(
  order: ClusteringOrder,
  left: { readonly values: readonly string[]; readonly after: boolean },
  right: { readonly values: readonly string[]; readonly after: boolean },
): number {
  const shared = Math.min(left.values.length, right.values.length);
  const compared = comparePrefix(order, left.values, right.values.slice(0, shared));
  if (compared !== 0) return compared;
  if (left.values.length === right.values.length) return Number(left.after) - Number(right.after);
  // The shorter prefix stands before or after everything that begins with it, the longer cut included.
  if (left.values.length < right.values.length) return left.after ? 1 : -1;
  return right.after ? -1 : 1;
}

/** Whether `outer` makes `inner` superfluous: the same rows or more, at the same time or later. */
export function includes(outer: RangeTombstone, inner: RangeTombstone, order: ClusteringOrder): boolean {
  if (outer.writeTime < inner.writeTime) return false;
  const start = (t: RangeTombstone) => ({ values: t.start.values, after: !t.start.inclusive });
  const end = (t: RangeTombstone) => ({ values: t.end.values, after: t.end.inclusive });
  return compareCuts(order, start(outer), start(inner)) <= 0 && compareCuts(order, end(outer), end(inner)) >= 0;
}
