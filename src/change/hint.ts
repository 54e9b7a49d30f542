/**
 * Changes whose meaning the envelope lost (DESIGN §4), where there is a source to ask: what of them is applied as it
 * stands, what becomes a hint to read the row again, and what such a read then says. Pure.
 */
import {
  NO_READ,
  type Cell,
  type Cells,
  type ChangeEvent,
  type Hint,
  type Marker,
  type ReadSequence,
  type RowWrite,
} from './change-event.ts';
import { GONE_CELL, GONE_MARKER, isUnknown, UNKNOWN_MARKER, type RowState } from './row-state.ts';
import { isContested, type UndecidedTie } from './tie.ts';
import { INT64_MAX, NEVER, TTL_SLACK_US, type WriteTime } from './write-time.ts';

/** How the rows of one table are read again. A table without a policy has no source: its ambiguous changes are refused. */
export interface RereadPolicy {
  /** By position in `Table.regular`: the column's values come from reads only ⚠ (an insert too may be half of one). */
  readonly multiCell: readonly boolean[];
  /** By position: the envelope loses part of the value (durations). */
  readonly lossy: readonly boolean[];
  /** Every write is only a hint: nothing of it is applied but its being there. */
  readonly everyWrite: boolean;
  /** A row delete may have swallowed an insert of its batch, so that the row's existence is read after it. */
  readonly existence: boolean;
  /** By position: which equal-time conflicts only the source can settle; null where the bytes always tell. */
  readonly undecided: readonly (UndecidedTie | null)[];
}

/** What a queued read is for, folded over all changes of the row that it serves. */
export interface RowTrigger {
  /** Column name → newest write time of a change that wrote it. The read speaks about these columns, null included. */
  readonly columns: Readonly<Record<string, WriteTime>>;
  /** Newest time at which a marker was written whose expiry is unknown. */
  readonly marker: WriteTime | null;
  /** µs since the epoch: since when the row is looked at again because only such a marker keeps it; null: not yet. */
  readonly since: bigint | null;
  /**
   * Column name → write time at which two values met whose order nobody knows here. The target held one of them when this
   * was queued, so that whatever came later has an entry of its own: of two values of that time the read's stays.
   */
  readonly settles: Readonly<Record<string, WriteTime>>;
  /** Queued through another shard than the row's own (a range delete): the merge takes the exclusive gate. */
  readonly foreign: boolean;
}

/** What the source said of one row: null where there is none. Cells stand at their own write times. */
export type SourceRow = { readonly cells: Cells } | null;

export const EMPTY_TRIGGER: RowTrigger = { columns: {}, marker: null, since: null, settles: {}, foreign: false };

function later(left: WriteTime | null, right: WriteTime | null): WriteTime | null {
  if (left === null || right === null) return left ?? right;
  return left > right ? left : right;
}

function laterByName(left: RowTrigger['columns'], right: RowTrigger['columns']): RowTrigger['columns'] {
  const joined: Record<string, WriteTime> = { ...left };
  for (const [name, time] of Object.entries(right)) joined[name] = later(joined[name] ?? null, time) ?? time;
  return joined;
}

/** Reads of one row coalesce: one trigger that says what all of them said. */
export function joinTriggers(left: RowTrigger, right: RowTrigger): RowTrigger {
  return {
    columns: laterByName(left.columns, right.columns),
    marker: later(left.marker, right.marker),
    since: isNewMarker(left) || isNewMarker(right) ? null : later(left.since, right.since),
    settles: laterByName(left.settles, right.settles),
    foreign: left.foreign || right.foreign,
  };
}

function isNewMarker({ marker, since }: RowTrigger): boolean {
  return marker !== null && since === null;
}

/** The trigger of one hinted write. */
export function triggerOf(hint: Hint, writeTime: WriteTime, names: readonly string[]): RowTrigger {
  return {
    ...EMPTY_TRIGGER,
    columns: Object.fromEntries(hint.columns.map((position) => [names[position] ?? '', writeTime])),
    marker: hint.marker ? writeTime : null,
  };
}

