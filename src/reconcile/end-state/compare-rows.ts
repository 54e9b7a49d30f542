/**
 * Compares what both sides show of a row. Never "not equal, so wrong": a difference makes a suspect, which is looked at
 * again behind the barrier. Pure.
 */
import type { Cell } from '../../change/change-event.ts';
import type { BoundTable } from '../../target/bound-table.ts';
import {
  comparesExpiry,
  isPresent,
  sourceValue,
  targetValue,
  type SourceImage,
  type TargetImage,
} from './row-images.ts';

/**
 * How far two expiries of one value may be apart, µs: CQL tells the remaining TTL in whole seconds, counted by the clock of
 * the node that answers.
 */
export const EXPIRY_TOLERANCE_US = 2_000_000n;

export type Difference =
  | { readonly kind: 'missing-in-target' }
  | { readonly kind: 'missing-in-source' }
  /** Positions in `Table.regular`. */
  | { readonly kind: 'differs'; readonly columns: readonly number[] };

/** The row would be gone by itself within the tolerance: one side's clock has it gone already. */
function goesAnyway(row: NonNullable<SourceImage>, nowUs: bigint): boolean {
  const visible = row.cells.filter((cell) => cell?.value != null);
  return visible.length > 0 && visible.every((cell) => isClosing(cell, nowUs));
}

function isClosing(cell: Cell | null, nowUs: bigint): boolean {
  return cell?.expiry != null && cell.expiry <= nowUs + EXPIRY_TOLERANCE_US;
}

/** Whether two expiries are the same within the tolerance; null is "never". */
export function sameExpiry(left: bigint | null, right: bigint | null): boolean {
  if (left === null || right === null) return left === right;
  const apart = left - right;
  return apart <= EXPIRY_TOLERANCE_US && apart >= -EXPIRY_TOLERANCE_US;
}

/** Null where both sides show the same at `nowUs`, whatever the write times say. */
export function compareRows(
  table: BoundTable,
  source: SourceImage,
  target: TargetImage,
  nowUs: bigint,
): Difference | null {
  const present = isPresent(target, nowUs);
  if (source === null) {
    return present && isPresent(target, nowUs + EXPIRY_TOLERANCE_US) ? { kind: 'missing-in-source' } : null;
  }
  if (!present) return goesAnyway(source, nowUs) ? null : { kind: 'missing-in-target' };
  const columns: number[] = [];
  for (let i = 0; i < table.regular.length; i++) {
    const cell = source.cells[i] ?? null;
    const stored = target.state.cells[i] ?? null;
    const expected = sourceValue(table, i, cell, nowUs);
    const shown = targetValue(target, i, nowUs);
    if (expected === null && shown === null) continue;
    if (expected === null || shown === null) {
      if (!isClosing(expected === null ? stored : cell, nowUs)) columns.push(i);
      continue;
    }
    const isSame =
      expected === shown && (!comparesExpiry(table, i) || sameExpiry(cell?.expiry ?? null, stored?.expiry ?? null));
    if (!isSame) columns.push(i);
  }
  return columns.length === 0 ? null : { kind: 'differs', columns };
}
