import type { Cell, Marker } from '../change/change-event.ts';
import type { RowState } from '../change/row-state.ts';

function sameMarker(left: Marker | null, right: Marker | null): boolean {
  if (left === null || right === null) return left === right;
  return left.writeTime === right.writeTime && left.expiry === right.expiry;
}

function sameCell(left: Cell | null, right: Cell | null): boolean {
  if (left === null || right === null) return left === right;
  return (
    left.writeTime === right.writeTime &&
    left.value === right.value &&
    left.expiry === right.expiry &&
    left.sequence === right.sequence
  );
}

/** Whether two states of a row are one, to the last field. Asked of every row under the gate: no reflection. */
export function sameRow(left: RowState, right: RowState): boolean {
  return (
    left.deletedAt === right.deletedAt &&
    sameMarker(left.marker, right.marker) &&
    left.cells.every((cell, i) => sameCell(cell, right.cells[i] ?? null))
  );
}
