import type { Cell } from '../change/change-event.ts';
import type { PackedRow, PackedRows } from '../change/packed-rows.ts';
import { isMultiCell } from '../change/source-type.ts';
import { deserialise } from '../change/values/value-from-bytes.ts';
import type { Column } from '../catalog/table.ts';
import { LockstepError } from '../shared/errors.ts';

const US_PER_SECOND = 1_000_000n;

/** A name in CQL. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** A column in a query: where its value stands in the answer, its write time and TTL behind it. */
export interface ReadColumn {
  readonly column: Column;
  readonly multiCell: boolean;
  /** A counter has neither a write time nor a TTL that could be asked for. */
  readonly counter: boolean;
  readonly at: number;
}

/** Columns with write time and TTL, for a query whose first `from` columns are others. */
export function readColumns(
  columns: readonly Column[],
  from: number,
): { readonly selected: readonly string[]; readonly columns: readonly ReadColumn[] } {
  const selected: string[] = [];
  const read = columns.map((column): ReadColumn => {
    const multiCell = isMultiCell(column.type);
    const counter = column.type.kind === 'scalar' && column.type.name === 'counter';
    const at = from + selected.length;
    const name = quoted(column.name);
    if (counter) {
      // In the places of write time and TTL stands the counter itself, so that every column has three.
      selected.push(`${name} AS v${at}`, `${name} AS w${at}`, `${name} AS t${at}`);
      return { column, multiCell, counter, at };
    }
    selected.push(
      `${name} AS v${at}`,
      `${multiCell ? 'MAXWRITETIME' : 'WRITETIME'}(${name}) AS w${at}`,
      `TTL(${name}) AS t${at}`,
    );
    return { column, multiCell, counter, at };
  });
  return { selected, columns: read };
}

const INT_BYTES = 4;

/** Remaining seconds: an int, or of a multi-cell column a list with one entry per element; the least of them. */
function leastTtl(rows: PackedRows, start: number, multiCell: boolean): number | null {
  const { bytes } = rows;
  const size = rows.sizeAt(start);
  if (!multiCell) return size === INT_BYTES ? bytes.readInt32BE(start) : null;
  let least: number | null = null;
  // Behind the number of elements each with its length.
  for (let at = start + INT_BYTES; at + INT_BYTES <= start + size;) {
    const length = bytes.readInt32BE(at);
    at += INT_BYTES;
    if (length !== INT_BYTES) continue;
    const ttl = bytes.readInt32BE(at);
    if (least === null || ttl < least) least = ttl;
    at += length;
  }
  return least;
}

/** The text of one column's bytes. @throws {LockstepError} `row` for bytes that are no value of the column's type. */
export function valueOf(column: Column, bytes: Buffer): string {
  const value = deserialise(column.type, bytes);
  if (value !== null) return value;
  throw new LockstepError(
    `column ${column.name} holds bytes that are no value of its type: 0x${bytes.toString('hex', 0, 64)}`,
    {
      code: 'SOURCE_VALUE',
      kind: 'row',
      remedy: 'correct the value in the source, or leave the column out (exclude: true)',
    },
  );
}

/** Whether some cell of the row expires, so that the second of the read matters. */
export function expires(columns: readonly ReadColumn[], { rows, index }: PackedRow): boolean {
  for (const { at, multiCell, counter } of columns) {
    if (counter) continue;
    const start = rows.start(index, at + 2);
    if (start >= 0 && leastTtl(rows, start, multiCell) !== null) return true;
  }
  return false;
}

/** Whether some cell of some row expires. */
export function someExpire(columns: readonly ReadColumn[], rows: PackedRows): boolean {
  for (let index = 0; index < rows.length; index++) if (expires(columns, { rows, index })) return true;
  return false;
}

/** Whether the row has a value there: a null has no write time either. */
export function isThere({ at }: ReadColumn, { rows, index }: PackedRow): boolean {
  return rows.start(index, at) >= 0 && rows.start(index, at + 1) >= 0;
}

/**
 * A cell with its write time, read in the second `nowSeconds` of the coordinator: expiry = that second + remaining TTL. Of a
 * multi-cell column the write time is the newest element's, the expiry that of the element that expires first. A counter's
 * write time says nothing.
 *
 * @throws {LockstepError} `row` for bytes that are no value of the column's type.
 */
export function cellOf(column: ReadColumn, row: PackedRow, nowSeconds: bigint): Cell | null {
  const { rows, index } = row;
  const { at, multiCell, counter } = column;
  const bytes = rows.cell(index, at);
  if (bytes === null || !isThere(column, row)) return null;
  if (counter) return { writeTime: 0n, value: valueOf(column.column, bytes), expiry: null };
  const ttlStart = rows.start(index, at + 2);
  const ttl = ttlStart < 0 ? null : leastTtl(rows, ttlStart, multiCell);
  return {
    writeTime: rows.bytes.readBigInt64BE(rows.start(index, at + 1)),
    value: valueOf(column.column, bytes),
    expiry: ttl === null ? null : (nowSeconds + BigInt(ttl)) * US_PER_SECOND,
  };
}