/** A multi-cell column was written: its event time rises, its value waits for the read. */
function announced(cell: Cell): Cell {
  return { writeTime: cell.writeTime, value: null, expiry: null, sequence: NO_READ };
}

function hintedWrite(change: RowWrite, policy: RereadPolicy): RowWrite {
  const columns: number[] = [];
  const cells = change.cells.map((cell, i) => {
    if (cell === null) return null;
    if (policy.multiCell[i] === true) {
      columns.push(i);
      return announced(cell);
    }
    if (policy.everyWrite || (policy.lossy[i] === true && cell.value !== null)) {
      columns.push(i);
      return null;
    }
    return cell;
  });
  const marker = change.marker !== null && (policy.everyWrite || change.ambiguity === 'marker-expiry-unknown');
  if (columns.length === 0 && !marker) return change;
  return {
    ...change,
    ambiguity: null,
    marker: marker ? null : change.marker,
    cells,
    hint: { columns, marker },
  };
}

/** Only that the row, or the rows of the partition, must be read again. */
const ONLY_EXISTENCE: Hint = { columns: [], marker: false };

/**
 * Takes a change apart: what it says for certain stays in it, the rest becomes its hint. A change without anything
 * uncertain is returned as it is.
 */
export function hinted(change: ChangeEvent, policy: RereadPolicy): ChangeEvent {
  switch (change.kind) {
    case 'write':
      return hintedWrite(change, policy);
    case 'row-delete':
      return policy.existence || policy.everyWrite || change.ambiguity !== null
        ? { ...change, hint: ONLY_EXISTENCE }
        : change;
    case 'partition-delete':
      return change.ambiguity === null ? change : { ...change, hint: ONLY_EXISTENCE };
    case 'range-delete':
      return change;
  }
}

/** A delete whose time the envelope lost: nothing of it may be applied. */
export function isTimeless(change: ChangeEvent): boolean {
  return change.ambiguity === 'delete-without-time';
}

export interface ReadContext {
  /** Names of `Table.regular`, by position. */
  readonly names: readonly string[];
  readonly policy: RereadPolicy;
  /** Newest tombstone over the row that the target knew before the read began, or NEVER. */
  readonly coveredBefore: WriteTime;
  /** Write time of the marker that an earlier read found gone, or NEVER. */
  readonly goneBefore: WriteTime;
}

/**
 * What a read says, as a state to merge.
 *
 * - Cells merge at their own write times; a multi-cell column also takes the read's sequence.
 * - Null speaks only about columns that the trigger wrote: what was written at the trigger's time is gone. Any other null
 *   says nothing ⚠: an invented tombstone would refuse a slower clock's write for ever. It may have been deleted, of which
 *   an event tells, or have expired, and then a later expiry of the very same time still wins ⚠: so it is no tombstone.
 * - A row that is there has at least an unknown marker, just above the tombstone that was known before the read: one
 *   that arrived since still removes it.
 * - A row that is not there any more, though the trigger wrote its marker: that marker is gone, and so are older ones.
 */
export function stateOfRead(
  row: SourceRow,
  trigger: RowTrigger,
  sequence: ReadSequence,
  { names, policy, coveredBefore, goneBefore }: ReadContext,
): RowState {
  const cells = names.map((name, i): Cell | null => {
    const wroteAt = trigger.columns[name] ?? null;
    const read = row?.cells[i] ?? null;
    const multiCell = policy.multiCell[i] === true;
    if (read !== null && read.value !== null) {
      if (!multiCell) return read;
      return { writeTime: later(read.writeTime, wroteAt) ?? read.writeTime, value: read.value, expiry: null, sequence };
    }
    if (wroteAt === null) return null;
    return { writeTime: wroteAt, value: null, ...(multiCell ? { expiry: null, sequence } : { expiry: GONE_CELL }) };
  });
  const below = coveredBefore > goneBefore ? coveredBefore : goneBefore;
  return { deletedAt: NEVER, marker: row === null ? goneMarker(trigger) : foundMarker(trigger, below), cells };
}

