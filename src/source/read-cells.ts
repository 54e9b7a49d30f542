import type { Cell } from '../change/change-event.ts';
import { isMultiCell } from '../change/source-type.ts';
import { deserialise } from '../change/value-from-bytes.ts';
import type { Column } from '../catalog/table.ts';
import { LockstepError } from '../shared/errors.ts';
import type { RawRow } from './raw-rows.ts';

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

/** Remaining seconds: an int, or of a multi-cell column a list with one entry per element; the least of them. */
function leastTtl(bytes: Buffer, multiCell: boolean): bigint | null {
  if (!multiCell) return bytes.length === 4 ? BigInt(bytes.readInt32BE(0)) : null;
  let least: bigint | null = null;
  for (let at = 4; at + 4 <= bytes.length;) {
    const length = bytes.readInt32BE(at);
    at += 4;
    if (length !== 4) continue;
    const ttl = BigInt(bytes.readInt32BE(at));
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
export function hasTtl(columns: readonly ReadColumn[], row: RawRow): boolean {
  return columns.some(({ at, multiCell, counter }) => {
    if (counter) return false;
    const bytes = row[at + 2] ?? null;
    return bytes !== null && leastTtl(bytes, multiCell) !== null;
  });
}

/**
 * A cell with its write time, read in the second `nowSeconds` of the coordinator: expiry = that second + remaining TTL. Of a
 * multi-cell column the write time is the newest element's, the expiry that of the element that expires first. A counter's
 * write time says nothing.
 *
 * @throws {LockstepError} `row` for bytes that are no value of the column's type.
 */
export function cellOf({ column, multiCell, counter, at }: ReadColumn, row: RawRow, nowSeconds: bigint): Cell | null {
  const bytes = row[at] ?? null;
  const time = row[at + 1] ?? null;
  if (bytes === null || time === null) return null;
  if (counter) return { writeTime: 0n, value: valueOf(column, bytes), expiry: null };
  const ttlBytes = row[at + 2] ?? null;
  const ttl = ttlBytes === null ? null : leastTtl(ttlBytes, multiCell);
  return {
    writeTime: time.readBigInt64BE(0),
    value: valueOf(column, bytes),
    expiry: ttl === null ? null : (nowSeconds + ttl) * US_PER_SECOND,
  };
}
