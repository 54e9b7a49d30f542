/**
 * Rows that are rewritten faster than they can be looked at twice. No two looks at one agree, so neither "equal" nor "drift"
 * can be said of it as a whole; its write times still tell whether the target follows the source. Pure.
 *
 * Looks: source (`earlier`), target, source (`later`), in this order. A column follows where the target's write lies between
 * those of the two reads of the source: it has everything that the source had at the first read, and nothing that the
 * source had not at the second. So the row was in step with the source at a moment between the two. Where its write is that
 * of a read, the value must be the read's, too.
 */
import type { Cell } from '../../change/change-event.ts';
import { newestWrite } from '../../change/row-state.ts';
import { NEVER, type WriteTime } from '../../change/write-time.ts';
import type { BoundTable } from '../../target/bound-table.ts';
import type { Observation } from '../../target/row-observation.ts';
import type { StoredRow } from '../../target/scan/token-scan.ts';
import { sameExpiry } from './compare-rows.ts';
import { comparesExpiry, isPresent, sourceValue, targetValue, type SourceImage } from './row-images.ts';

/** Whether the target shows what a read of the source gave, of one column. */
function showsSame(table: BoundTable, i: number, cell: Cell | null, target: StoredRow, nowUs: bigint): boolean {
  const expected = sourceValue(table, i, cell, nowUs);
  if (expected !== targetValue(target, i, nowUs)) return false;
  if (expected === null || !comparesExpiry(table, i)) return true;
  return sameExpiry(cell?.expiry ?? null, target.state.cells[i]?.expiry ?? null);
}

function columnFollows(
  table: BoundTable,
  i: number,
  earlier: Cell | null,
  { row, coveredAt }: Observation & { readonly row: StoredRow },
  later: Cell | null,
  nowUs: bigint,
): boolean {
  const stored = row.state.cells[i] ?? null;
  const shows = (cell: Cell | null): boolean => showsSame(table, i, cell, row, nowUs);
  // Write times say nothing of a value that no change wrote, and of multi-cell columns: such a column must stand still.
  const isTimed = table.policy?.multiCell[i] !== true && (stored !== null || (row.values[i] ?? null) === null);
  if (!isTimed) return shows(earlier) && shows(later);
  const time: WriteTime = stored === null || stored.writeTime < coveredAt ? coveredAt : stored.writeTime;
  // An older write that looks the same may have stood there for ever, while the source went to and fro.
  if (earlier !== null && time < earlier.writeTime) return false;
  // A read that finds no value does not say since when: it bounds nothing.
  const isBetween = earlier !== null && time > earlier.writeTime && (later === null || time < later.writeTime);
  return isBetween || [earlier, later].some((cell) => shows(cell) && (cell === null || time >= cell.writeTime));
}

/** True where the target was in step with the source at a moment between the two reads; false says nothing. */
export function follows(
  table: BoundTable,
  earlier: SourceImage,
  target: Observation,
  later: SourceImage,
  nowUs: bigint,
): boolean {
  const { row, coveredAt } = target;
  if (!isPresent(row, nowUs)) {
    // Deleted between the two reads: the tombstone is newer than all that the first one found, and older than what came.
    const newest = earlier === null ? NEVER : newestWrite({ marker: null, cells: earlier.cells });
    const next = later === null ? null : newestWrite({ marker: null, cells: later.cells });
    return newest !== NEVER && coveredAt >= newest && (next === null || coveredAt < next);
  }
  if (earlier === null) return false;
  const observed = { ...target, row };
  return table.regular.every((_, i) =>
    columnFollows(table, i, earlier.cells[i] ?? null, observed, later?.cells[i] ?? null, nowUs),
  );
}