function goneMarker({ marker }: RowTrigger): Marker | null {
  return marker === null ? null : { writeTime: marker, expiry: GONE_MARKER };
}

function foundMarker(trigger: RowTrigger, below: WriteTime): Marker {
  // Above the last of all times nothing can live.
  const above = below === INT64_MAX ? INT64_MAX : below + 1n;
  return { writeTime: later(above, trigger.marker) ?? above, expiry: UNKNOWN_MARKER };
}

/** A read that finds no row withdraws an unknown marker: it only ever said that some read found the row. */
export function withdrawn(row: RowState): RowState {
  return isUnknown(row.marker) ? { ...row, marker: null } : row;
}

/** Positions of multi-cell columns of which the target still holds something above the row's newest tombstone. */
export function survivingMultiCells(row: RowState, policy: RereadPolicy): readonly number[] {
  return policy.multiCell.flatMap((multiCell, i) => (multiCell && (row.cells[i] ?? null) !== null ? [i] : []));
}

function isSameWrite(read: Cell, stored: Cell): boolean {
  if (read.writeTime !== stored.writeTime || read.expiry === null || stored.expiry === null) return false;
  const apart = read.expiry - stored.expiry;
  const isClose = apart <= TTL_SLACK_US && apart >= -TTL_SLACK_US;
  return isClose && (stored.value === null || stored.value === read.value);
}

/**
 * The read without cells that the target has already: CQL tells the remaining TTL in whole seconds, so that the same
 * write would be taken for one that expires a second later, and shown again after it was swept. Not where the read settles
 * a conflict of that time ⚠: what was swept may be the one that lost, and its expiry as close.
 */
export function withoutKnownExpiring(
  read: RowState,
  stored: RowState,
  { settles }: RowTrigger,
  { names }: Pick<ReadContext, 'names'>,
): RowState {
  return {
    ...read,
    cells: read.cells.map((cell, i) => {
      const known = stored.cells[i] ?? null;
      if (cell === null || known === null || settles[names[i] ?? ''] === cell.writeTime) return cell;
      return isSameWrite(cell, known) ? null : cell;
    }),
  };
}

/** A read for conflicts of these columns and times: both values were written, so a null is a tombstone there. */
export function settlingTrigger(times: Readonly<Record<string, WriteTime>>): RowTrigger {
  return { ...EMPTY_TRIGGER, columns: times, settles: times };
}

/**
 * The stored row without the values that lose against the read in the conflicts which this read settles ⚠: the order of
 * their bytes is not known here, and another order would keep the wrong one for ever.
 */
export function withoutSettled(
  stored: RowState,
  read: RowState,
  { settles }: RowTrigger,
  { names, policy }: Pick<ReadContext, 'names' | 'policy'>,
): RowState {
  const loses = stored.cells.map((cell, i) => {
    const found = read.cells[i] ?? null;
    if (cell === null || found === null || settles[names[i] ?? ''] !== cell.writeTime) return false;
    return isContested(cell, found, policy.undecided[i] ?? null);
  });
  if (!loses.includes(true)) return stored;
  return { ...stored, cells: stored.cells.map((cell, i) => (loses[i] === true ? null : cell)) };
}

/** When a part of a multi-cell column expires: nothing tells of it, so the row is read again then. */
export function partExpiries(
  row: SourceRow,
  { names, policy }: Pick<ReadContext, 'names' | 'policy'>,
): RowTrigger | null {
  const columns: Record<string, WriteTime> = {};
  for (const [i, name] of names.entries()) {
    const cell = row?.cells[i] ?? null;
    if (policy.multiCell[i] === true && cell?.value != null && cell.expiry !== null) columns[name] = cell.writeTime;
  }
  return Object.keys(columns).length === 0 ? null : { ...EMPTY_TRIGGER, columns };
}
