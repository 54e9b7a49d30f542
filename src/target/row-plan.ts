import type { Marker, RowKey } from '../change/change-event.ts';
import type { FoldedRow } from '../change/fold.ts';
import { newestCovering, type RangeTombstone } from '../change/range-tombstone.ts';
import {
  EMPTY_TRIGGER,
  joinTriggers,
  settlingTrigger,
  survivingMultiCells,
  type RereadPolicy,
  type RowTrigger,
} from '../change/hint.ts';
import {
  cover,
  emptyRow,
  isAlive,
  isEmpty,
  isUnknown,
  mergeRows,
  nextExpiry,
  sweep,
  type RowState,
} from '../change/row-state.ts';
import { isContested } from '../change/tie.ts';
import { NEVER, type WriteTime } from '../change/write-time.ts';
import { LockstepError } from '../shared/errors.ts';
import type { BoundTable } from './bound-table.ts';

/** Everything the target knows of one row of the batch, read under the locks. */
export interface KnownRow {
  readonly key: RowKey;
  /** The batch's own changes, folded. */
  readonly incoming: RowState;
  /** By position: the time of two values of the batch whose order nobody knows here. */
  readonly contested?: FoldedRow['contested'];
  /** Row tombstone and memory of a row that is gone, or null. */
  readonly grave: RowState | null;
  /** Partition and range tombstones of the row's partition. */
  readonly ranges: readonly RangeTombstone[];
  /** The locked image; null where there is no such row; `unread` where the upsert decides by itself. */
  readonly image: RowState | null | 'unread';
}

export interface Grave {
  readonly key: RowKey;
  readonly deletedAt: WriteTime;
  /** Write times of a row that is gone; empty where the row itself keeps them. */
  readonly memory: RowState | null;
}

/** What the transaction writes, decided purely. */
export interface RowPlan {
  /** Merged cell by cell in SQL. */
  readonly upserts: readonly FoldedRow[];
  /** Locked rows whose whole image is known. */
  readonly replacements: readonly FoldedRow[];
  readonly removals: readonly RowKey[];
  readonly graves: readonly Grave[];
  readonly expiring: readonly { readonly key: RowKey; readonly dueUs: bigint }[];
  /** Rows to be read again from the source, with what the read is for. Only of tables with a policy. */
  readonly rereads: readonly OwedRead[];
  /** Rows for which nothing had to be written. */
  readonly superseded: number;
}

export interface OwedRead {
  readonly key: RowKey;
  readonly trigger: RowTrigger;
}

/** True where the fold leaves an empty target column that the target declares NOT NULL. */
export function isIncomplete(table: BoundTable, state: RowState): boolean {
  return table.regular.some((column, i) => column.column.notNull && (state.cells[i]?.value ?? null) === null);
}

/**
 * Rows whose outcome SQL can't decide by comparing cells: a new tombstone may remove the row, a cell tombstone or a
 * passed expiry may take its last living cell, and an incomplete row can't be proposed to an INSERT where the target has
 * NOT NULL columns ⚠ (PostgreSQL checks those before the conflict). Their image is read under a lock and merged here.
 * `state` is the row's changes after `withMemory`: a range tombstone may have left nothing but a cell tombstone.
 */
export function needsImage(table: BoundTable, incoming: RowState, state: RowState, nowUs: bigint): boolean {
  if (incoming.deletedAt !== NEVER || isIncomplete(table, state)) return true;
  const { marker } = state;
  // Where markers expire, this one may lose against a newer one that has: then it keeps no row alive ⚠.
  if (marker !== null && marker.expiry === null && !table.table.usesTtl) return false;
  if (marker?.expiry != null && marker.expiry <= nowUs) return true;
  // A multi-cell column that was only announced leaves what stands in the row, but keeps no row alive by itself.
  return (
    state.cells.some(
      (cell) =>
        cell !== null &&
        ((cell.value === null && cell.sequence === undefined) || (cell.expiry !== null && cell.expiry <= nowUs)),
    ) ||
    (table.readSlots.length > 0 && !state.cells.some((cell) => cell?.value != null))
  );
}

export function covered(table: BoundTable, row: Omit<KnownRow, 'image'>, state: RowState): RowState {
  if (row.ranges.length === 0) return state;
  const clustering = row.key.values.slice(table.table.partitionKey.length);
  return cover(state, newestCovering(row.ranges, table.clusteringOrder, clustering, state.deletedAt));
}

