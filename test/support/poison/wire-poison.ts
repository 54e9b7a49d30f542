/** Records that Cassandra has no part in: what other producers, broken converters and damage leave in a topic. */
import { cell, eventRecord } from '../../fixtures/debezium-cassandra/events.ts';
import type { Table } from '../../../src/catalog/table.ts';

export interface WireRecord {
  readonly key: string | null;
  readonly value: string | Buffer;
}

export interface WirePoison {
  readonly code: string;
  readonly record: (table: Table, id: number) => WireRecord;
}

const text = (value: string): string => cell(JSON.stringify(value));

function event(table: Table, id: number, v: string, more: object = {}): { key: string; value: string } {
  const after = { id: cell(String(id)), v };
  const { key, value } = eventRecord({ table, op: 'i', after, tsUs: 1_700_000_000_000_000 + id, ...more });
  return { key: String(key), value: String(value) };
}

const raw =
  (value: string | Buffer): WirePoison['record'] =>
  (_, id) => ({ key: `{"id":${id}}`, value });

export const WIRE_POISON: readonly WirePoison[] = [
  { code: 'NOT_JSON', record: raw('{"ts_ms":1,"op"') },
  { code: 'NOT_UTF8', record: raw(Buffer.from([0x7b, 0xff, 0xfe, 0x7d])) },
  { code: 'NOT_AN_OBJECT', record: raw('[1]') },
  { code: 'ENVELOPE_FIELD_MISSING', record: raw('{"ts_ms":1}') },
  { code: 'UNKNOWN_OP', record: (table, id) => event(table, id, text('x'), { op: 'z' }) },
  { code: 'WRONG_TABLE', record: (table, id) => event(table, id, text('x'), { keyspace: 'other' }) },
  { code: 'NULL_KEY', record: (table, id) => ({ ...event(table, id, text('x')), key: null }) },
  { code: 'KEY_MISMATCH', record: (table, id) => ({ ...event(table, id, text('x')), key: `{"id":${id + 1}}` }) },
  { code: 'BAD_CELL', record: (table, id) => event(table, id, '5') },
  { code: 'BAD_VALUE', record: (table, id) => event(table, id, cell('12')) },
  {
    code: 'UNKNOWN_COLUMN',
    record: (table, id) =>
      event(table, id, text('x'), { after: { id: cell(String(id)), v: text('x'), nowhere: text('y') } }),
  },
];
