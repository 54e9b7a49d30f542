/**
 * Reads values out of what PostgreSQL prints for `column::text` (its documentation, chapter 8, with DateStyle ISO, time
 * zone UTC and bytea_output hex). Collections are jsonb: objects for maps with text keys and for UDTs, lists of pairs
 * for other maps.
 */
import { isLosslessNumber, parse } from 'lossless-json';
import type { ProofType } from './cql-type.ts';
import * as plain from './plain-value.ts';

function scalar(name: string, text: string): string {
  switch (name) {
    case 'ascii':
    case 'text':
    case 'duration':
      return text;
    case 'tinyint':
    case 'smallint':
    case 'int':
    case 'bigint':
    case 'varint':
      return plain.plainInteger(text);
    case 'decimal':
      return plain.plainDecimal(text);
    case 'float':
      return plain.plainFloat(text);
    case 'double':
      return plain.plainDouble(text);
    case 'boolean':
      return plain.plainBoolean(text);
    case 'date':
      return plain.plainDate(text);
    case 'time':
      return plain.plainTime(text);
    case 'timestamp':
      return plain.plainTimestamp(text);
    case 'uuid':
    case 'timeuuid':
      return plain.plainUuid(text);
    case 'inet':
      // `::text` of an inet names the whole prefix.
      return plain.plainInet(text.replace(/\/(?:32|128)$/, ''));
    case 'blob':
      return plain.plainBytes(text, '\\x');
    default:
      throw new plain.Unreadable(`the proof does not know the type ${name}`);
  }
}

function items(node: unknown): readonly unknown[] {
  if (!Array.isArray(node)) throw new plain.Unreadable(`${JSON.stringify(node)} where a list was expected`);
  return node as readonly unknown[];
}

function entries(node: unknown): readonly (readonly [unknown, unknown])[] {
  if (Array.isArray(node)) return (node as readonly unknown[]).map((pair) => [items(pair)[0], items(pair)[1]] as const);
  return Object.entries(fields(node));
}

function fields(node: unknown): Readonly<Record<string, unknown>> {
  if (typeof node !== 'object' || node === null || Array.isArray(node) || isLosslessNumber(node)) {
    throw new plain.Unreadable(`${JSON.stringify(node)} where an object was expected`);
  }
  return node as Readonly<Record<string, unknown>>;
}

/** A value inside a jsonb document. */
function nested(type: ProofType, node: unknown): string | null {
  if (node === null || node === undefined) return null;
  switch (type.kind) {
    case 'scalar':
      if (typeof node === 'string') return scalar(type.name, node);
      if (typeof node === 'boolean') return scalar(type.name, String(node));
      if (isLosslessNumber(node)) return scalar(type.name, node.value);
      throw new plain.Unreadable(`${JSON.stringify(node)} where a scalar was expected`);
    case 'list':
      return plain.plainSequence(items(node).map((item) => nested(type.element, item)));
    case 'set':
      return plain.plainUnordered(items(node).map((item) => nested(type.element, item) ?? ''));
    case 'map':
      return plain.plainUnordered(
        entries(node).map(([key, value]) => plain.plainSequence([nested(type.key, key), nested(type.value, value)])),
      );
    case 'tuple': {
      const parts = items(node);
      return plain.plainSequence(type.elements.map((element, index) => nested(element, parts[index])));
    }
    case 'udt': {
      const values = fields(node);
      return plain.plainSequence(type.fields.map((field) => nested(field.type, values[field.name])));
    }
  }
}

/** The plain form of a column's text, null for NULL. */
export function fromPostgres(type: ProofType, text: string | null): string | null {
  if (text === null) return null;
  return type.kind === 'scalar' ? scalar(type.name, text) : nested(type, parse(text));
}
