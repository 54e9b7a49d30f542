import { describe, expect, test } from 'vitest';
import { cell, eventRecord, type EventSpec } from '../../../test/fixtures/debezium-cassandra/events.ts';
import { tableOf } from '../../../test/fixtures/debezium-cassandra/tables.ts';
import type { RowWrite } from '../../change/change-event.ts';
import { createDebeziumCassandraDecoder } from './index.ts';

const table = tableOf({
  name: 't',
  partition: ['id bigint'],
  regular: ['name text', 'n bigint', 'd double', 'tags set<text>', 'pair frozen<tuple<int, text>>', 'span duration'],
  statics: ['s text'],
});
const ttlTable = { ...table, usesTtl: true };
const id = cell('1');

function decoded(spec: Partial<EventSpec> & Pick<EventSpec, 'op' | 'after'>): RowWrite {
  const record = eventRecord({ table, ...spec });
  const decoder = createDebeziumCassandraDecoder(spec.table ?? table);
  const result = decoder.decode(record);
  if (result.kind !== 'change' || result.change.kind !== 'write') throw new Error(JSON.stringify(result));
  const { kind, change } = result;
  expect(decoder.decode(record)).toMatchObject({ kind, change });
  return result.change;
}

describe('the four states of a cell', () => {
  test('null is untouched', () => {
    expect(decoded({ op: 'u', after: { id, name: 'null' } }).cells[0]).toBeNull();
  });

  test('a column that the event does not list is untouched too', () => {
    const record = eventRecord({
      table: { ...table, regular: table.regular.slice(1) },
      op: 'u',
      after: { id, n: cell('5') },
    });
    const result = createDebeziumCassandraDecoder(table).decode(record);
    expect(result).toMatchObject({ kind: 'change', change: { cells: [null, { value: '5' }, null, null, null, null] } });
  });

  test('a value', () => {
    expect(decoded({ op: 'u', after: { id, name: cell('"x"') } }).cells[0]).toEqual({
      writeTime: 1_000_000n,
      value: 'x',
      expiry: null,
    });
  });

  test('a value with expiry', () => {
    expect(decoded({ op: 'u', after: { id, name: cell('"x"', 7) } }).cells[0]).toEqual({
      writeTime: 1_000_000n,
      value: 'x',
      expiry: 7n,
    });
  });

  test('value null is a tombstone, not an untouched column', () => {
    expect(decoded({ op: 'u', after: { id, name: cell('null') } }).cells[0]).toEqual({
      writeTime: 1_000_000n,
      value: null,
      expiry: null,
    });
  });

  test('static columns are dropped', () => {
    expect(decoded({ op: 'u', after: { id, s: cell('"x"') } }).cells).toEqual([null, null, null, null, null, null]);
  });
});

describe('integers beyond 2^53', () => {
  test.each(['9223372036854775807', '-9223372036854775808', '9007199254740993', '-9007199254740993'])('%s', (text) => {
    const change = decoded({ op: 'i', after: { id: cell(text), n: cell(text) } });
    expect(change.key.values).toEqual([text]);
    expect(change.cells[1]?.value).toBe(text);
  });

  test.each(['9223372036854775807', '-5', '862', '-9223372036854775807'])('write time %s', (tsUs) => {
    const change = decoded({ op: 'i', after: { id, name: cell('"x"') }, tsUs });
    expect(change.writeTime).toBe(BigInt(tsUs));
    expect(change.cells[0]?.writeTime).toBe(BigInt(tsUs));
  });

  test('an expiry beyond 2^53 µs', () => {
    expect(decoded({ op: 'u', after: { id, name: cell('"x"', 9007199254740993n) } }).cells[0]?.expiry).toBe(
      9007199254740993n,
    );
  });

  test('a large integer in a double column is the double that Java printed', () => {
    expect(decoded({ op: 'u', after: { id, d: cell('100000000000000000000') } }).cells[2]?.value).toBe(
      '100000000000000000000',
    );
    expect(decoded({ op: 'u', after: { id, d: cell('-0.0'), n: cell('9007199254740993') } }).cells[2]?.value).toBe(
      '-0',
    );
  });
});

