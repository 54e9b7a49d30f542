/**
 * Reads values out of the connector's JSON (facts of Debezium Cassandra 3.4.1.Final: docs and captured events), into the
 * proof's plain form. Written apart from src/decode on purpose: the two must not share a mistake.
 */
import { isLosslessNumber } from 'lossless-json';
import type { ProofType } from '../../../src/demo/proof/cql-type.ts';
import * as plain from '../../../src/demo/proof/plain-value.ts';

const DAY_MS = 86_400_000;

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
      return text;
    case 'bigint':
    case 'int':
    case 'smallint':
    case 'tinyint':
    case 'varint':
    case 'timestamp':
    case 'time':
      return plain.plainInteger(text);
    case 'boolean':
      return plain.plainBoolean(text);
    case 'date':
      return new Date(Number(text) * DAY_MS).toISOString().slice(0, 10);
    case 'decimal':
      return plain.plainDecimal(text);
    case 'double':
      return plain.plainDouble(text);
    case 'float':
      return plain.plainFloat(text);
    case 'inet':
      return plain.plainInet(text.replace(/^\//, ''));
    case 'timeuuid':
    case 'uuid':
      return plain.plainUuid(text);
    case 'blob':
      return Buffer.from(text, 'base64').toString('hex');
    default:
      // A duration has lost its months and days; whatever it says is not what was written.
      throw new plain.Unreadable(`a ${name} can't be read from an event`);
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

/** The plain form of a value in an event; null for null. */
export function fromWire(type: ProofType, node: unknown, nested = false): string | null {
  if (node === null || node === undefined) return null;
  switch (type.kind) {
    case 'scalar':
      // Inside a frozen value a blob carries the bytes of the whole, of which this reader makes nothing.
      if (nested && type.name === 'blob') throw new plain.Unreadable('a blob inside a frozen value');
      return scalar(type.name, textOf(node));
    case 'list':
      return plain.plainSequence(items(node).map((item) => fromWire(type.element, item, true)));
    case 'set':
      return plain.plainUnordered(items(node).map((item) => fromWire(type.element, item, true) ?? ''));
    case 'map': {
      const entries = Array.isArray(node)
        ? (node as readonly unknown[]).map((pair) => [items(pair)[0], items(pair)[1]] as const)
        : Object.entries(fields(node));
      return plain.plainUnordered(
        entries.map(([key, value]) =>
          plain.plainSequence([fromWire(type.key, key, true), fromWire(type.value, value, true)]),
        ),
      );
    }
    case 'tuple': {
      const parts = fields(node);
      return plain.plainSequence(
        type.elements.map((element, index) => fromWire(element, parts[`field${index + 1}`], true)),
      );
    }
    case 'udt': {
      const parts = fields(node);
      return plain.plainSequence(type.fields.map((field) => fromWire(field.type, parts[field.name], true)));
    }
  }
}

/**
 * A blob of a composite partition key: the connector gives the whole serialised key in its place, each component as two
 * bytes of length, the bytes, and a zero.
 */
export function componentOf(hex: string, index: number, components: number): string {
  const bytes = Buffer.from(hex, 'hex');
  const found: string[] = [];
  let at = 0;
  while (at + 2 <= bytes.length) {
    const end = at + 2 + bytes.readUInt16BE(at);
    found.push(bytes.subarray(at + 2, end).toString('hex'));
    at = end + 1;
  }
  const component = found[index];
  if (found.length !== components || component === undefined || at !== bytes.length) {
    throw new plain.Unreadable(`0x${hex} is no composite of ${components} components`);
  }
  return component;
}
