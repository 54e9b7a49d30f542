import { isUtf8 } from 'node:buffer';
import { Refused, shown } from './codes.ts';

/**
 * JSON as the decoder sees it. Two readings of the same text:
 * - fast: JSON.parse. Exact for strings and for every number but integers beyond ±(2^53−1), which it rounds;
 * - exact: the same, but those integers are `bigint`.
 *
 * The fast reading never passes a rounded integer on: a literal beyond 2^53−1 in magnitude rounds to a double that is no
 * safe integer (2^53−1 and all below are exact, so nothing above rounds down to them), and every decoder of an integer
 * asks `Number.isSafeInteger` first and else demands the exact reading. A literal with a fraction could round to a safe
 * integer, but the connector prints int64 fields by Jackson's writeNumber(long), which has none. Doubles are printed by
 * Java with digits that read back to the same double, and JSON.parse rounds correctly.
 */
export type Json = null | boolean | number | bigint | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [name: string]: Json;
}

/** Asks for the exact reading: thrown by a decoder that met an unsafe integer in the fast one. One object, no stack. */
export const NEEDS_EXACT_READING = new Error('an integer beyond 2^53 must be read again exactly');

interface SourceTextJson {
  parse(text: string, reviver: (key: string, value: unknown, context: { readonly source?: string }) => unknown): Json;
}
// `context.source` is newer than the library types of ES2023, present in every supported Node (≥ 22.18).
const sourceTextJson = JSON as unknown as SourceTextJson;

const INTEGER = /^-?\d+$/;

/** The text of a buffer. Buffer.toString would replace invalid bytes silently, so they are looked for first. */
export function utf8Text(bytes: Buffer, path: string): string {
  if (!isUtf8(bytes)) throw new Refused('NOT_UTF8', path, 'invalid UTF-8');
  return bytes.toString('utf8');
}

export function parseFast(text: string, path: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch (error) {
    throw new Refused('NOT_JSON', path, error instanceof Error ? error.message : 'not JSON');
  }
}

export function parseExact(text: string, path: string): Json {
  try {
    return sourceTextJson.parse(text, (_key, value, context) => {
      if (typeof value !== 'number' || Number.isSafeInteger(value)) return value;
      return context.source !== undefined && INTEGER.test(context.source) ? BigInt(context.source) : value;
    });
  } catch (error) {
    throw new Refused('NOT_JSON', path, error instanceof Error ? error.message : 'not JSON');
  }
}

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** An own property: `constructor` and `__proto__` are column names like any other. */
export function own(object: JsonObject, name: string): Json | undefined {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

export function objectAt(parent: JsonObject, name: string, path: string): JsonObject {
  const value = own(parent, name);
  if (isObject(value)) return value;
  if (value === undefined) throw new Refused('ENVELOPE_FIELD_MISSING', path, 'missing');
  throw new Refused('NOT_AN_OBJECT', path, `found ${shown(value)}`);
}

/** JsonConverter with schemas wraps everything in `{schema, payload}`. */
export function unwrapped(value: Json): Json {
  if (!isObject(value) || !Object.hasOwn(value, 'payload') || !Object.hasOwn(value, 'schema')) return value;
  return value['payload'] ?? null;
}
