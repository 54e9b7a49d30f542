import type { CqlType } from '../change/source-type.ts';
import { canonicalText } from '../change/values/value-canonical.ts';
import { decimalText, parseDecimal } from '../change/values/value-number.ts';
import { compareUtf8, parseJson, type JsonEntry, type JsonValue } from './json-text.ts';
import { checkNumeric, writtenOut } from './number-mappings.ts';
import { checkStorable, textAsJsonMapping } from './text-mappings.ts';
import { convertingMapping, identityMapping, type ValueMapping } from './value-mapping.ts';
import { valueProblem, type ValueProblem } from './value-problems.ts';

/** Texts up to this length can't hold a number with too many digits, unless it has an exponent. */
const SHORT_JSON_LENGTH = 16_383;

/** A JSON number as PostgreSQL's numeric prints it: no exponent, no negative zero. */
function numericText(text: string): string {
  const decimal = parseDecimal(text);
  return decimal === null ? text : writtenOut(decimalText(decimal) ?? text);
}

function problemIn(value: JsonValue, whole: string): ValueProblem | null {
  switch (value.kind) {
    case 'literal':
      return null;
    case 'string':
      return checkStorable(value.text, whole);
    case 'number': {
      const decimal = parseDecimal(value.text);
      const written = decimal === null ? null : decimalText(decimal);
      if (written === null || checkNumeric(written) !== null) return valueProblem('NUMERIC_RANGE', whole);
      return null;
    }
    case 'array':
      return firstProblem(value.items, (item) => problemIn(item, whole));
    case 'object':
      return firstProblem(value.entries, (entry) => checkStorable(entry.key, whole) ?? problemIn(entry.value, whole));
  }
}

function firstProblem<T>(items: readonly T[], check: (item: T) => ValueProblem | null): ValueProblem | null {
  for (const item of items) {
    const problem = check(item);
    if (problem !== null) return problem;
  }
  return null;
}

/** jsonb holds text without U+0000 and half pairs, and numbers within numeric's limits. */
function checkJsonb(text: string): ValueProblem | null {
  const plain = !text.includes('\\u') && text.length <= SHORT_JSON_LENGTH && !/[eE][+-]?\d/.test(text);
  return plain ? checkStorable(text, text) : problemIn(parseJson(text), text);
}

/** jsonb's order of keys: shorter first (in bytes), then by bytes. */
function compareJsonbKeys(left: JsonEntry, right: JsonEntry): number {
  return Buffer.byteLength(left.key) - Buffer.byteLength(right.key) || compareUtf8(left.key, right.key);
}

/** The text that `jsonb::text` shows for a value: keys sorted and made unique (the last one stays), numbers as numeric. */
export function jsonbText(value: JsonValue): string {
  switch (value.kind) {
    case 'string':
      return JSON.stringify(value.text);
    case 'number':
      return numericText(value.text);
    case 'literal':
      return value.text;
    case 'array':
      return `[${value.items.map(jsonbText).join(', ')}]`;
    case 'object': {
      const unique = [...new Map(value.entries.map((entry) => [entry.key, entry])).values()];
      const sorted = unique.sort(compareJsonbKeys);
      return `{${sorted.map((entry) => `${JSON.stringify(entry.key)}: ${jsonbText(entry.value)}`).join(', ')}}`;
    }
  }
}

/** Collections, tuples, UDTs and vectors in `jsonb`. */
export function collectionAsJsonbMapping(type: CqlType): ValueMapping {
  // jsonb has reordered map keys and UDT fields and written floats in full: `canonicalText` puts that back.
  const fromTarget = (text: string): string => canonicalText(type, text) ?? text;
  return identityMapping(checkJsonb, fromTarget, (text) => fromTarget(jsonbText(parseJson(text))));
}

/** Text that is JSON, in `jsonb`: formatting, key order and duplicate keys are lost, which the mapping allows by name. */
export function textAsJsonbMapping(): ValueMapping {
  const validJson = textAsJsonMapping().check;
  return identityMapping(
    (text) => validJson?.(text) ?? checkJsonb(text),
    (text) => text,
    (text) => jsonbText(parseJson(text)),
  );
}

/** Elements of a JSON array of numbers; what is no number in JSON (NaN) is a string there. */
function numberTexts(text: string): string[] {
  const array = parseJson(text);
  return array.kind === 'array' ? array.items.map((item) => ('text' in item ? item.text : '')) : [];
}

/** Cassandra's bytes of a vector<float, n>: its elements one after another. */
export function realsBytes(text: string): Uint8Array {
  const elements = numberTexts(text);
  const bytes = Buffer.alloc(elements.length * 4);
  for (const [i, element] of elements.entries()) bytes.writeFloatBE(Number(element), i * 4);
  return bytes;
}

/** vector<float, n> in `real[]`. */
export function vectorAsRealsMapping(type: CqlType): ValueMapping {
  return convertingMapping({
    toTarget: (text) => `{${numberTexts(text).join(',')}}`,
    fromTarget(text) {
      const items = text.slice(1, -1).split(',');
      // As JSON: what is no number there (NaN, Infinity) is quoted.
      const json = items.map((item) => (/^-?\d/.test(item) ? item : JSON.stringify(item)));
      return canonicalText(type, `[${json.join(',')}]`) ?? text;
    },
  });
}
