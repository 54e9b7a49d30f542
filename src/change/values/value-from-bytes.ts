import type { CqlType, ScalarName } from '../source-type.ts';
import { dateText, timestampText, timeText } from './value-calendar.ts';
import { collectionText } from './value-collection.ts';
import { durationFromBytes } from './value-duration.ts';
import { inetText } from './value-inet.ts';
import { decimalText, doubleText, floatText } from './value-number.ts';

/**
 * Canonical text out of Cassandra's serialised bytes (`org.apache.cassandra.serializers`, 5.0.8, native protocol v3 and
 * later inside collections): the inverse of `serialise`, and of collections too. Exact where drivers are not (negative
 * scales, far timestamps). Proven against the real classes: test/fixtures/debezium-cassandra/cassandra-values.json.
 */

function bigInteger(bytes: Buffer): bigint | null {
  return bytes.length === 0 ? null : BigInt.asIntN(bytes.length * 8, BigInt(`0x${bytes.toString('hex')}`));
}

function decimal(bytes: Buffer): string | null {
  if (bytes.length < 5) return null;
  const unscaled = bigInteger(bytes.subarray(4));
  if (unscaled === null) return null;
  const negative = unscaled < 0n;
  return decimalText({ negative, digits: String(negative ? -unscaled : unscaled), scale: bytes.readInt32BE(0) });
}

function utf8(bytes: Buffer): string | null {
  const text = bytes.toString('utf8');
  return Buffer.from(text, 'utf8').equals(bytes) ? text : null;
}

function ascii(bytes: Buffer): string | null {
  return bytes.every((byte) => byte < 0x80) ? bytes.toString('latin1') : null;
}

/** A reader of a value of exactly this many bytes. */
function sized(length: number, read: (bytes: Buffer) => string | null): (bytes: Buffer) => string | null {
  return (bytes) => (bytes.length === length ? read(bytes) : null);
}

const integer = (length: number): ((bytes: Buffer) => string | null) =>
  sized(length, (bytes) => String(bytes.readIntBE(0, length)));
const int64 = sized(8, (bytes) => String(bytes.readBigInt64BE(0)));

const uuid = sized(16, (bytes) => {
  const hex = bytes.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
});

const READERS: Readonly<Record<ScalarName, ((bytes: Buffer) => string | null) | null>> = {
  ascii,
  text: utf8,
  tinyint: integer(1),
  smallint: integer(2),
  int: integer(4),
  bigint: int64,
  // In an answer a counter is its total; what is stored is a context of shards.
  counter: int64,
  duration: durationFromBytes,
  varint: (bytes) => bigInteger(bytes)?.toString() ?? null,
  decimal,
  blob: (bytes) => `\\x${bytes.toString('hex')}`,
  boolean: sized(1, (bytes) => (bytes[0] === 0 ? 'false' : 'true')),
  date: sized(4, (bytes) => dateText(bytes.readUInt32BE(0) - 2_147_483_648)),
  time: sized(8, (bytes) => timeText(bytes.readBigInt64BE(0))),
  timestamp: sized(8, (bytes) => timestampText(bytes.readBigInt64BE(0))),
  float: sized(4, (bytes) => floatText(bytes.readFloatBE(0))),
  double: sized(8, (bytes) => doubleText(bytes.readDoubleBE(0))),
  uuid,
  timeuuid: uuid,
  inet: (bytes) => (bytes.length === 4 || bytes.length === 16 ? inetText(bytes) : null),
};

/** Walks over parts that each have a 4-byte length before them, −1 for null. */
class Parts {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get atEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  int32(): number | null {
    if (this.#at + 4 > this.#bytes.length) return null;
    const value = this.#bytes.readInt32BE(this.#at);
    this.#at += 4;
    return value;
  }

  /** Bytes of the next part; null where it is null, undefined where the value ends too early. */
  next(): Buffer | null | undefined {
    const length = this.int32();
    if (length === null) return undefined;
    if (length < 0) return null;
    if (this.#at + length > this.#bytes.length) return undefined;
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }
}

type PartTexts = (string | null)[];

/** Reads one part into `texts`; false where it can't be read. */
function readPart(type: CqlType | undefined, parts: Parts, texts: PartTexts): boolean {
  const bytes = parts.next();
  if (bytes === undefined || type === undefined) return false;
  const text = bytes === null ? null : deserialise(type, bytes);
  if (bytes !== null && text === null) return false;
  texts.push(text);
  return true;
}

function counted(bytes: Buffer, types: readonly CqlType[]): PartTexts | null {
  const parts = new Parts(bytes);
  const count = parts.int32();
  // Each part takes at least four bytes: a larger count is damage, not a reason to loop.
  if (count === null || count < 0 || count * types.length > bytes.length / 4) return null;
  const texts: PartTexts = [];
  for (let index = 0; index < count; index++) {
    for (const type of types) if (!readPart(type, parts, texts)) return null;
  }
  return parts.atEnd ? texts : null;
}

/** Tuples and UDTs: fields in order; missing ones at the end are null (written before they were added). */
function fields(bytes: Buffer, types: readonly CqlType[]): PartTexts | null {
  const parts = new Parts(bytes);
  const texts: PartTexts = [];
  for (const type of types)
    if (parts.atEnd) texts.push(null);
    else if (!readPart(type, parts, texts)) return null;
  return parts.atEnd ? texts : null;
}

/** Bytes per element of a vector, which has no lengths where they are all the same. */
export const FIXED_LENGTHS: Readonly<Partial<Record<ScalarName, number>>> = {
  float: 4,
  double: 8,
  int: 4,
  bigint: 8,
  boolean: 1,
  uuid: 16,
  timeuuid: 16,
  timestamp: 8,
};

function vector(bytes: Buffer, element: CqlType, dimensions: number): PartTexts | null {
  const length = element.kind === 'scalar' ? FIXED_LENGTHS[element.name] : undefined;
  if (length === undefined || bytes.length !== length * dimensions) return null;
  const texts: PartTexts = [];
  for (let at = 0; at < bytes.length; at += length) texts.push(deserialise(element, bytes.subarray(at, at + length)));
  return texts;
}

function parts(type: CqlType, bytes: Buffer): PartTexts | null {
  switch (type.kind) {
    case 'list':
    case 'set':
      return counted(bytes, [type.element]);
    case 'map':
      return counted(bytes, [type.key, type.value]);
    case 'tuple':
      return fields(bytes, type.elements);
    case 'udt':
      return fields(
        bytes,
        type.fields.map((field) => field.type),
      );
    case 'vector':
      return vector(bytes, type.element, type.dimensions);
    case 'scalar':
    case 'custom':
      return null;
  }
}

/**
 * Canonical text of serialised bytes; null where they are no value of the type, are an empty value of a type that has
 * no empty text, or where the type is not read here (custom, vectors of variable length).
 */
export function deserialise(type: CqlType, bytes: Buffer): string | null {
  if (type.kind === 'scalar') return READERS[type.name]?.(bytes) ?? null;
  const texts = parts(type, bytes);
  return texts === null ? null : collectionText(type, texts);
}
