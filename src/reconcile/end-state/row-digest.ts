import { hash } from 'node:crypto';

/**
 * Digests of rows and of ranges of rows (DESIGN §7, CHECKSUM). A row is written as bytes in one way only: a version, then
 * every part with its length in front, so that no two different rows have the same bytes. A range is its count and two
 * 64-bit sums over SHA-256 of its rows: sums don't depend on the order of the rows and add up over ranges, and unlike XOR
 * they see a row that stands twice.
 */

/** Raised when the encoding changes: digests of different versions never agree. */
const ENCODING_VERSION = 1;

const ABSENT = 0;
const LASTING = 1;
const EXPIRING = 2;

/** What one side shows of a row at a moment: values as canonical text, by position in `Table.regular`. */
export interface ShownRow {
  /** Key values as the target stores them. */
  readonly key: readonly string[];
  /** null where no value is visible. */
  readonly values: readonly (string | null)[];
  /** By position: the value goes by itself. False where that is not compared (multi-cell columns). */
  readonly expiring: readonly boolean[];
}

/** Bytes that one row begins with; a larger one gets twice as many. */
const FIRST_BYTES = 64 * 1024;
const LENGTH_BYTES = 4;

/** One row after the other in the same memory, instead of many small buffers. */
class Writer {
  #memory = Buffer.allocUnsafe(FIRST_BYTES);
  #end = 0;

  reset(): void {
    this.#end = 0;
  }

  #room(bytes: number): void {
    if (this.#end + bytes <= this.#memory.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#memory.length * 2, this.#end + bytes));
    this.#memory.copy(larger, 0, 0, this.#end);
    this.#memory = larger;
  }

  number(value: number): void {
    this.#room(LENGTH_BYTES);
    this.#end = this.#memory.writeUInt32BE(value, this.#end);
  }

  text(value: string): void {
    // A character has three bytes of UTF-8 at most for each unit of its text.
    this.#room(LENGTH_BYTES + value.length * 3);
    const written = this.#memory.write(value, this.#end + LENGTH_BYTES, 'utf8');
    this.#memory.writeUInt32BE(written, this.#end);
    this.#end += LENGTH_BYTES + written;
  }

  state(value: number): void {
    this.#room(1);
    this.#memory[this.#end++] = value;
  }

  /** Valid until the next row is begun. */
  bytes(): Buffer {
    return this.#memory.subarray(0, this.#end);
  }
}

const WRITER = new Writer();

function written(columns: readonly string[], row: ShownRow): Buffer {
  WRITER.reset();
  WRITER.state(ENCODING_VERSION);
  WRITER.number(row.key.length);
  for (const value of row.key) WRITER.text(value);
  for (let i = 0; i < columns.length; i++) {
    const value = row.values[i] ?? null;
    if (value === null) continue;
    WRITER.text(columns[i] ?? '');
    WRITER.state(row.expiring[i] === true ? EXPIRING : LASTING);
    WRITER.text(value);
  }
  WRITER.state(ABSENT);
  return WRITER.bytes();
}

/**
 * The canonical encoding of one row. Columns go by name, so that a column that was added or renamed is no silent match;
 * columns without a value are not written, so that adding one changes no digest of rows that lack it.
 */
export function encodeRow(columns: readonly string[], row: ShownRow): Buffer {
  return Buffer.from(written(columns, row));
}

/** SHA-256 of the row's canonical encoding. */
export function digestOfRow(columns: readonly string[], row: ShownRow): Buffer {
  return hash('sha256', written(columns, row), 'buffer');
}

/** Whether two rows have one encoding, so one digest. */
export function sameShown(left: ShownRow, right: ShownRow): boolean {
  return (
    left.key.every((value, i) => value === right.key[i]) &&
    left.values.every((value, i) => value === right.values[i] && left.expiring[i] === right.expiring[i])
  );
}

export interface RangeDigest {
  readonly count: bigint;
  /** Sums mod 2^64 of bytes 0–7 and 8–15 of the rows' digests. */
  readonly sums: readonly [bigint, bigint];
}

export const EMPTY_DIGEST: RangeDigest = { count: 0n, sums: [0n, 0n] };

/** Collects a range's digest row by row, in any order. */
export class RangeDigester {
  #count = 0n;
  #low = 0n;
  #high = 0n;

  add(digest: Buffer): void {
    this.#count += 1n;
    this.#low += digest.readBigUInt64BE(0);
    this.#high += digest.readBigUInt64BE(8);
  }

  digest(): RangeDigest {
    return { count: this.#count, sums: [BigInt.asUintN(64, this.#low), BigInt.asUintN(64, this.#high)] };
  }
}

/** The digest of two disjoint ranges together. */
export function addDigests(left: RangeDigest, right: RangeDigest): RangeDigest {
  return {
    count: left.count + right.count,
    sums: [BigInt.asUintN(64, left.sums[0] + right.sums[0]), BigInt.asUintN(64, left.sums[1] + right.sums[1])],
  };
}

export function sameDigest(left: RangeDigest, right: RangeDigest): boolean {
  return left.count === right.count && left.sums[0] === right.sums[0] && left.sums[1] === right.sums[1];
}

/** As reports show it: `count:sum:sum`, the sums in hexadecimal. */
export function digestText({ count, sums }: RangeDigest): string {
  return [String(count), ...sums.map((sum) => sum.toString(16).padStart(16, '0'))].join(':');
}

/** Inverse of `digestText`. */
export function digestFrom(text: string): RangeDigest {
  const [count = '0', low = '0', high = '0'] = text.split(':');
  return { count: BigInt(count), sums: [BigInt(`0x${low}`), BigInt(`0x${high}`)] };
}
