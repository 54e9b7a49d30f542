import { isAlive, isVisible, type RowState } from './row-state.ts';
import type { WriteTime } from './write-time.ts';

/** Whether a row's changes reach back to where tombstones were purged (`purgedUntil` itself included). */
export function reachesPurged(row: RowState, purgedUntil: WriteTime): boolean {
  if (row.marker !== null && row.marker.writeTime <= purgedUntil) return true;
  return row.cells.some((cell) => cell !== null && cell.writeTime <= purgedUntil);
}

/**
 * Whether merging would make something visible that a purged tombstone may have covered: below the purged horizon
 * nothing is decided by version (DESIGN §10, invariant 4). What stood there before, what loses against something newer
 * and what removes is decided as always.
 *
 * @param before the row as known without the changes, tombstones applied.
 * @param after the merge of `before` and `incoming`, tombstones applied.
 */
export function showsPurged(
  before: RowState,
  incoming: RowState,
  after: RowState,
  purgedUntil: WriteTime,
  nowUs: bigint,
): boolean {
  if (!isAlive(after, nowUs)) return false;
  const { marker } = incoming;
  if (
    marker !== null &&
    marker.writeTime <= purgedUntil &&
    after.marker?.writeTime === marker.writeTime &&
    before.marker?.writeTime !== marker.writeTime
  ) {
    return true;
  }
  return incoming.cells.some((cell, i) => {
    if (cell === null || cell.writeTime > purgedUntil) return false;
    const shown = after.cells[i] ?? null;
    if (shown?.writeTime !== cell.writeTime || !isVisible(shown, nowUs)) return false;
    const stood = before.cells[i] ?? null;
    return stood?.writeTime !== cell.writeTime || stood.value !== shown.value;
  });
}
