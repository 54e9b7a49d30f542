/**
 * Rows of one answer as the bytes that came, and where in them each cell begins: no object per cell, which cost more than
 * all else that a comparison does with a row. Both Cassandra's protocol and PostgreSQL's binary COPY write a cell as its
 * length in four bytes, −1 for null, and the cell behind it, so the length is read from in front of the cell.
 */

export const LENGTH_BYTES = 4;
/** In place of where a cell begins. */
const NULL = -1;

export type RowCells = readonly (Buffer | null)[];

export class PackedRows {
  readonly bytes: Buffer;
  /** Cells of a row. */
  readonly width: number;
  /** Rows. */
  readonly length: number;
  /** Bytes that the rows take in their answer. */
  readonly weight: number;
  /** Where each cell begins, row by row; −1 where it is null. */
  readonly #starts: Int32Array;

  constructor(bytes: Buffer, width: number, starts: Int32Array, weight: number) {
    this.bytes = bytes;
    this.weight = weight;
    this.width = width;
    this.length = width === 0 ? 0 : starts.length / width;
    this.#starts = starts;
  }

  /** Where a cell begins in `bytes`; negative where it is null. */
  start(row: number, column: number): number {
    return this.#starts[row * this.width + column] ?? NULL;
  }

  /** Length of a cell that is not null, bytes. */
  sizeAt(start: number): number {
    return this.bytes.readInt32BE(start - LENGTH_BYTES);
  }

  /** A cell's bytes, not copied. */
  cell(row: number, column: number): Buffer | null {
    const start = this.start(row, column);
    return start < 0 ? null : this.bytes.subarray(start, start + this.sizeAt(start));
  }

  row(row: number): RowCells {
    return Array.from({ length: this.width }, (_, column) => this.cell(row, column));
  }

  /** The rows at these places. */
  pick(rows: readonly number[]): PackedRows {
    const starts = new Int32Array(rows.length * this.width);
    for (const [i, row] of rows.entries()) {
      starts.set(this.#starts.subarray(row * this.width, (row + 1) * this.width), i * this.width);
    }
    return new PackedRows(this.bytes, this.width, starts, (this.weight * rows.length) / Math.max(1, this.length));
  }
}

/** One row of an answer. */
export interface PackedRow {
  readonly rows: PackedRows;
  readonly index: number;
}

/**
 * Finds the cells of so many rows that stand in `bytes` one behind the other from `at` on.
 *
 * @throws {RangeError} where the bytes end before the rows do.
 */
export function unpack(bytes: Buffer, at: number, rows: number, width: number): PackedRows {
  const starts = new Int32Array(rows * width);
  let from = at;
  for (let i = 0; i < starts.length; i++) {
    const size = bytes.readInt32BE(from);
    from += LENGTH_BYTES;
    if (size < 0) {
      starts[i] = NULL;
      continue;
    }
    starts[i] = from;
    from += size;
  }
  if (from > bytes.length) throw new RangeError(`rows end ${from - bytes.length} bytes behind what came`);
  return new PackedRows(bytes, width, starts, from - at);
}

/** The same out of rows that are cells already. All have the same width. */
export function pack(rows: readonly RowCells[]): PackedRows {
  const parts: Buffer[] = [];
  for (const cell of rows.flat()) {
    const length = Buffer.alloc(LENGTH_BYTES);
    length.writeInt32BE(cell?.length ?? NULL);
    parts.push(length, ...(cell === null ? [] : [cell]));
  }
  return unpack(Buffer.concat(parts), 0, rows.length, rows[0]?.length ?? 0);
}
