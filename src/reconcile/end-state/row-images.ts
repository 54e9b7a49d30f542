/** What each side of a comparison shows of a row at a moment (DESIGN §7). Pure. */
import type { Cell } from '../../change/change-event.ts';
import type { SourceRow } from '../../change/hint.ts';
import { isAlive } from '../../change/row-state.ts';
import type { BoundTable } from '../../target/bound-table.ts';
import type { StoredRow } from '../../target/scan/token-scan.ts';
import type { ShownRow } from './row-digest.ts';

/** A row as the source gave it, or that it has none. Values are canonical text of the source's types. */
export type SourceImage = SourceRow;

export type TargetImage = StoredRow | null;

/** A cell's expiry that has not passed. */
function lasts(expiry: bigint | null, nowUs: bigint): boolean {
  return expiry === null || expiry > nowUs;
}

/** Value of a source cell in the form that the target stores it, or null where none is visible. */
export function sourceValue(table: BoundTable, i: number, cell: Cell | null, nowUs: bigint): string | null {
  if (cell?.value == null || !lasts(cell.expiry, nowUs)) return null;
  return table.regular[i]?.mapping.asStored(cell.value) ?? cell.value;
}

/** What a reader of the target sees in a column. A value that no change wrote shows as well. */
export function targetValue(row: StoredRow, i: number, nowUs: bigint): string | null {
  const value = row.values[i] ?? null;
  return value === null || !lasts(row.state.cells[i]?.expiry ?? null, nowUs) ? null : value;
}

/**
 * Whether the target shows the row. One that has expired and waits for its sweep does not count; one that has no write
 * times at all does: somebody inserted it past the door.
 */
export function isPresent(row: TargetImage, nowUs: bigint): row is StoredRow {
  if (row === null) return false;
  if (isAlive(row.state, nowUs)) return true;
  const { marker, cells } = row.state;
  return ![marker, ...cells].some((entry) => entry?.expiry != null && entry.expiry <= nowUs);
}

/** Columns whose expiry is compared: of a multi-cell column every element has its own. */
export function comparesExpiry(table: BoundTable, i: number): boolean {
  return table.policy?.multiCell[i] !== true;
}

/** Key values as the target gives them back: what both sides are matched by. */
export function storedKey(table: BoundTable, key: readonly string[]): readonly string[] {
  return table.keys.map(({ mapping }, i) => mapping.asStored(key[i] ?? ''));
}

export function shownBySource(
  table: BoundTable,
  key: readonly string[],
  row: NonNullable<SourceImage>,
  nowUs: bigint,
): ShownRow {
  const values = table.regular.map((_, i) => sourceValue(table, i, row.cells[i] ?? null, nowUs));
  return {
    key: storedKey(table, key),
    values,
    expiring: values.map((value, i) => value !== null && comparesExpiry(table, i) && row.cells[i]?.expiry != null),
  };
}

export function shownByTarget(table: BoundTable, key: readonly string[], row: StoredRow, nowUs: bigint): ShownRow {
  const values = table.regular.map((_, i) => targetValue(row, i, nowUs));
  return {
    key,
    values,
    expiring: values.map(
      (value, i) => value !== null && comparesExpiry(table, i) && row.state.cells[i]?.expiry != null,
    ),
  };
}
