import type { ScalarName } from '../../change/source-type.ts';
import { dateText, timestampText, timeText } from '../../change/values/value-calendar.ts';
import { canonicalUuid } from '../../change/values/value-canonical.ts';
import { canonicalInet } from '../../change/values/value-inet.ts';
import { canonicalDecimal, canonicalInteger, doubleText, floatText } from '../../change/values/value-number.ts';
import { INT64_MAX, INT64_MIN } from '../../change/write-time.ts';
import { Refused, shown, type DecodeCode } from './codes.ts';
import { NEEDS_EXACT_READING, type Json } from './json.ts';

/** What the decoding of one record knows beside the value at hand. One object per decoder, set anew for each record. */
export interface Reading {
  /** True in the second, exact reading of the text (json.ts). */
  exact: boolean;
  /** The text holds \u escapes, the only way for a lone surrogate to come through valid UTF-8. */
  escapes: boolean;
  /** Where the decoder is, for refusals. */
  path: string;
  /** Characters that decimals may still grow by when their exponents are written out. */
  expansion: number;
}

/** Decimals arrive in plain notation; what others abbreviate may expand by this much per record, then it is a bomb. */
export const MAX_EXPANSION_CHARS = 1_000_000;

/** A JSON value that is not null → canonical text; throws `Refused`, or NEEDS_EXACT_READING. */
export type WireDecoder = (value: Json, reading: Reading) => string;

export function refuse(reading: Reading, code: DecodeCode, value: Json, expected: string): Refused {
  return new Refused(code, reading.path, `${shown(value)} is no ${expected}`);
}

/** An integer whatever its size, as number where it is safe. */
function wireInteger(value: Json, reading: Reading, expected: string): number | bigint {
  if (typeof value === 'number') {
    if (Number.isSafeInteger(value)) return value;
    if (!reading.exact && Number.isInteger(value)) throw NEEDS_EXACT_READING;
  } else if (typeof value === 'bigint') return value;
  throw refuse(reading, 'BAD_VALUE', value, expected);
}

function smallInteger(name: ScalarName, limit: number): WireDecoder {
  return (value, reading) => {
    const integer = wireInteger(value, reading, name);
    if (integer < -limit || integer >= limit) throw refuse(reading, 'VALUE_OUT_OF_RANGE', value, name);
    return String(integer);
  };
}

function int64(value: Json, reading: Reading, name: ScalarName): number | bigint {
  const integer = wireInteger(value, reading, name);
  if (typeof integer === 'bigint' && (integer < INT64_MIN || integer > INT64_MAX)) {
    throw refuse(reading, 'VALUE_OUT_OF_RANGE', value, name);
  }
  return integer;
}

function int64Text(name: ScalarName): WireDecoder {
  return (value, reading) => String(int64(value, reading, name));
}

const LONE_SURROGATE = /\p{Surrogate}/u;
// eslint-disable-next-line no-control-regex -- ASCII is the range from the first control character on.
const ASCII = /^[\x00-\x7f]*$/;

function text(value: Json, reading: Reading): string {
  if (typeof value !== 'string') throw refuse(reading, 'BAD_VALUE', value, 'text');
  if (reading.escapes && LONE_SURROGATE.test(value)) throw refuse(reading, 'BAD_VALUE', value, 'Unicode text');
  return value;
}

function parsed(name: ScalarName, canonical: (value: string) => string | null): WireDecoder {
  return (value, reading) => {
    const result = typeof value === 'string' ? canonical(value) : null;
    if (result === null) throw refuse(reading, 'BAD_VALUE', value, name);
    return result;
  };
}

function decimal(value: Json, reading: Reading): string {
  const result = typeof value === 'string' ? canonicalDecimal(value) : null;
  if (result === null) throw refuse(reading, 'BAD_VALUE', value, 'decimal in text form');
  if (typeof value === 'string' && result.length > value.length) {
    reading.expansion -= result.length - value.length;
    if (reading.expansion < 0) throw refuse(reading, 'VALUE_OUT_OF_RANGE', value, 'decimal of reasonable scale');
  }
  return result;
}

