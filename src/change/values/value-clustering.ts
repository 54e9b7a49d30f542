import { LockstepError } from '../../shared/errors.ts';
import type { CqlType, ScalarName } from '../source-type.ts';
import { parseDate, parseTime, parseTimestamp } from './value-calendar.ts';
import { elementsOf, elementType, type Elements } from './value-elements.ts';
import { parseInet } from './value-inet.ts';
import { parseDecimal, parseDouble, parseFloat32, type Decimal } from './value-number.ts';

/**
 * Cassandra's comparators (`org.apache.cassandra.db.marshal`, 5.0.8), the order in which rows of a partition stand and
 * by which range tombstones are evaluated. Proven against the real classes: test/fixtures/debezium-cassandra/cassandra-values.json.
 *
 * Not supported, because Cassandra refuses or hides their order: `duration`, `counter`, custom types, and non-frozen
 * collections. Where Cassandra knows an empty value for a type without one here (an empty int), it has no text here.
 */
export function supportsClustering(type: CqlType): boolean {
  switch (type.kind) {
    case 'scalar':
      return type.name !== 'duration' && type.name !== 'counter';
    case 'custom':
      return false;
    case 'list':
    case 'set':
    case 'vector':
      return supportsClustering(type.element);
    case 'map':
      return supportsClustering(type.key) && supportsClustering(type.value);
    case 'tuple':
      return type.elements.every(supportsClustering);
    case 'udt':
      return type.fields.every((field) => supportsClustering(field.type));
  }
}

/** Refusal of a value that is none of its type; the caller knows which column it was. */
export function malformed(type: CqlType, text: string): LockstepError {
  const name = type.kind === 'scalar' ? type.name : type.kind;
  const shown = text.length > 60 ? `${text.slice(0, 60)}…` : text;
  return new LockstepError(`${JSON.stringify(shown)} is no value of type ${name}`, {
    code: 'VALUE_MALFORMED',
    kind: 'row',
  });
}

/** Refusal of a type whose order is not known. */
export function withoutOrder(type: CqlType): LockstepError {
  return new LockstepError(
    `the clustering order of type ${type.kind === 'scalar' ? type.name : type.kind} is unknown`,
    {
      code: 'CLUSTERING_TYPE_UNSUPPORTED',
      kind: 'config',
      remedy: 'leave the table out, or keep it without clustering on that column',
    },
  );
}

function sign(difference: number): number {
  return difference < 0 ? -1 : difference > 0 ? 1 : 0;
}