function remembered(table: BoundTable, row: Omit<KnownRow, 'image'>): RowState {
  return row.grave === null ? row.incoming : mergeRows(row.grave, row.incoming, table.valueOrders);
}

/** What the row is after its changes, with all that is known of it; expired values are still in it. */
export function stateAfter(table: BoundTable, row: KnownRow): RowState {
  const whole = remembered(table, row);
  const { image } = row;
  return covered(table, row, image === null || image === 'unread' ? whole : mergeRows(image, whole, table.valueOrders));
}

/** What the row is before its changes. */
export function stateBefore(table: BoundTable, row: KnownRow): RowState {
  return stateAfter(table, { ...row, incoming: emptyRow(table.regular.length) });
}

/** The row's changes together with its grave and under the tombstones of its partition. */
export function withMemory(table: BoundTable, row: Omit<KnownRow, 'image'>): RowState {
  return covered(table, row, remembered(table, row));
}

/**
 * Whether a partition or range tombstone takes something out of the row's changes. Its delete may still be under way, so
 * that what the change was to replace stands in the row ⚠: without its image that would go on showing.
 */
export function losesToRange(table: BoundTable, row: Omit<KnownRow, 'image'>): boolean {
  const whole = remembered(table, row);
  const left = covered(table, row, whole);
  return left.marker !== whole.marker || left.cells.some((cell, i) => cell !== (whole.cells[i] ?? null));
}

/** Decides what becomes of every row of the batch. Pure: the same knowledge gives the same plan. */
export function planRows(table: BoundTable, rows: readonly KnownRow[], nowUs: bigint): RowPlan {
  const plan = {
    upserts: [] as FoldedRow[],
    replacements: [] as FoldedRow[],
    removals: [] as RowKey[],
    graves: [] as Grave[],
    expiring: [] as { key: RowKey; dueUs: bigint }[],
    rereads: [] as OwedRead[],
    superseded: 0,
  };
  const { policy } = table;
  for (const row of rows) {
    const { key, image } = row;
    const memoryAndChanges = remembered(table, row);
    const rowDeletedAt = memoryAndChanges.deletedAt;
    const stored = image === 'unread' ? null : image;
    const merge = stored === null ? memoryAndChanges : mergeRows(stored, memoryAndChanges, table.valueOrders);
    const conflicts = policy === null ? null : conflictsOf(policy, row, stored, merge);
    const joined = conflicts === null || stored === null ? merge : keeping(stored, merge, conflicts);
    // Ranges last: their tombstones are kept apart and must not be written into the row's own grave.
    const merged = sweep(covered(table, row, joined), nowUs);
    const tombstoneIsNew = row.incoming.deletedAt > (row.grave?.deletedAt ?? NEVER);
    const alive = isAlive(merged, nowUs);
    if (policy !== null) {
      const owed = owedRead(table, policy, row.incoming, stored, merged);
      if (owed !== null) plan.rereads.push({ key, trigger: owed });
      if (conflicts !== null) plan.rereads.push({ key, trigger: settling(table, conflicts) });
    }

    if (alive) {
      if (policy !== null && image === null && isIncomplete(table, merged)) {
        // Only the source has the whole row. Its tombstone is kept; the cells come back with the read.
        if (tombstoneIsNew) plan.graves.push({ key, deletedAt: rowDeletedAt, memory: null });
        plan.rereads.push({ key, trigger: triggerOfCells(table, merged) });
        continue;
      }
      if (tombstoneIsNew) plan.graves.push({ key, deletedAt: rowDeletedAt, memory: null });
      if (stored === null) {
        if (image === null && isIncomplete(table, merged)) throw incompleteRow(table, key, merged);
        plan.upserts.push({ key, state: merged });
      } else {
        plan.replacements.push({ key, state: merged });
      }
      const dueUs = nextExpiry(merged, nowUs);
      if (dueUs !== null) plan.expiring.push({ key, dueUs });
      continue;
    }
    if (stored !== null) plan.removals.push(key);
    const memory = isEmpty(merged) ? null : merged;
    if (tombstoneIsNew || memory !== null) plan.graves.push({ key, deletedAt: rowDeletedAt, memory });
    else if (stored === null) plan.superseded += 1;
  }
  return plan;
}

/** Conflicts of a row by position, with their time. */
type Conflicts = ReadonlyMap<number, WriteTime>;

/**
 * Where two values of one time stand against one another and their order is not known here: in the batch itself, or
 * between it and what stands in the row. Null where there is none that still matters.
 */
