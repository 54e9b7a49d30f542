import type { Marker } from './change-event.ts';
import { isAlive, isVisible, type RowState } from './row-state.ts';
import type { WriteTime } from './write-time.ts';

function isMarkerAlive(marker: Marker | null, nowUs: bigint): marker is Marker {
  return marker !== null && (marker.expiry === null || marker.expiry > nowUs);
}

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
    isMarkerAlive(marker, nowUs) &&
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

/** What of a row's changes is below the purged horizon and would show, and the changes without it. */
export interface BelowHorizon {
  readonly rest: RowState;
  /** By position, with the time at which the column was written. */
  readonly columns: ReadonlyMap<number, WriteTime>;
  readonly marker: WriteTime | null;
}

/**
 * Takes out of a row's changes what only the source can still judge: values and marker at or below the purged horizon that
 * would be visible now. Tombstones and what has expired stay: they show nothing.
 */
export function belowHorizon(incoming: RowState, purgedUntil: WriteTime, nowUs: bigint): BelowHorizon {
  const columns = new Map<number, WriteTime>();
  const cells = incoming.cells.map((cell, i) => {
    if (cell === null || cell.writeTime > purgedUntil || !isVisible(cell, nowUs)) return cell;
    columns.set(i, cell.writeTime);
    return null;
  });
  const { marker } = incoming;
  const isOld = isMarkerAlive(marker, nowUs) && marker.writeTime <= purgedUntil;
  return {
    rest: { ...incoming, marker: isOld ? null : marker, cells },
    columns,
    marker: isOld ? marker.writeTime : null,
  };
}
