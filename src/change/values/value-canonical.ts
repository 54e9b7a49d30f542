import type { CqlType, ScalarName } from '../source-type.ts';
import { dateText, parseDate, parseTime, parseTimestamp, timestampText, timeText } from './value-calendar.ts';
import { parseBlob, parseBoolean } from './value-clustering.ts';
import { collectionText } from './value-collection.ts';
import { elementsOf, elementType } from './value-elements.ts';
import { canonicalInet } from './value-inet.ts';
import {
  canonicalDecimal,
  canonicalInteger,
  doubleText,
  floatText,
  parseDouble,
  parseFloat32,
  strippedDecimal,
} from './value-number.ts';

/**
 * Canonical text (docs/type-mapping.md) of a value given as text in any notation of the source or the target: Cassandra's
 * `getString`, PostgreSQL's output, or canonical text itself, which comes back unchanged.
 */

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** A lower-case uuid, or null; a timeuuid must be of version 1. */
export function canonicalUuid(text: string, timeUuid: boolean): string | null {
  let lower = text;
  if (!UUID.test(lower)) {
    lower = text.toLowerCase();
    if (!UUID.test(lower)) return null;
  }
  return timeUuid && lower.charAt(14) !== '1' ? null : lower;
}

function integerWithin(bits: bigint): (text: string) => string | null {
  const limit = 1n << (bits - 1n);
  return (text) => {
    const canonical = canonicalInteger(text);
    // 20 characters hold every int64; longer texts are not worth a BigInt.
    if (canonical === null || canonical.length > 20) return null;
    const value = BigInt(canonical);
    return value >= -limit && value < limit ? canonical : null;
  };
}

function through<Value>(
  parse: (text: string) => Value | null,
  print: (value: Value) => string | null,
): (text: string) => string | null {
  return (text) => {
    const value = parse(text);
    return value === null ? null : print(value);
  };
}

function withinInt64(ms: bigint): string | null {
  return BigInt.asIntN(64, ms) === ms ? timestampText(ms) : null;
}

const CANONICAL: Readonly<Record<ScalarName, (text: string) => string | null>> = {
  ascii: (text) => text,
  text: (text) => text,
  tinyint: integerWithin(8n),
  smallint: integerWithin(16n),
  int: integerWithin(32n),
  bigint: integerWithin(64n),
  counter: integerWithin(64n),
  varint: canonicalInteger,
  decimal: canonicalDecimal,
  duration: () => null,
  blob: through(parseBlob, (bytes) => `\\x${bytes.toString('hex')}`),
  boolean: through(parseBoolean, String),
  date: through(parseDate, dateText),
  time: through(parseTime, timeText),
  timestamp: through(parseTimestamp, withinInt64),
  float: through(parseFloat32, floatText),
  double: through(parseDouble, doubleText),
  uuid: (text) => canonicalUuid(text, false),
  timeuuid: (text) => canonicalUuid(text, true),
  inet: canonicalInet,
};

/** Canonical text, or null where the text is no value of the type (always for `duration` and custom types). */
export function canonicalText(type: CqlType, text: string): string | null {
  if (type.kind === 'scalar') return CANONICAL[type.name](text);
  if (type.kind === 'custom') return null;
  const elements = elementsOf(type, text);
  if (elements === null) return null;
  const parts: (string | null)[] = [];
  for (const [index, element] of elements.entries()) {
    const part = elementType(type, index);
    if (part === undefined) return null;
    const canonical = element === null ? null : canonicalText(part, element);
    if (element !== null && canonical === null) return null;
    parts.push(canonical);
  }
  return collectionText(type, parts);
}

/**
 * One text for all values that the comparator takes for the same row: of decimal clustering, 1.0 and 1.00 are one row.
 * Of every other scalar type equal values have equal canonical text already. Text that is no value comes back as it is.
 */
export function canonicalClustering(type: CqlType, text: string): string {
  if (type.kind === 'scalar') return type.name === 'decimal' ? (strippedDecimal(text) ?? text) : text;
  const elements = elementsOf(type, text);
  if (elements === null) return text;
  const parts = elements.map((element, index) => {
    const part = elementType(type, index);
    return element === null || part === undefined ? element : canonicalClustering(part, element);
  });
  return collectionText(type, parts);
}
