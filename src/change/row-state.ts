import { NO_READ, type Cell, type Marker, type RowDelete, type RowWrite } from './change-event.ts';
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
 * Join of two contents of one multi-cell column ⚠: the newest event time of either, and the value of the later read,
 * whatever the times say (an element removed makes MAXWRITETIME fall). A value from before the table was read again has
 * no read: it stands until the first one.
 */
export function joinMultiCell(left: Cell, right: Cell): Cell {
  const [leftRead, rightRead] = [left.sequence ?? NO_READ, right.sequence ?? NO_READ];
  const takesRight =
    rightRead !== leftRead
      ? rightRead > leftRead
      : right.value !== null && (left.value === null || right.writeTime > left.writeTime);
  const { value, expiry } = takesRight ? right : left;
  return {
    writeTime: left.writeTime > right.writeTime ? left.writeTime : right.writeTime,
    value,
    expiry,
    sequence: takesRight ? rightRead : leftRead,
  };
}

/** What two cells of one column become: the winner, or the join where the column is multi-cell. */
export function mergeCells(left: Cell, right: Cell, order: ValueOrder): Cell {
  if (left.sequence !== undefined || right.sequence !== undefined) return joinMultiCell(left, right);
  return replaces(right, left, order) ? right : left;
}

/**
 * Expiry of a row marker that no event told of: a source read found the row, and CQL shows no marker ⚠. It does not
 * expire by itself, loses against a known marker of the same time, and may be withdrawn by a read that finds no row.
 */
export const UNKNOWN_MARKER: bigint = NEVER;

/**
 * Expiry of a row marker that has passed though nobody was told when: a read for a marker of unknown expiry found no row.
 * It beats a lasting marker of its time, as anything that expires does, loses against every expiry that an event told of,
 * and keeps older markers from coming back ⚠ (forgotten, a late insert below it would keep the row for ever).
 */
export const GONE_MARKER: bigint = NEVER + 2n;

/**
 * Expiry of a cell that a read no longer found, though a change of that time wrote it: it has passed, nobody was told when.
 * As any expired cell it beats a lasting one of its time and loses against a tombstone; it loses against every expiry that
 * an event told of.
 */
export const GONE_CELL: bigint = NEVER + 2n;

export function isGone(marker: Marker | null): boolean {
  return marker !== null && marker.expiry === GONE_MARKER;
}

export function isUnknown(marker: Marker | null): boolean {
  return marker !== null && marker.expiry === UNKNOWN_MARKER;
}

/**
 * Cassandra's `LivenessInfo.supersedes`: the newer time; at equal times expiring beats lasting, then the later expiry.
 * An unknown marker loses against both.
 */
export function markerReplaces(right: Marker, left: Marker): boolean {
  if (right.writeTime !== left.writeTime) return right.writeTime > left.writeTime;
  if (right.expiry === null) return left.expiry === UNKNOWN_MARKER;
  if (left.expiry === null) return right.expiry !== UNKNOWN_MARKER;
  return right.expiry > left.expiry;
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
    if (order !== undefined) cells[i] = current === null ? incoming : mergeCells(current, incoming, order);
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
  if (marker !== null && (marker.expiry === null || marker.expiry > nowUs || isUnknown(marker))) return true;
  return row.cells.some((cell) => isVisible(cell, nowUs));
}

/**
 * Whether nothing but a marker of unknown TTL keeps the row. What the read saw does not tell ⚠: its last value may have
 * expired before the merge, and the row with it.
 */
export function isKeptByMarker({ marker, cells }: RowState, nowUs: bigint): boolean {
  return isUnknown(marker) && !cells.some((cell) => isVisible(cell, nowUs));
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

/** Newest write time of anything that a row holds, or NEVER. */
export function newestWrite(row: Pick<RowState, 'marker' | 'cells'> | null): WriteTime {
  if (row === null) return NEVER;
  return [row.marker, ...row.cells].reduce<WriteTime>(
    (newest, entry) => (entry !== null && entry.writeTime > newest ? entry.writeTime : newest),
    NEVER,
  );
}
