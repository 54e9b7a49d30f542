import type { Cell, Marker, RowDelete, RowWrite } from './change-event.ts';
import { NEVER, type WriteTime } from './write-time.ts';

/**
 * A row as a join-semilattice (DESIGN §1): the newest tombstone over it, its marker, and one cell per column. Merging is
 * commutative, associative and idempotent and never reads a clock; only visibility (`isAlive`, `isVisible`) does ⚠.
 *
 * Normal form: whatever a tombstone covers (write time ≤ `deletedAt`) is not kept, so two histories with the same
 * changes give the same state to the last field.
 */
export interface RowState {
  /** Write time of the newest row, partition or range tombstone in force, or NEVER. */
  readonly deletedAt: WriteTime;
  readonly marker: Marker | null;
  readonly cells: readonly (Cell | null)[];
}

/** Order of two different values of one column by their serialised bytes, as Cassandra's tie rule wants it. */
export type ValueOrder = (left: string, right: string) => number;

/** Position of a cell state in the tie rule: tombstone > expiring > live. */
function rank(cell: Cell): number {
  if (cell.expiry !== null) return 1;
  return cell.value === null ? 2 : 0;
}

/**
 * True where `right` replaces `left`. Cassandra's rule (`Cells.resolveRegular`): the newer write time; at equal times
 * tombstone > expiring > live; of two expiring the later expiry; then the larger serialised bytes. A swept cell (expiry
 * without value) ties with its own original and stays.
 */
export function replaces(right: Cell, left: Cell, order: ValueOrder): boolean {
  if (right.writeTime !== left.writeTime) return right.writeTime > left.writeTime;
  const rightRank = rank(right);
  const leftRank = rank(left);
  if (rightRank !== leftRank) return rightRank > leftRank;
  if (right.expiry !== left.expiry && right.expiry !== null && left.expiry !== null) return right.expiry > left.expiry;
  if (right.value === null || left.value === null || right.value === left.value) return false;
  return order(right.value, left.value) > 0;
}

/**
 * Cassandra's `LivenessInfo.supersedes`: the newer time; at equal times expiring beats lasting, then the later expiry.
 */
export function markerReplaces(right: Marker, left: Marker): boolean {
  if (right.writeTime !== left.writeTime) return right.writeTime > left.writeTime;
  if (right.expiry === null) return false;
  return left.expiry === null || right.expiry > left.expiry;
}

export function mergeMarkers(left: Marker | null, right: Marker | null): Marker | null {
  if (left === null) return right;
  if (right === null) return left;
  return markerReplaces(right, left) ? right : left;
}

/** The state of a row that nothing is known of. */
export function emptyRow(columns: number): RowState {
  return { deletedAt: NEVER, marker: null, cells: new Array<Cell | null>(columns).fill(null) };
}

/** What one change says about its row. */
export function stateOf(change: RowWrite | RowDelete, columns: number): RowState {
  if (change.kind === 'row-delete') return { ...emptyRow(columns), deletedAt: change.writeTime };
  return { deletedAt: NEVER, marker: change.marker, cells: change.cells };
}

/** The row under one more tombstone: everything written at or before it is gone. */
export function cover(row: RowState, deletedAt: WriteTime): RowState {
  if (deletedAt <= row.deletedAt) return row;
  return {
    deletedAt,
    marker: row.marker !== null && row.marker.writeTime > deletedAt ? row.marker : null,
    cells: row.cells.map((cell) => (cell !== null && cell.writeTime > deletedAt ? cell : null)),
  };
}

/** The join of two states of one row. `orders` gives each column's byte order. */
export function mergeRows(left: RowState, right: RowState, orders: readonly ValueOrder[]): RowState {
  const deletedAt = left.deletedAt > right.deletedAt ? left.deletedAt : right.deletedAt;
  const a = cover(left, deletedAt);
  const b = cover(right, deletedAt);
  const cells = a.cells.slice();
  for (let i = 0; i < orders.length; i++) {
    const incoming = b.cells[i] ?? null;
    if (incoming === null) continue;
    const current = cells[i] ?? null;
    const order = orders[i];
    if (order !== undefined && (current === null || replaces(incoming, current, order))) cells[i] = incoming;
  }
  return { deletedAt, marker: mergeMarkers(a.marker, b.marker), cells };
}

/** Whether a cell shows a value at `nowUs`. */
export function isVisible(cell: Cell | null, nowUs: bigint): boolean {
  return cell?.value != null && (cell.expiry === null || cell.expiry > nowUs);
}

/** A row exists while its marker or any regular cell is alive. */
export function isAlive(row: RowState, nowUs: bigint): boolean {
  const { marker } = row;
  if (marker !== null && (marker.expiry === null || marker.expiry > nowUs)) return true;
  return row.cells.some((cell) => isVisible(cell, nowUs));
}

/**
 * The row as it shows at `nowUs`: expired values lose their bytes and keep write time and expiry, so that a second cell
 * of the same time is judged as before ⚠.
 */
export function sweep(row: RowState, nowUs: bigint): RowState {
  if (!row.cells.some((cell) => cell?.value != null && cell.expiry !== null && cell.expiry <= nowUs)) return row;
  return {
    ...row,
    cells: row.cells.map((cell) =>
      cell?.value != null && cell.expiry !== null && cell.expiry <= nowUs ? { ...cell, value: null } : cell,
    ),
  };
}

/** The next moment at which something visible in the row expires, or null. */
export function nextExpiry(row: RowState, nowUs: bigint): bigint | null {
  let next: bigint | null = null;
  const consider = (expiry: bigint | null): void => {
    if (expiry !== null && expiry > nowUs && (next === null || expiry < next)) next = expiry;
  };
  consider(row.marker?.expiry ?? null);
  for (const cell of row.cells) if (cell?.value != null) consider(cell.expiry);
  return next;
}

/** Only the memory of a row that is gone: the write times above its tombstone that a late change must still meet. */
export function isEmpty(row: RowState): boolean {
  return row.marker === null && row.cells.every((cell) => cell === null);
}
