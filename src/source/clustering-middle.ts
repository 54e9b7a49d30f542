/**
 * Where a slice of a partition can be cut in two: a value between two values of a clustering column, in the source's order.
 * Types whose order is not known as a scale of numbers can't be cut. Pure.
 */
import type { CqlType, ScalarName } from '../change/source-type.ts';

/** Values of a type as whole numbers in the source's order. */
interface Scale {
  readonly least: bigint;
  readonly greatest: bigint;
  /** Null for bytes that are no value of the type. */
  toNumber(bytes: Buffer): bigint | null;
  fromNumber(number: bigint): Buffer;
  /** Neighbouring numbers are neighbouring values: false where long values share a number. */
  readonly exact: boolean;
}

const BITS_PER_BYTE = 8n;

function integers(width: number, signed: boolean): Scale {
  const bits = BigInt(width) * BITS_PER_BYTE;
  const half = signed ? 1n << (bits - 1n) : 0n;
  const read = (bytes: Buffer): bigint => BigInt(`0x${bytes.toString('hex')}`);
  return {
    least: -half,
    greatest: (1n << bits) - 1n - half,
    exact: true,
    toNumber: (bytes) => {
      if (bytes.length !== width) return null;
      return signed ? BigInt.asIntN(Number(bits), read(bytes)) : read(bytes);
    },
    fromNumber: (number) =>
      Buffer.from(
        BigInt.asUintN(Number(bits), number)
          .toString(16)
          .padStart(width * 2, '0'),
        'hex',
      ),
  };
}

const UUID_BYTES = 16;
const TIME_BITS = 60n;
const CLOCK_BITS = 64n;
/** The second half of a timeuuid is compared byte by byte, signed (`TimeUUIDType.compareTo`): sign bits are turned. */
const SIGNS = 0x8080808080808080n;

/** Timeuuids are ordered by their time, then by the other half as signed bytes. */
const TIMEUUID: Scale = {
  least: 0n,
  greatest: (1n << (TIME_BITS + CLOCK_BITS)) - 1n,
  exact: true,
  toNumber: (bytes) => {
    if (bytes.length !== UUID_BYTES) return null;
    const low = BigInt(bytes.readUInt32BE(0));
    const middle = BigInt(bytes.readUInt16BE(4));
    const high = BigInt(bytes.readUInt16BE(6) & 0x0fff);
    const time = (high << 48n) | (middle << 32n) | low;
    return (time << CLOCK_BITS) | (bytes.readBigUInt64BE(8) ^ SIGNS);
  },
  fromNumber: (number) => {
    const time = number >> CLOCK_BITS;
    const bytes = Buffer.alloc(UUID_BYTES);
    bytes.writeUInt32BE(Number(time & 0xffffffffn), 0);
    bytes.writeUInt16BE(Number((time >> 32n) & 0xffffn), 4);
    bytes.writeUInt16BE(0x1000 | Number(time >> 48n), 6);
    bytes.writeBigUInt64BE(BigInt.asUintN(Number(CLOCK_BITS), number) ^ SIGNS, 8);
    return bytes;
  },
};

/** So many symbols of a text or blob tell values apart; longer ones that begin alike can't be cut. */
const SYMBOLS = 24;

/** Sequences of symbols in the order of dictionaries; digit 0 stands behind the end. */
function sequences(symbols: bigint, read: (bytes: Buffer) => readonly number[], write: Write): Scale {
  const base = symbols + 1n;
  return {
    least: 0n,
    greatest: base ** BigInt(SYMBOLS) - 1n,
    exact: false,
    toNumber: (bytes) => {
      const digits = read(bytes);
      let number = 0n;
      for (let i = 0; i < SYMBOLS; i++) number = number * base + BigInt((digits[i] ?? -1) + 1);
      return number;
    },
    fromNumber: (number) => {
      const digits: number[] = [];
      for (let left = number, i = 0; i < SYMBOLS; i++, left /= base) digits.unshift(Number(left % base) - 1);
      const end = digits.indexOf(-1);
      return write(end === -1 ? digits : digits.slice(0, end));
    },
  };
}
type Write = (digits: readonly number[]) => Buffer;

const CODE_POINTS = 0x110000n;
const FIRST_SURROGATE = 0xd800;
const LAST_SURROGATE = 0xdfff;

/** The order of UTF-8 bytes is that of code points. Surrogates are no characters: the one before them stands for them. */
const TEXT = sequences(
  CODE_POINTS,
  (bytes) => Array.from(bytes.toString('utf8'), (symbol) => symbol.codePointAt(0) ?? 0),
  (digits) =>
    Buffer.from(
      digits
        .map((digit) =>
          String.fromCodePoint(digit >= FIRST_SURROGATE && digit <= LAST_SURROGATE ? FIRST_SURROGATE - 1 : digit),
        )
        .join(''),
      'utf8',
    ),
);
const ASCII = sequences(
  128n,
  (bytes) => [...bytes],
  (digits) => Buffer.from(digits),
);
const BLOB = sequences(
  256n,
  (bytes) => [...bytes],
  (digits) => Buffer.from(digits),
);

const SCALES: Partial<Record<ScalarName, Scale>> = {
  tinyint: integers(1, true),
  smallint: integers(2, true),
  int: integers(4, true),
  bigint: integers(8, true),
  timestamp: integers(8, true),
  time: integers(8, true),
  date: integers(4, false),
  timeuuid: TIMEUUID,
  text: TEXT,
  ascii: ASCII,
  blob: BLOB,
};

export type Cut =
  /** Values up to and including this come first in the order of the scan, the others behind it. */
  | { readonly kind: 'middle'; readonly value: Buffer }
  /** There is no other value in the slice than its last. */
  | { readonly kind: 'single' };

/**
 * Cuts the values behind one (not included) up to another (included), as the table orders them: from the greatest down
 * where `descending`. Null bounds are open. Null where it can't be cut.
 */
export function cutValues(type: CqlType, descending: boolean, behind: Buffer | null, upTo: Buffer | null): Cut | null {
  const scale = type.kind === 'scalar' ? SCALES[type.name] : undefined;
  if (scale === undefined) return null;
  const first = descending ? scale.greatest + 1n : scale.least - 1n;
  const last = descending ? scale.least : scale.greatest;
  const from = behind === null ? first : scale.toNumber(behind);
  const to = upTo === null ? last : scale.toNumber(upTo);
  if (from === null || to === null) return null;
  const width = descending ? from - to : to - from;
  if (width <= 1n) return width === 1n && scale.exact && upTo !== null ? { kind: 'single' } : null;
  const value = scale.fromNumber(descending ? from - width / 2n : from + width / 2n);
  if (scale.exact) return { kind: 'middle', value };
  // What is cut off at the end of a sequence may have moved the value onto a bound.
  const isInside = (bound: Buffer | null, side: 1 | -1): boolean =>
    bound === null || Buffer.compare(value, bound) * (descending ? -side : side) > 0;
  return isInside(behind, 1) && isInside(upTo, -1) ? { kind: 'middle', value } : null;
}