/** The double that the wire states. NaN and the infinities come as text, so an infinite *number* is an overflow. */
function wireDouble(value: Json, reading: Reading, name: ScalarName): number {
  if (typeof value === 'number') {
    if (Number.isFinite(value)) return value;
    throw refuse(reading, 'VALUE_OUT_OF_RANGE', String(value), name);
  }
  // An integer literal of the exact reading. The conversion rounds to nearest, ties to even, as JSON.parse does.
  if (typeof value === 'bigint') return wireDouble(Number(value), reading, name);
  if (value === 'NaN') return NaN;
  if (value === 'Infinity') return Infinity;
  if (value === '-Infinity') return -Infinity;
  throw refuse(reading, 'BAD_VALUE', value, name);
}

/**
 * Java prints a float by at most nine digits, which lead back to it. More digits are accepted only of a double that is a
 * float exactly (a converter may have widened it); anything else would be rounded here, so it is refused.
 */
function float(value: Json, reading: Reading): string {
  const wide = wireDouble(value, reading, 'float');
  const narrow = Math.fround(wide);
  if (!Number.isFinite(narrow) && Number.isFinite(wide)) throw refuse(reading, 'VALUE_OUT_OF_RANGE', value, 'float');
  if (Object.is(narrow, wide)) return floatText(narrow);
  const underflow = narrow === 0;
  if (underflow || Number(wide.toPrecision(9)) !== wide) throw refuse(reading, 'BAD_VALUE', value, '32-bit float');
  return floatText(narrow);
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Bytes of base64 text as Java prints it (padded, one alphabet), or null. */
export function wireBytes(value: Json): Buffer | null {
  return typeof value === 'string' && BASE64.test(value) ? Buffer.from(value, 'base64') : null;
}

function blob(value: Json, reading: Reading): string {
  const bytes = wireBytes(value);
  if (bytes === null) throw refuse(reading, 'BAD_VALUE', value, 'base64');
  return `\\x${bytes.toString('hex')}`;
}

function boolean(value: Json, reading: Reading): string {
  if (typeof value !== 'boolean') throw refuse(reading, 'BAD_VALUE', value, 'boolean');
  return value ? 'true' : 'false';
}

function date(value: Json, reading: Reading): string {
  const days = wireInteger(value, reading, 'date');
  if (days < -2_147_483_648 || days > 2_147_483_647) throw refuse(reading, 'VALUE_OUT_OF_RANGE', value, 'date');
  return dateText(Number(days));
}

function time(value: Json, reading: Reading): string {
  const ns = timeText(BigInt(int64(value, reading, 'time')));
  if (ns === null) throw refuse(reading, 'VALUE_OUT_OF_RANGE', value, 'time of day');
  return ns;
}

/** Wire decoders of the scalar types (docs: facts of the connector, verified with its own JsonConverter). */
export const WIRE_SCALARS: Readonly<Record<ScalarName, WireDecoder>> = {
  ascii: (value, reading) => {
    if (typeof value !== 'string' || !ASCII.test(value)) throw refuse(reading, 'BAD_VALUE', value, 'ASCII text');
    return value;
  },
  text,
  tinyint: smallInteger('tinyint', 2 ** 7),
  smallint: smallInteger('smallint', 2 ** 15),
  int: smallInteger('int', 2 ** 31),
  bigint: int64Text('bigint'),
  counter: int64Text('counter'),
  // A number here was cut to 64 bits (varint.handling.mode=long), a decimal number to a double: refused, not guessed.
  varint: parsed('varint', canonicalInteger),
  decimal,
  // Months and days are lost in nanoseconds: the text only tells two such changes apart, the event is ambiguous.
  duration: int64Text('duration'),
  blob,
  boolean,
  date,
  time,
  timestamp: (value, reading) => timestampText(int64(value, reading, 'timestamp')),
  float,
  double: (value, reading) => doubleText(wireDouble(value, reading, 'double')),
  uuid: parsed('uuid', (value) => canonicalUuid(value, false)),
  timeuuid: parsed('timeuuid', (value) => canonicalUuid(value, true)),
  inet: parsed('inet', canonicalInet),
};