describe('the row marker', () => {
  test.each(['i', 'c'])('%s makes one', (op) => {
    expect(decoded({ op, after: { id, name: cell('"x"') } }).marker).toEqual({ writeTime: 1_000_000n, expiry: null });
  });

  test('u makes none', () => {
    expect(decoded({ op: 'u', after: { id, name: cell('"x"', 7) } })).toMatchObject({ marker: null, ambiguity: null });
  });

  test('its expiry is that of the cells where all agree', () => {
    const change = decoded({ op: 'i', after: { id, name: cell('"x"', 7), n: cell('1', 7), d: cell('null') } });
    expect(change).toMatchObject({ marker: { expiry: 7n }, ambiguity: null });
  });

  test.each([
    ['two expiries', { name: cell('"x"', 7), n: cell('1', 8) }],
    ['one that expires and one that does not', { name: cell('"x"', 7), n: cell('1') }],
  ])('%s: unknown', (_, after) => {
    expect(decoded({ op: 'i', after: { id, ...after } }).ambiguity).toBe('marker-expiry-unknown');
  });

  test('unknown, too, beside a duration, which is read again for its own sake', () => {
    const after = { id, span: cell('2851200000000004', 7), n: cell('1') };
    expect(decoded({ op: 'i', after }).ambiguity).toBe('marker-expiry-unknown');
  });

  test.each<[string, Readonly<Record<string, string>>]>([
    ['no cells', {}],
    ['tombstones only', { name: cell('null') }],
    ['a collection only, whose TTL never shows', { tags: cell('["a"]') }],
  ])('with %s: unknown where the table uses TTL, else it does not expire', (_, after) => {
    expect(decoded({ table: ttlTable, op: 'i', after: { id, ...after } }).ambiguity).toBe('marker-expiry-unknown');
    expect(decoded({ op: 'i', after: { id, ...after } })).toMatchObject({ marker: { expiry: null }, ambiguity: null });
  });
});

describe('collections', () => {
  test('complete in an insert', () => {
    const change = decoded({ op: 'i', after: { id, tags: cell('["b","a"]') } });
    expect(change).toMatchObject({ ambiguity: null, cells: [null, null, null, { value: '["a","b"]' }, null, null] });
  });

  test.each(['[]', 'null'])('%s in an insert is a tombstone: Cassandra keeps no empty collection', (value) => {
    expect(decoded({ op: 'i', after: { id, tags: cell(value) } }).cells[3]).toEqual({
      writeTime: 1_000_000n,
      value: null,
      expiry: null,
    });
  });

  test.each(['["c"]', '[]', 'null'])('%s in an update is a part: ambiguous, and the column is named', (value) => {
    const change = decoded({ op: 'u', after: { id, tags: cell(value), name: cell('"x"') } });
    expect(change.ambiguity).toBe('multi-cell-update');
    expect(change.cells[3]).not.toBeNull();
  });

  test('beside cells that expire, its own expiry is unknown', () => {
    const after = { id, tags: cell('["a"]'), name: cell('"x"', 7) };
    expect(decoded({ op: 'i', after })).toMatchObject({ ambiguity: 'multi-cell-update', marker: { expiry: 7n } });
    expect(decoded({ op: 'i', after: { ...after, tags: cell('[]') } }).ambiguity).toBeNull();
    expect(decoded({ op: 'i', after: { ...after, name: cell('"x"') } }).ambiguity).toBeNull();
  });

  test('frozen ones are whole', () => {
    const change = decoded({ op: 'u', after: { id, pair: cell('{"field1":1,"field2":null}') } });
    expect(change).toMatchObject({ ambiguity: null, cells: [null, null, null, null, { value: '[1,null]' }, null] });
  });
});

describe('durations', () => {
  test('a written one is ambiguous: months and days are lost', () => {
    expect(decoded({ op: 'i', after: { id, span: cell('2851200000000004') } }).ambiguity).toBe('duration');
    expect(decoded({ op: 'u', after: { id, span: cell('2851200000000004') } }).ambiguity).toBe('duration');
  });

  test('a removed one is not', () => {
    expect(decoded({ op: 'u', after: { id, span: cell('null') } })).toMatchObject({ ambiguity: null });
  });
});

test('columns may have the names of object members', () => {
  const odd = tableOf({ name: 'odd', partition: ['__proto__ int'], regular: ['constructor text', 'toString text'] });
  const after = Object.fromEntries([['constructor', cell('"c"')]]);
  Object.defineProperty(after, '__proto__', { value: cell('1'), enumerable: true });
  const record = eventRecord({ table: odd, op: 'i', after });
  const decoder = createDebeziumCassandraDecoder(odd);
  const expected = { kind: 'change', change: { key: { values: ['1'] }, cells: [{ value: 'c' }, null] } };
  expect(decoder.decode(record)).toMatchObject(expected);
  expect(decoder.decode(record)).toMatchObject(expected);
});

describe('what the table says of its columns', () => {
  test('a column that the mapping leaves out is passed over, not unknown', () => {
    const narrow = { ...table, regular: table.regular.slice(1), excluded: ['name'] };
    const record = eventRecord({ table, op: 'u', after: { id, name: cell('"x"'), n: cell('5') } });
    expect(createDebeziumCassandraDecoder(narrow).decode(record)).toMatchObject({
      kind: 'change',
      change: { cells: [{ value: '5' }, null, null, null, null] },
    });
  });

  test('clustering decimals 1.0 and 1.00 are one row, as in Cassandra', () => {
    const byDecimal = tableOf({
      name: 't',
      partition: ['id bigint'],
      clustering: ['c decimal'],
      regular: ['name text'],
    });
    const keyOf = (text: string) =>
      decoded({ table: byDecimal, op: 'i', after: { id, c: cell(`"${text}"`), name: cell('"x"') } }).key.text;
    expect(keyOf('1.00')).toBe(keyOf('1.0'));
  });
});
