import type { CqlType, ScalarName } from '../source-type.ts';
import { parseDate, parseTime, parseTimestamp } from './value-calendar.ts';
import { parseBlob, parseBoolean, parseInteger } from './value-clustering.ts';
import { canonicalText } from './value-canonical.ts';
import { parseInet } from './value-inet.ts';
import { parseDecimal, parseDouble, parseFloat32 } from './value-number.ts';

/**
 * Cassandra's serialised bytes of scalar values (`org.apache.cassandra.serializers`, 5.0.8): what the last tie rule
 * compares and what tokens are computed from. Proven against the real classes: test/fixtures/debezium-cassandra/cassandra-values.json.
 */

function integerBytes(width: 1 | 2 | 4 | 8): (text: string) => Uint8Array | null {
  const limit = 1n << BigInt(width * 8 - 1);
  return (text) => {
    const value = parseInteger(text);
    if (value === null || value < -limit || value >= limit) return null;
    // Partition keys are mostly of this type, and a view of a buffer costs as much as the buffer.
    return width === 8 ? int64(value) : int64(value).subarray(8 - width);
  };
}

function int64(value: bigint): Uint8Array {
  const out = Buffer.allocUnsafe(8);
  out.writeBigInt64BE(value);
  return out;
}

/** Shortest two's complement, as java.math.BigInteger.toByteArray. */
function bigIntegerBytes(value: bigint): Uint8Array {
  const magnitude = value < 0n ? -value - 1n : value;
  const bits = magnitude === 0n ? 0 : magnitude.toString(16).length * 4;
  let width = Math.floor(bits / 8) + 1;
  // The hex length rounds the bit length up to four; drop the byte that this may cost.
  if (width > 1 && magnitude < 1n << BigInt((width - 1) * 8 - 1)) width--;
  const hex = BigInt.asUintN(width * 8, value)
    .toString(16)
    .padStart(width * 2, '0');
  return Buffer.from(hex, 'hex');
}

function decimalBytes(text: string): Uint8Array | null {
  const decimal = parseDecimal(text);
  if (decimal === null) return null;
  const scale = Buffer.alloc(4);
  scale.writeInt32BE(decimal.scale);
  const unscaled = BigInt(decimal.digits);
  return Buffer.concat([scale, bigIntegerBytes(decimal.negative ? -unscaled : unscaled)]);
}

function dateBytes(text: string): Uint8Array | null {
  const days = parseDate(text);
  if (days === null) return null;
  const out = Buffer.alloc(4);
  // Unsigned with the epoch in the middle.
  out.writeUInt32BE(days + 2_147_483_648);
  return out;
}

function timestampBytes(text: string): Uint8Array | null {
  const ms = parseTimestamp(text);
  return ms === null || BigInt.asIntN(64, ms) !== ms ? null : int64(ms);
}

function timeBytes(text: string): Uint8Array | null {
  const ns = parseTime(text);
  return ns === null ? null : int64(ns);
}

function floatBytes(text: string): Uint8Array | null {
  const value = parseFloat32(text);
  if (value === null) return null;
  const out = Buffer.alloc(4);
  out.writeFloatBE(value);
  return out;
}

function doubleBytes(text: string): Uint8Array | null {
  const value = parseDouble(text);
  if (value === null) return null;
  const out = Buffer.alloc(8);
  out.writeDoubleBE(value);
  return out;
}

function uuidBytes(text: string): Uint8Array | null {
  const hex = text.replaceAll('-', '');
  return /^[0-9a-fA-F]{32}$/.test(hex) ? Buffer.from(hex, 'hex') : null;
}

function booleanBytes(text: string): Uint8Array | null {
  const value = parseBoolean(text);
  return value === null ? null : Uint8Array.of(value ? 1 : 0);
}

function varintBytes(text: string): Uint8Array | null {
  const value = parseInteger(text);
  return value === null ? null : bigIntegerBytes(value);
}

const utf8 = (text: string): Uint8Array => Buffer.from(text, 'utf8');

const SERIALISERS: Readonly<Record<ScalarName, ((text: string) => Uint8Array | null) | null>> = {
  ascii: utf8,
  text: utf8,
  tinyint: integerBytes(1),
  smallint: integerBytes(2),
  int: integerBytes(4),
  bigint: integerBytes(8),
  // A counter's cell holds a context of shards; its total is not what Cassandra compares.
  counter: null,
  duration: null,
  varint: varintBytes,
  decimal: decimalBytes,
  blob: parseBlob,
  boolean: booleanBytes,
  date: dateBytes,
  time: timeBytes,
  timestamp: timestampBytes,
  float: floatBytes,
  double: doubleBytes,
  uuid: uuidBytes,
  timeuuid: uuidBytes,
  inet: parseInet,
};

/** Whether `serialise` gives the source's bytes for values of this type; otherwise ties are settled by re-reading. */
export function bytesKnown(type: CqlType): boolean {
  return type.kind === 'scalar' && SERIALISERS[type.name] !== null;
}

/**
 * Cassandra's serialised bytes of a value, or null where the type's bytes are not known (`bytesKnown`) or the text is no
 * value of the type. Reads canonical text and PostgreSQL's, of which the latter may have lost the form (numeric `1000`
 * for 1E+3, −0, a NaN's payload): then these are the bytes of what is left.
 */
export function serialise(type: CqlType, text: string): Uint8Array | null {
  return type.kind === 'scalar' ? (SERIALISERS[type.name]?.(text) ?? null) : null;
}

/**
 * −1, 0 or 1 by unsigned serialised bytes: the tie rule of Cassandra's `Cells.resolveRegular` for two live values of one
 * write time and expiry (int −1 beats 1; decimal 1.00 beats 1.0, 1.0 beats 9). Total: where bytes are unknown it
 * compares canonical texts, so that a merge gives one result in any order; that result may not be Cassandra's.
 */
export function compareSerialised(type: CqlType, a: string, b: string): number {
  if (a === b) return 0;
  const left = serialise(type, a);
  const right = serialise(type, b);
  if (left !== null && right !== null) return Buffer.compare(left, right);
  const [one, two] = [canonicalText(type, a) ?? a, canonicalText(type, b) ?? b];
  return one < two ? -1 : one > two ? 1 : 0;
}
