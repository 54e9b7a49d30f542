/**
 * What a repair writes (DESIGN §7). Pure.
 *
 * A repair makes a row show what is wanted, whatever the merge would say of it; so its versions are chosen such that
 * nothing which was already merged can undo it: neither a duplicate of an old change nor a tombstone in force.
 * - A differing cell is written at the wanted write time if that equals the observed version (the same write, spoilt on its
 *   way) or exceeds it, and exceeds every covering tombstone; else one above both.
 * - A cell that is to be empty becomes a tombstone at the observed version, or at the wanted one where that is newer: at
 *   equal times a tombstone wins.
 * - A row that is to be gone leaves a tombstone at the newest observed version.
 *
 * Undo is the same with the images exchanged.
 */
import type { Cell, Cells, Marker, ReadSequence } from './change-event.ts';
import { isAlive, newestWrite, sweep, UNKNOWN_MARKER, type RowState } from './row-state.ts';
import { INT64_MAX, NEVER, type WriteTime } from './write-time.ts';

/** A row of the target as it was observed, with all that is in force over it. */
export interface ObservedRow {
  /** Null where there is no row. */
  readonly state: RowState | null;
  /** Columns that hold a value which no change wrote, by position. */
  readonly unversioned: readonly boolean[];
  /** Write times of a row that is gone and may come back; null where there are none. */
  readonly memory: RowState | null;
  /** Newest tombstone over the row, or NEVER. */
  readonly coveredAt: WriteTime;
}

export interface RepairRequest {
  readonly observed: ObservedRow;
  /** What is to show; null: no row. */
  readonly wanted: { readonly cells: Cells } | null;
  /** By position: the column does not show what is wanted. Without meaning where either side has no row. */
  readonly differs: readonly boolean[];
  readonly multiCell: readonly boolean[];
  /** Drawn after the observation and before `wanted` was read: places the read among those of multi-cell columns. */
  readonly sequence: ReadSequence;
  readonly nowUs: bigint;
}

export type RepairPlan =
  | { readonly kind: 'write'; readonly state: RowState }
  /** `deletedAt` NEVER: nothing of the row has a write time, so nothing is left behind. */
  | { readonly kind: 'remove'; readonly deletedAt: WriteTime }
  | { readonly kind: 'nothing' }
  /** No write time is left above what is in force: a person has to decide. */
  | { readonly kind: 'exhausted' };

const later = (left: WriteTime, right: WriteTime): WriteTime => (left > right ? left : right);

class Exhausted extends Error {}

function above(time: WriteTime): WriteTime {
  if (time === INT64_MAX) throw new Exhausted();
  return time + 1n;
}

/** Version of a cell that is to show a value. */
function versionOf(wantedAt: WriteTime, observedAt: WriteTime, coveredAt: WriteTime): WriteTime {
  if (wantedAt >= observedAt && wantedAt > coveredAt && wantedAt !== NEVER) return wantedAt;
  return above(later(observedAt, coveredAt));
}

function repairedCell(wanted: Cell | null, observed: Cell | null, multi: boolean, request: RepairRequest): Cell | null {
  const { observed: row, sequence } = request;
  const observedAt = observed?.writeTime ?? NEVER;
  if (wanted?.value == null) {
    const writeTime = later(wanted?.writeTime ?? NEVER, observedAt);
    // Nothing was ever written: without a write time there is nothing to cover.
    if (writeTime === NEVER) return null;
    return { writeTime, value: null, expiry: null, ...(multi ? { sequence } : {}) };
  }
  const { value, expiry } = wanted;
  if (!multi) return { writeTime: versionOf(wanted.writeTime, observedAt, row.coveredAt), value, expiry };
  // The later read wins; the write time is that of the newest event and never falls.
  const newest = later(wanted.writeTime, observedAt);
  return { writeTime: newest > row.coveredAt ? newest : above(row.coveredAt), value, expiry: null, sequence };
}

/** The source shows rows, not markers: a known one stays, and a row without a living cell needs one. */
function repairedMarker(cells: Cells, { observed, nowUs }: RepairRequest): Marker | null {
  const known = observed.state?.marker ?? observed.memory?.marker ?? null;
  if (isAlive({ deletedAt: NEVER, marker: known, cells }, nowUs)) return known;
  const writeTime = above(later(known?.writeTime ?? NEVER, observed.coveredAt));
  return { writeTime, expiry: UNKNOWN_MARKER };
}

export function planRepair(request: RepairRequest): RepairPlan {
  const { observed, wanted, differs, multiCell } = request;
  if (wanted === null) {
    if (observed.state === null) return { kind: 'nothing' };
    return { kind: 'remove', deletedAt: later(newestWrite(observed.state), newestWrite(observed.memory)) };
  }
  try {
    const base = observed.state;
    const cells = multiCell.map((multi, i): Cell | null => {
      const stored = (base ?? observed.memory)?.cells[i] ?? null;
      const cell = wanted.cells[i] ?? null;
      const isKept = base !== null && differs[i] !== true && observed.unversioned[i] !== true;
      return isKept ? stored : repairedCell(cell, stored, multi, request);
    });
    const state = { deletedAt: NEVER, marker: repairedMarker(cells, request), cells };
    // What has expired since it was read is not to show: nothing would sweep it.
    return { kind: 'write', state: sweep(state, request.nowUs) };
  } catch (error) {
    if (error instanceof Exhausted) return { kind: 'exhausted' };
    throw error;
  }
}
