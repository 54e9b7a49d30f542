/** A row as a person corrects it by hand: values by column, each exact or refused. Pure. */
import type { Cell, Cells } from '../../change/change-event.ts';
import { canonicalText } from '../../change/values/value-canonical.ts';
import { INT64_MAX, NEVER } from '../../change/write-time.ts';
import { LockstepError } from '../../shared/errors.ts';
import type { BoundColumn, BoundTable } from '../../target/bound-table.ts';
import type { Observation } from '../../target/row-observation.ts';
import type { SourceImage } from './row-images.ts';

/**
 * Values by name of the source's column: text in any notation of the source or the target, a boolean, a number that JSON
 * keeps exactly, an array or object for a collection, null for an empty column. Columns that are not named stay as they
 * are. Null: the row is to be gone.
 */
export type Correction = Readonly<Record<string, unknown>> | null;

export interface CorrectedRow {
  readonly wanted: { readonly cells: Cells };
  /** By position in `Table.regular`: the row does not show it yet. */
  readonly differs: readonly boolean[];
}

// Newer than the library types of ES2023, present in every supported Node (≥ 22.18).
const json = JSON as unknown as { isRawJSON(value: unknown): value is { readonly rawJSON: string } };

function invalid(message: string, remedy: string): LockstepError {
  return new LockstepError(message, { code: 'CORRECTION_INVALID', kind: 'usage', remedy });
}

function checkNumbers(column: string, value: unknown): void {
  if (typeof value === 'number' && !Number.isSafeInteger(value)) {
    throw invalid(
      `column ${column}: ${value} may have lost digits on its way`,
      'write numbers that are no small integers as text: "12.50"',
    );
  }
  if (typeof value !== 'object' || value === null || json.isRawJSON(value)) return;
  for (const part of Object.values(value)) checkNumbers(column, part);
}

/** Text of a JSON value, or null for null. */
function textOf(column: string, value: unknown): string | null {
  checkNumbers(column, value);
  if (value === null) return null;
  if (typeof value === 'string') return value;
  return json.isRawJSON(value) ? value.rawJSON : JSON.stringify(value);
}

function canonical({ column, mapping }: BoundColumn, value: unknown): string | null {
  const text = textOf(column.name, value);
  if (text === null) return null;
  const { type } = column;
  // A duration has no canonical form: it is kept as the source prints it.
  const isKeptAsIs = type.kind === 'custom' || (type.kind === 'scalar' && type.name === 'duration');
  const found = isKeptAsIs ? text : canonicalText(type, text);
  if (found === null) {
    throw invalid(
      `column ${column.name}: ${text.slice(0, 100)} is no value of its type`,
      'docs/type-mapping.md says how values of each type are written',
    );
  }
  const problem = mapping.check?.(found) ?? null;
  if (problem !== null)
    throw invalid(`column ${column.name}: ${problem.message}`, 'give a value that the target holds');
  return found;
}

/**
 * Values in the order of `Table.regular`; undefined where the correction does not name the column.
 *
 * @throws LockstepError `CORRECTION_INVALID` (usage) where a column is unknown or part of the key, a value is none of its
 * type, or the target can't hold it exactly.
 */
export function correctedValues(
  table: BoundTable,
  correction: Exclude<Correction, null>,
): readonly (string | null | undefined)[] {
  const names = Object.keys(correction);
  if (names.length === 0) throw invalid('the correction names no column', 'give a value for at least one column');
  for (const name of names) {
    if (table.keys.some(({ column }) => column.name === name)) {
      throw invalid(`column ${name} is part of the key`, 'a row with another key is another row');
    }
    if (!table.regular.some(({ column }) => column.name === name)) {
      throw invalid(
        `${table.table.name} has no column ${name}`,
        `it has ${table.regular.map(({ column }) => column.name).join(', ')}`,
      );
    }
  }
  return table.regular.map((bound) =>
    Object.hasOwn(correction, bound.column.name) ? canonical(bound, correction[bound.column.name]) : undefined,
  );
}

/**
 * The version of a correction: above the source's write and the target's, so that no duplicate of either undoes it. The
 * source's own cell where the correction is what the source has.
 */
function correctedCell(
  { mapping }: BoundColumn,
  value: string | null,
  source: Cell | null,
  stored: Cell | null,
): Cell | 'exhausted' {
  const sourceAt = source?.writeTime ?? NEVER;
  const storedAt = stored?.writeTime ?? NEVER;
  if (value !== null && source?.value != null && mapping.asStored(source.value) === mapping.asStored(value)) {
    return source;
  }
  const newest = sourceAt > storedAt ? sourceAt : storedAt;
  // A tombstone wins at equal times; a value needs more.
  if (newest === NEVER || value === null) return { writeTime: newest, value, expiry: null };
  return newest === INT64_MAX ? 'exhausted' : { writeTime: newest + 1n, value, expiry: null };
}

/** What the row is to show, from values as `correctedValues` gives them; null where no write time is left for one of them. */
export function correctedRow(
  table: BoundTable,
  values: readonly (string | null | undefined)[],
  { row }: Observation,
  source: SourceImage,
): CorrectedRow | null {
  const differs = table.regular.map(({ mapping }, i) => {
    const value = values[i];
    if (value === undefined) return false;
    return (value === null ? null : mapping.asStored(value)) !== (row?.values[i] ?? null);
  });
  const cells = table.regular.map((bound, i): Cell | null | 'exhausted' => {
    const stored = row?.state.cells[i] ?? null;
    const value = values[i];
    if (value !== undefined) return correctedCell(bound, value, source?.cells[i] ?? null, stored);
    const shown = row?.values[i] ?? null;
    // A value that no change wrote has no write time: any that is not above the others will do.
    return stored ?? (shown === null ? null : { writeTime: 0n, value: shown, expiry: null });
  });
  const possible = cells.filter((cell) => cell !== 'exhausted');
  return possible.length < cells.length ? null : { wanted: { cells: possible }, differs };
}
