/** Array literals: how the door sends rows. Identifiers are quoted in one place, of the catalog. */

export { qualified, quoteIdentifier } from '../catalog/identifier.ts';

const NEEDS_ESCAPE = /["\\]/;
const ESCAPES = /["\\]/g;

/** One element of a PostgreSQL array literal, quoted. */
export function quotedElement(value: string): string {
  return NEEDS_ESCAPE.test(value) ? `"${value.replace(ESCAPES, '\\$&')}"` : `"${value}"`;
}

/** A text array literal: `{"a","b",NULL}`. Built by hand: `pg` would build the same with a call per element. */
export function textArray(values: Iterable<string | null>): string {
  let text = '';
  for (const value of values) text += (text === '' ? '' : ',') + (value === null ? 'NULL' : quotedElement(value));
  return `{${text}}`;
}

/** Text for jsonb, which holds neither U+0000 nor half of a surrogate pair: they stand as their escapes, readable. */
export function jsonbText(value: unknown): string | null {
  if (value === null || value === undefined) return null;
  return JSON.stringify(value).replace(/(?<!\\)((?:\\\\)*)\\(u0000|ud[89a-f][0-9a-f]{2})/gi, '$1\\\\$2');
}

/** A literal of numbers. */
export function numberArray(values: Iterable<bigint | number | null>): string {
  let text = '';
  for (const value of values) text += (text === '' ? '' : ',') + (value === null ? 'NULL' : String(value));
  return `{${text}}`;
}

/** PostgreSQL's output of a bigint[] without dimensions other than one: `{1,-5,NULL}`. */
export function parseBigintArray(text: string): (bigint | null)[] {
  if (text === '{}') return [];
  return text
    .slice(1, -1)
    .split(',')
    .map((element) => (element === 'NULL' ? null : BigInt(element)));
}

/** Types whose text never needs quoting inside an array literal (no comma, brace, quote, backslash or space). */
const PLAIN_TYPES = new Set([
  'bigint',
  'integer',
  'smallint',
  'numeric',
  'boolean',
  'uuid',
  'real',
  'double precision',
]);

export function isPlainType(targetType: string): boolean {
  return PLAIN_TYPES.has(targetType.replace(/\(.*\)$/, ''));
}

/**
 * The type that a parameter array is cast to: without length or precision, because an explicit cast to `varchar(3)`
 * truncates silently where an assignment is refused. Arrays go as text: an array of arrays would be unnested flat ⚠.
 */
export function arrayTypeOf(targetType: string): string {
  return isArrayType(targetType) ? 'text[]' : `${targetType.replace(/\s*\([^)]*\)/, '')}[]`;
}

export function isArrayType(targetType: string): boolean {
  return targetType.endsWith('[]');
}
