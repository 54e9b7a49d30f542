/** Reads values out of what `SELECT JSON` prints (Cassandra's documentation, "JSON Support": one encoding per type). */
import { isLosslessNumber } from 'lossless-json';
import type { ProofType } from './cql-type.ts';
import * as plain from './plain-value.ts';

/** A scalar's JSON as text: numbers with all their digits, strings without their quotes. */
function textOf(node: unknown): string {
  if (typeof node === 'string') return node;
  if (typeof node === 'boolean') return String(node);
  if (isLosslessNumber(node)) return node.value;
  throw new plain.Unreadable(`${JSON.stringify(node)} where a scalar was expected`);
}

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
      return plain.plainInet(text);
    case 'blob':
      return plain.plainBytes(text, '0x');
    default:
      throw new plain.Unreadable(`the proof does not know the type ${name}`);
  }
}

function items(node: unknown): readonly unknown[] {
  if (!Array.isArray(node)) throw new plain.Unreadable(`${JSON.stringify(node)} where a list was expected`);
  return node as readonly unknown[];
}

function fields(node: unknown): Readonly<Record<string, unknown>> {
  if (typeof node !== 'object' || node === null || Array.isArray(node) || isLosslessNumber(node)) {
    throw new plain.Unreadable(`${JSON.stringify(node)} where an object was expected`);
  }
  return node as Readonly<Record<string, unknown>>;
}

/** The plain form of a value, null for null. Keys of maps are strings in JSON, whatever their type. */
export function fromCassandra(type: ProofType, node: unknown): string | null {
  if (node === null || node === undefined) return null;
  switch (type.kind) {
    case 'scalar':
      return scalar(type.name, textOf(node));
    case 'list':
      return plain.plainSequence(items(node).map((item) => fromCassandra(type.element, item)));
    case 'set':
      return plain.plainUnordered(items(node).map((item) => fromCassandra(type.element, item) ?? ''));
    case 'map':
      return plain.plainUnordered(
        Object.entries(fields(node)).map(([key, value]) =>
          plain.plainSequence([fromCassandra(type.key, key), fromCassandra(type.value, value)]),
        ),
      );
    case 'tuple': {
      const parts = items(node);
      return plain.plainSequence(type.elements.map((element, index) => fromCassandra(element, parts[index])));
    }
    case 'udt': {
      const values = fields(node);
      return plain.plainSequence(type.fields.map((field) => fromCassandra(field.type, values[field.name])));
    }
  }
}
