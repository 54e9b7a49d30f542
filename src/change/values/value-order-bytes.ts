import type { CqlType, ScalarName } from '../source-type.ts';
import { parseDate, parseTime, parseTimestamp } from './value-calendar.ts';
import {
  malformed,
  orderedElements,
  parseBlob,
  parseBoolean,
  parseInteger,
  signedBytesHex,
  timestampHex,
  withoutOrder,
} from './value-clustering.ts';
import { elementType } from './value-elements.ts';
import { parseInet } from './value-inet.ts';
import { parseDecimal, parseDouble, parseFloat32, type Decimal } from './value-number.ts';

/**
 * Order-preserving bytes: `memcmp` of two encodings orders as Cassandra's comparator orders the values, and no encoding
 * is the beginning of another, so encodings of several clustering columns can be concatenated and a prefix of the key is
 * a prefix of the bytes. Inverted bytes give DESC. Equal values (decimal 1.0 and 1.00) have equal bytes.
 */

/** Ends a text or blob. A 0 byte inside becomes 00 FF, which sorts after it, so the shorter of equal beginnings is first. */
function terminated(bytes: Uint8Array): Uint8Array {
  if (!bytes.includes(0)) {
    const out = new Uint8Array(bytes.length + 2);
    out.set(bytes);
    return out;
  }
  const out: number[] = [];
  for (const byte of bytes) {
    out.push(byte);
    if (byte === 0) out.push(0xff);
  }
  out.push(0, 0);
  return Uint8Array.from(out);
}

/** Two's complement with the sign flipped: negative before positive. */
function signed(value: bigint, width: 1 | 2 | 4 | 8): Uint8Array {
  const out = Buffer.alloc(8);
  out.writeBigUInt64BE(BigInt.asUintN(64, value + (1n << BigInt(width * 8 - 1))));
  return out.subarray(8 - width);
}

/** IEEE 754 bits: positive with the sign flipped, negative inverted. NaN has the largest positive pattern that is used. */
function floatingBytes(bits: Buffer): Uint8Array {
  const negative = ((bits[0] ?? 0) & 0x80) !== 0;
  for (let index = 0; index < bits.length; index++) bits[index] = (bits[index] ?? 0) ^ (negative ? 0xff : 0);
  if (!negative) bits[0] = (bits[0] ?? 0) ^ 0x80;
  return bits;
}

/** Sign, exponent, digits without trailing zeros, end; of negative numbers all but the sign inverted. */
function decimalBytes({ negative, digits, scale }: Decimal): Uint8Array {
  if (digits === '0') return Uint8Array.of(2);
  const significant = digits.replace(/0+$/, '');
  const magnitude = Buffer.concat([
    signed(BigInt(digits.length - scale), 8),
    Buffer.from(significant, 'latin1'),
    Buffer.of(0),
  ]);
  return Buffer.concat([Buffer.of(negative ? 1 : 3), negative ? inverted(magnitude) : magnitude]);
}

function inverted(bytes: Uint8Array): Uint8Array {
  return bytes.map((byte) => byte ^ 0xff);
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

function uuidBytes(text: string, timeUuid: boolean): Uint8Array | null {
  const hex = text.toLowerCase();
  if (!UUID.test(hex)) return null;
  if (timeUuid) return Buffer.from(`0${timestampHex(hex)}${signedBytesHex(hex)}`, 'hex');
  const version = hex.charAt(14);
  const rest = version === '1' ? `0${timestampHex(hex)}${hex.slice(19)}` : hex;
  return Buffer.from(`0${version}${rest.replaceAll('-', '')}`, 'hex');
}

function mapped<Value>(value: Value | null, encode: (value: Value) => Uint8Array): Uint8Array | null {
  return value === null ? null : encode(value);
}

function integerBytes(width: 1 | 2 | 4 | 8): (text: string) => Uint8Array | null {
  return (text) => mapped(parseInteger(text), (value) => signed(value, width));
}

function doubleBits(value: number): Buffer {
  const bits = Buffer.alloc(8);
  bits.writeDoubleBE(value);
  return bits;
}

function floatBits(value: number): Buffer {
  const bits = Buffer.alloc(4);
  bits.writeFloatBE(value);
  return bits;
}

const utf8 = (text: string): Uint8Array => terminated(Buffer.from(text, 'utf8'));
const decimal = (text: string): Uint8Array | null => mapped(parseDecimal(text), decimalBytes);

const ENCODERS: Readonly<Record<ScalarName, ((text: string) => Uint8Array | null) | null>> = {
  ascii: utf8,
  text: utf8,
  tinyint: integerBytes(1),
  smallint: integerBytes(2),
  int: integerBytes(4),
  bigint: integerBytes(8),
  varint: decimal,
  decimal,
  counter: null,
  duration: null,
  blob: (text) => mapped(parseBlob(text), terminated),
  boolean: (text) => mapped(parseBoolean(text), (value) => Uint8Array.of(value ? 1 : 0)),
  date: (text) => mapped(parseDate(text), (value) => signed(BigInt(value), 4)),
  time: (text) => mapped(parseTime(text), (value) => signed(value, 8)),
  timestamp: (text) => mapped(parseTimestamp(text), (value) => signed(value, 8)),
  float: (text) => mapped(parseFloat32(text), (value) => floatingBytes(floatBits(value))),
  double: (text) => mapped(parseDouble(text), (value) => floatingBytes(doubleBits(value))),
  uuid: (text) => uuidBytes(text, false),
  timeuuid: (text) => uuidBytes(text, true),
  // Four bytes may begin sixteen, so addresses need an end as texts do.
  inet: (text) => mapped(parseInet(text), terminated),
};

/** Each element behind a mark (1 null, 2 value), the end (0) before every mark: the shorter of equal beginnings is first. */
function elementBytes(type: CqlType, text: string): Uint8Array {
  const elements = orderedElements(type, text);
  const out: Uint8Array[] = [];
  for (const [index, element] of elements.entries()) {
    const part = elementType(type, index);
    if (element === null || part === undefined) out.push(Uint8Array.of(1));
    else out.push(Uint8Array.of(2), orderBytes(part, element));
  }
  out.push(Uint8Array.of(0));
  return Buffer.concat(out);
}

/**
 * Order-preserving, self-delimiting bytes of a clustering value. Throws a `row` error on text that is no value of the
 * type, a `config` error where `supportsClustering` is false.
 */
export function orderBytes(type: CqlType, text: string, descending = false): Uint8Array {
  if (descending) return inverted(orderBytes(type, text));
  if (type.kind === 'custom') throw withoutOrder(type);
  if (type.kind !== 'scalar') return elementBytes(type, text);
  const encode = ENCODERS[type.name];
  if (encode === null) throw withoutOrder(type);
  const bytes = encode(text);
  if (bytes === null) throw malformed(type, text);
  return bytes;
}