function conflictsOf(
  { undecided }: RereadPolicy,
  { incoming, contested }: KnownRow,
  stored: RowState | null,
  merge: RowState,
): Conflicts | null {
  let conflicts: Map<number, WriteTime> | null = null;
  for (const [i, cell] of incoming.cells.entries()) {
    const winner = merge.cells[i] ?? null;
    if (cell === null || winner?.value == null || winner.writeTime !== cell.writeTime) continue;
    const known = stored?.cells[i] ?? null;
    const isOne =
      contested?.get(i) === cell.writeTime || (known !== null && isContested(known, cell, undecided[i] ?? null));
    if (isOne) (conflicts ??= new Map()).set(i, cell.writeTime);
  }
  return conflicts;
}

/** Whether the row's changes and what stands in it are a conflict that only the source can settle. */
export function meetsConflict(table: BoundTable, row: KnownRow): boolean {
  const { policy } = table;
  if (policy === null || row.image === null || row.image === 'unread') return false;
  const merge = mergeRows(row.image, remembered(table, row), table.valueOrders);
  return conflictsOf(policy, row, row.image, merge) !== null;
}

/** What stands in the row stays until the source has spoken: a copy of the value that lost must not show it again. */
function keeping(stored: RowState, merge: RowState, conflicts: Conflicts): RowState {
  return {
    ...merge,
    cells: merge.cells.map((cell, i) => {
      const known = stored.cells[i] ?? null;
      return known !== null && conflicts.get(i) === known.writeTime ? known : cell;
    }),
  };
}

function settling(table: BoundTable, conflicts: Conflicts): RowTrigger {
  return settlingTrigger(
    Object.fromEntries([...conflicts].map(([i, time]) => [table.regular[i]?.column.name ?? '', time])),
  );
}

/** A read that speaks about everything that the row's changes wrote. */
function triggerOfCells(table: BoundTable, { cells, marker }: RowState): RowTrigger {
  const columns: Record<string, WriteTime> = {};
  for (const [i, cell] of cells.entries()) {
    if (cell !== null) columns[table.regular[i]?.column.name ?? ''] = cell.writeTime;
  }
  return { ...EMPTY_TRIGGER, columns, marker: marker?.writeTime ?? null };
}

/**
 * Reads that follow from the merge itself:
 * - a tombstone below the newest event time of a multi-cell column has removed some of its elements, nobody knows which
 *   ⚠: the read is repeated once, whichever of the two came first;
 * - the last living cell of a row with an unknown marker went: whether the row is still there only the source knows.
 */
function owedRead(
  table: BoundTable,
  policy: RereadPolicy,
  incoming: RowState,
  stored: RowState | null,
  merged: RowState,
): RowTrigger | null {
  let owed: RowTrigger | null = null;
  if (incoming.deletedAt !== NEVER) {
    for (const i of survivingMultiCells(merged, policy)) {
      const name = table.regular[i]?.column.name ?? '';
      const time = merged.cells[i]?.writeTime ?? NEVER;
      owed = joinTriggers(owed ?? EMPTY_TRIGGER, { ...EMPTY_TRIGGER, columns: { [name]: time } });
    }
  }
  const had = stored?.cells.some((cell) => cell?.value != null) === true;
  if (had && isUnknown(merged.marker) && !merged.cells.some((cell) => cell?.value != null)) {
    owed = joinTriggers(owed ?? EMPTY_TRIGGER, { ...EMPTY_TRIGGER, marker: writtenAt(merged.marker) });
  }
  return owed;
}

/** Null for the marker of a row that was found beside no tombstone: it stands below everything that was ever written. */
function writtenAt(marker: Marker | null): WriteTime | null {
  return marker === null || marker.writeTime === NEVER + 1n ? null : marker.writeTime;
}

function incompleteRow(table: BoundTable, key: RowKey, state: RowState): LockstepError {
  const missing = table.regular
    .filter((column, i) => column.column.notNull && (state.cells[i]?.value ?? null) === null)
    .map((column) => column.column.target);
  return new LockstepError(
    `row ${key.text} of ${table.table.name} is not in the target and the change has no value for NOT NULL ${missing.join(', ')}`,
    {
      code: 'INCOMPLETE_ROW',
      kind: 'row',
      remedy: 'its insert may still be under way, or was lost before Lockstep saw it: backfill the row, then redrive',
    },
  );
}
