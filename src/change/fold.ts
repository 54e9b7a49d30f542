import type { Cell, ChangeEvent, Marker, PartitionDelete, RangeDelete, RowKey, RowWrite } from './change-event.ts';
import { isContested, type UndecidedTie } from './tie.ts';
import type { WriteTime } from './write-time.ts';
import { cover, mergeCells, mergeMarkers, stateOf, type RowState, type ValueOrder } from './row-state.ts';

export interface FoldedRow {
  readonly key: RowKey;
  readonly state: RowState;
  /** By position: the time of two values of this batch whose order is not known here. */
  readonly contested?: ReadonlyMap<number, WriteTime>;
}

/** A batch's changes folded per row key, and the tombstones that reach beyond one row. */
export interface Fold {
  readonly rows: ReadonlyMap<string, FoldedRow>;
  readonly wide: readonly (PartitionDelete | RangeDelete)[];
}

/** A row while it is being folded; its cells are its own array, so a later change may be merged in place. */
interface OpenRow {
  readonly key: RowKey;
  state: { deletedAt: bigint; marker: Marker | null; cells: (Cell | null)[] };
  contested?: Map<number, WriteTime>;
}

/** By position; null where no column of the table has such conflicts, or there is no source to settle them. */
export type Undecided = readonly (UndecidedTie | null)[] | null;

/** `mergeRows` for the frequent case — a write without a tombstone — done in place: the fold is on the hot path. */
function writeInto(row: OpenRow, change: RowWrite, orders: readonly ValueOrder[], undecided: Undecided): void {
  const { state } = row;
  const { deletedAt, cells } = state;
  if (change.marker !== null && change.marker.writeTime > deletedAt) {
    state.marker = mergeMarkers(state.marker, change.marker);
  }
  const incoming = change.cells;
  for (let i = 0; i < incoming.length; i++) {
    const cell = incoming[i];
    if (cell == null || cell.writeTime <= deletedAt) continue;
    const current = cells[i];
    const order = orders[i];
    if (current == null) cells[i] = cell;
    else if (order !== undefined) {
      if (undecided !== null && isContested(current, cell, undecided[i] ?? null)) {
        (row.contested ??= new Map()).set(i, cell.writeTime);
      }
      cells[i] = mergeCells(current, cell, order);
    }
  }
}

/**
 * Folds changes per row key: two rows with one key in one upsert fail in PostgreSQL, and one merged row is cheaper than
 * two. Any permutation, with any duplicates, gives the same fold.
 */
export function fold(changes: Iterable<ChangeEvent>, orders: readonly ValueOrder[], undecided: Undecided = null): Fold {
  const rows = new Map<string, OpenRow>();
  const wide: (PartitionDelete | RangeDelete)[] = [];
  for (const change of changes) {
    if (change.kind === 'partition-delete' || change.kind === 'range-delete') {
      wide.push(change);
      continue;
    }
    const row = rows.get(change.key.text);
    if (row === undefined) {
      const state = stateOf(change, orders.length);
      rows.set(change.key.text, { key: change.key, state: { ...state, cells: state.cells.slice() } });
    } else if (change.kind === 'write') {
      writeInto(row, change, orders, undecided);
    } else {
      const covered = cover(row.state, change.writeTime);
      row.state = { ...covered, cells: covered.cells.slice() };
    }
  }
  return { rows, wide };
}
