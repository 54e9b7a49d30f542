import type { Cell, ChangeEvent, Marker, PartitionDelete, RangeDelete, RowKey, RowWrite } from './change-event.ts';
import { cover, mergeCells, mergeMarkers, stateOf, type RowState, type ValueOrder } from './row-state.ts';

export interface FoldedRow {
  readonly key: RowKey;
  readonly state: RowState;
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
}

/** `mergeRows` for the frequent case — a write without a tombstone — done in place: the fold is on the hot path. */
function writeInto(row: OpenRow, change: RowWrite, orders: readonly ValueOrder[]): void {
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
    else if (order !== undefined) cells[i] = mergeCells(current, cell, order);
  }
}

/**
 * Folds changes per row key: two rows with one key in one upsert fail in PostgreSQL, and one merged row is cheaper than
 * two. Any permutation, with any duplicates, gives the same fold.
 */
export function fold(changes: Iterable<ChangeEvent>, orders: readonly ValueOrder[]): Fold {
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
      writeInto(row, change, orders);
    } else {
      const covered = cover(row.state, change.writeTime);
      row.state = { ...covered, cells: covered.cells.slice() };
    }
  }
  return { rows, wide };
}