function compareBigInts(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Java's Double.compare: −0 before 0, NaN after everything and equal to itself. */
function compareDoubles(a: number, b: number): number {
  if (a < b) return -1;
  if (a > b) return 1;
  if (a === b) return a === 0 ? (Object.is(a, b) ? 0 : Object.is(a, -0) ? -1 : 1) : 0;
  return Number.isNaN(a) ? (Number.isNaN(b) ? 0 : 1) : -1;
}

/** Magnitudes as 0.d₁d₂… × 10^exponent: exact at any scale without expanding it. */
function compareDecimals(a: Decimal, b: Decimal): number {
  const zeroA = a.digits === '0';
  const zeroB = b.digits === '0';
  const signA = zeroA ? 0 : a.negative ? -1 : 1;
  const signB = zeroB ? 0 : b.negative ? -1 : 1;
  if (signA !== signB || signA === 0) return sign(signA - signB);
  const exponents = a.digits.length - a.scale - (b.digits.length - b.scale);
  if (exponents !== 0) return sign(exponents) * signA;
  const length = Math.max(a.digits.length, b.digits.length);
  const left = a.digits.padEnd(length, '0');
  const right = b.digits.padEnd(length, '0');
  return left === right ? 0 : left < right ? -signA : signA;
}

/** UUIDType: version first, then for version 1 the timestamp, then the bytes. All of it as one sortable text. */
function uuidSortKey(uuid: string): string {
  const hex = uuid.toLowerCase();
  const version = hex.charAt(14);
  return version === '1' ? `1${timestampHex(hex)}${hex.slice(19)}` : version + hex;
}

/** time_hi (without the version), time_mid, time_low of a lower-case uuid: its 60-bit timestamp in order. */
export function timestampHex(hex: string): string {
  return hex.slice(15, 18) + hex.slice(9, 13) + hex.slice(0, 8);
}

/** TimeUUIDType compares the last eight bytes as *signed*: flipping each top bit makes that a text order. */
export function signedBytesHex(hex: string): string {
  let flipped = '';
  const tail = hex.slice(19).replace('-', '');
  for (let index = 0; index < 16; index += 2) {
    flipped += (parseInt(tail.charAt(index), 16) ^ 8).toString(16) + tail.charAt(index + 1);
  }
  return flipped;
}

/** Unsigned, the shorter of equal beginnings first. */
function compareBytes(a: Uint8Array, b: Uint8Array): number {
  return Buffer.compare(a, b);
}

function compareTexts(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

const UUID = /^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$/;

function timeUuidSortKey(uuid: string): string {
  const hex = uuid.toLowerCase();
  return timestampHex(hex) + signedBytesHex(hex);
}

function uuidText(text: string): string | null {
  return UUID.test(text) ? text : null;
}

/** True, false, or null where the text is neither. Reads PostgreSQL's `t` and `f`. */
export function parseBoolean(text: string): boolean | null {
  if (text === 'true' || text === 't') return true;
  return text === 'false' || text === 'f' ? false : null;
}

/** Bytes of `\x…` (canonical, PostgreSQL), `0x…` (CQL) or bare hex (Cassandra's getString), or null. */
export function parseBlob(text: string): Buffer | null {
  const hex = text.startsWith('\\x') || text.startsWith('0x') ? text.slice(2) : text;
  return hex.length % 2 === 0 && /^[0-9a-fA-F]*$/.test(hex) ? Buffer.from(hex, 'hex') : null;
}

/** An integer that a text states, or null. */
export function parseInteger(text: string): bigint | null {
  return /^[+-]?\d+$/.test(text) ? BigInt(text) : null;
}

interface Comparator<Value> {
  readonly parse: (text: string) => Value | null;
  readonly compare: (a: Value, b: Value) => number;
}

function comparator<Value>(
  parse: (text: string) => Value | null,
  compare: (a: Value, b: Value) => number,
): Comparator<unknown> {
  return { parse, compare } as Comparator<unknown>;
}

const utf8 = comparator((text) => Buffer.from(text, 'utf8'), compareBytes);
const integer = comparator(parseInteger, compareBigInts);
const decimal = comparator(parseDecimal, compareDecimals);

const COMPARATORS: Readonly<Record<ScalarName, Comparator<unknown> | null>> = {
  ascii: utf8,
  text: utf8,
  tinyint: integer,
  smallint: integer,
  int: integer,
  bigint: integer,
  varint: decimal,
  decimal,
  counter: null,
  duration: null,
  blob: comparator(parseBlob, compareBytes),
  boolean: comparator(parseBoolean, (a, b) => Number(a) - Number(b)),
  date: comparator(parseDate, (a, b) => sign(a - b)),
  time: comparator(parseTime, compareBigInts),
  timestamp: comparator(parseTimestamp, compareBigInts),
  float: comparator(parseFloat32, compareDoubles),
  double: comparator(parseDouble, compareDoubles),
  uuid: comparator(uuidText, (a, b) => compareTexts(uuidSortKey(a), uuidSortKey(b))),
  timeuuid: comparator(uuidText, (a, b) => compareTexts(timeUuidSortKey(a), timeUuidSortKey(b))),
  inet: comparator(parseInet, compareBytes),
};

/** The order of set elements and map keys; by text where Cassandra's order is unknown. */
function byElement(type: CqlType): (a: string | null, b: string | null) => number {
  const ordered = supportsClustering(type);
  return (a, b) => {
    if (a === b) return 0;
    if (a === null || b === null) return a === null ? -1 : 1;
    return ordered ? compareClustering(type, a, b) : compareTexts(a, b);
  };
}

/** The parts with sets and map entries in the source's order, whatever order they came in (jsonb has one of its own). */
export function sortedParts(type: CqlType, parts: Elements): Elements {
  if (type.kind === 'set') return parts.toSorted(byElement(type.element));
  if (type.kind !== 'map') return parts;
  const entries: (readonly [string | null, string | null])[] = [];
  for (let index = 0; index < parts.length; index += 2) entries.push([parts[index] ?? null, parts[index + 1] ?? null]);
  const order = byElement(type.key);
  return entries.toSorted((a, b) => order(a[0], b[0])).flat();
}

/** The parts of a value in the source's order; throws where the text is no value of the type. */
export function orderedElements(type: CqlType, text: string): Elements {
  const parts = elementsOf(type, text);
  if (parts === null) throw malformed(type, text);
  return sortedParts(type, parts);
}

/** Elements one by one, null before any value; of equal beginnings the shorter comes first. */
function compareElements(type: CqlType, a: string, b: string): number {
  const left = orderedElements(type, a);
  const right = orderedElements(type, b);
  const length = Math.min(left.length, right.length);
  for (let index = 0; index < length; index++) {
    const [one, two] = [left[index] ?? null, right[index] ?? null];
    if (one === null || two === null) {
      if (one !== two) return one === null ? -1 : 1;
      continue;
    }
    const part = elementType(type, index);
    const compared = part === undefined ? 0 : compareClustering(part, one, two);
    if (compared !== 0) return compared;
  }
  return sign(left.length - right.length);
}

/**
 * −1, 0 or 1 as Cassandra orders two values of a clustering column (ascending). Reads canonical text and PostgreSQL's.
 * Throws a `row` error on text that is no value of the type, a `config` error where `supportsClustering` is false.
 */
export function compareClustering(type: CqlType, a: string, b: string): number {
  if (type.kind === 'custom') throw withoutOrder(type);
  if (type.kind !== 'scalar') return compareElements(type, a, b);
  const order = COMPARATORS[type.name];
  if (order === null) throw withoutOrder(type);
  const left = order.parse(a);
  const right = order.parse(b);
  if (left === null) throw malformed(type, a);
  if (right === null) throw malformed(type, b);
  return order.compare(left, right);
}
