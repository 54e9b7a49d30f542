import { isUtf8 } from 'node:buffer';
import type { CqlType, ScalarName } from '../source-type.ts';
import type { TextMemory } from '../text-memory.ts';
import { dateText } from './value-calendar.ts';
import { deserialise } from './value-from-bytes.ts';

/**
 * Canonical text written as UTF-8 straight out of Cassandra's serialised bytes: what `deserialise` gives, without a string.
 * Only what is common has a writer of its own; everything else, and every value that is unusual, goes by `deserialise`
 * (law: test/… value-writer.test.ts).
 *
 * False for bytes that are no value of the type; what was written then is to be taken back.
 */
export type ValueWriter = (from: Buffer, start: number, size: number, into: TextMemory) => boolean;

const UINT32 = 2 ** 32;
/** High halves of int64s that a double holds exactly. */
const MAX_SAFE_HIGH = 2 ** 20;
const MS_PER_DAY = 86_400_000;
/** Years 0000 to 9999, whose text has no sign. */
const MIN_PLAIN_MS = -62_167_219_200_000;
const MAX_PLAIN_MS = 253_402_300_799_999;
/** A decimal's scale stands in front of its unscaled digits. */
const SCALE_BYTES = 4;
const MAX_PLAIN_UNSCALED_BYTES = 6;
const MAX_PLAIN_SCALE = 9;
const HEX = Buffer.from('0123456789abcdef');
const [T, Z, POINT, COLON, DASH] = Buffer.from('TZ.:-') as unknown as [number, number, number, number, number];

type Writer = (from: Buffer, start: number, size: number, into: TextMemory) => boolean;

/** An int64 as a double, NaN where that is not exact. */
function safeInt64(from: Buffer, start: number): number {
  const high = from.readInt32BE(start);
  return high >= -MAX_SAFE_HIGH && high < MAX_SAFE_HIGH ? high * UINT32 + from.readUInt32BE(start + 4) : Number.NaN;
}

function integer(size: number): Writer {
  return (from, start, length, into) => {
    if (length !== size) return false;
    into.integer(from.readIntBE(start, size));
    return true;
  };
}

const int32: Writer = (from, start, size, into) => {
  if (size !== 4) return false;
  into.integer(from.readInt32BE(start));
  return true;
};

const int64: Writer = (from, start, size, into) => {
  const value = size === 8 ? safeInt64(from, start) : Number.NaN;
  if (Number.isNaN(value)) return false;
  into.integer(value);
  return true;
};

const text: Writer = (from, start, size, into) => {
  if (into.copyAscii(from, start, size)) return true;
  if (!isUtf8(from.subarray(start, start + size))) return false;
  into.copy(from, start, size);
  return true;
};

const ascii: Writer = (from, start, size, into) => into.copyAscii(from, start, size);

const TRUE = Buffer.from('true');
const FALSE = Buffer.from('false');

const boolean: Writer = (from, start, size, into) => {
  if (size !== 1) return false;
  const word = from[start] === 0 ? FALSE : TRUE;
  into.copy(word, 0, word.length);
  return true;
};

const timestamp: Writer = (from, start, size, into) => {
  const ms = size === 8 ? safeInt64(from, start) : Number.NaN;
  if (!(ms >= MIN_PLAIN_MS && ms <= MAX_PLAIN_MS)) return false;
  const days = Math.floor(ms / MS_PER_DAY);
  const clock = ms - days * MS_PER_DAY;
  into.text(dateText(days));
  into.byte(T);
  into.padded(Math.floor(clock / 3_600_000), 2);
  into.byte(COLON);
  into.padded(Math.floor(clock / 60_000) % 60, 2);
  into.byte(COLON);
  into.padded(Math.floor(clock / 1_000) % 60, 2);
  into.byte(POINT);
  into.padded(clock % 1_000, 3);
  into.byte(Z);
  return true;
};

/** Decimals of up to 48 bits and nine fraction digits. */
const decimal: Writer = (from, start, size, into) => {
  const digits = size - SCALE_BYTES;
  if (digits < 1 || digits > MAX_PLAIN_UNSCALED_BYTES) return false;
  const scale = from.readInt32BE(start);
  if (scale < 0 || scale > MAX_PLAIN_SCALE) return false;
  let unscaled = from.readIntBE(start + SCALE_BYTES, digits);
  if (unscaled < 0) {
    into.byte(DASH);
    unscaled = -unscaled;
  }
  const unit = 10 ** scale;
  const whole = Math.floor(unscaled / unit);
  into.integer(whole);
  if (scale === 0) return true;
  into.byte(POINT);
  into.padded(unscaled - whole * unit, scale);
  return true;
};

function hex(from: Buffer, start: number, end: number, into: TextMemory): void {
  for (let at = start; at < end; at++) {
    const byte = from[at] ?? 0;
    into.byte(HEX[byte >> 4] ?? 0);
    into.byte(HEX[byte & 15] ?? 0);
  }
}

/** Where the groups of a UUID end, bytes. */
const UUID_GROUPS = [4, 6, 8, 10, 16];

const uuid: Writer = (from, start, size, into) => {
  if (size !== 16) return false;
  let at = 0;
  for (const end of UUID_GROUPS) {
    if (at > 0) into.byte(DASH);
    hex(from, start + at, start + end, into);
    at = end;
  }
  return true;
};

const WRITERS: Readonly<Partial<Record<ScalarName, Writer>>> = {
  ascii,
  text,
  tinyint: integer(1),
  smallint: integer(2),
  int: int32,
  bigint: int64,
  boolean,
  timestamp,
  decimal,
  uuid,
  timeuuid: uuid,
};

/** By way of a string: right for every type and value. */
function general(type: CqlType): ValueWriter {
  return (from, start, size, into) => {
    const value = deserialise(type, from.subarray(start, start + size));
    if (value === null) return false;
    into.text(value);
    return true;
  };
}

/** How values of a type are written. */
export function valueWriter(type: CqlType): ValueWriter {
  const always = general(type);
  const common = type.kind === 'scalar' ? WRITERS[type.name] : undefined;
  if (common === undefined) return always;
  return (from, start, size, into) => {
    const { end } = into;
    if (common(from, start, size, into)) return true;
    into.end = end;
    return always(from, start, size, into);
  };
}
