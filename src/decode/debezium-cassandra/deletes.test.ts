import { describe, expect, test } from 'vitest';
import { cell, eventRecord, type EventSpec } from '../../../test/fixtures/debezium-cassandra/events.ts';
import { cqlType, tableOf } from '../../../test/fixtures/debezium-cassandra/tables.ts';
import type { Table } from '../../catalog/table.ts';
import { rowKey, type Bound } from '../../change/change-event.ts';
import type { Decoded } from '../record.ts';
import { boundText } from './bound-text.ts';
import { createDebeziumCassandraDecoder } from './index.ts';

const flat = tableOf({ name: 'flat', partition: ['id int'], regular: ['v text', 'w text'], statics: [] });
const wide = tableOf({
  name: 'wide',
  partition: ['id int'],
  clustering: ['c1 int', 'c2 text'],
  regular: ['v text'],
  statics: ['s text'],
});
const keysOnly = tableOf({ name: 'keys', partition: ['id int'] });
const index = tableOf({ name: 'index', partition: ['id int'], clustering: ['c int'] });

function decode(spec: EventSpec): Decoded {
  return createDebeziumCassandraDecoder(spec.table).decode(eventRecord(spec));
}

function refusal(spec: EventSpec): unknown {
  const result = decode(spec);
  return result.kind === 'refused' ? { code: result.refusal.code, path: result.refusal.path } : result;
}

const gone = (at: string | number | bigint): string => cell('null', at);
const id = cell('1');

describe('row and partition deletes', () => {
  test('without clustering columns every delete is a row delete, dated by its cells', () => {
    expect(decode({ table: flat, op: 'd', after: { id, v: gone(5), w: gone(5) }, tsUs: 9 })).toEqual({
      kind: 'change',
      contents: null,
      change: { kind: 'row-delete', table: 'shop.flat', writeTime: 5n, ambiguity: null, key: rowKey(['1']) },
    });
  });

  test('clustering values make it a row delete', () => {
    const after = { id, c1: cell('2'), c2: cell('"a"'), v: gone(5), s: gone(5) };
    expect(decode({ table: wide, op: 'd', after, tsUs: 5 })).toEqual({
      kind: 'change',
      contents: null,
      change: { kind: 'row-delete', table: 'shop.wide', writeTime: 5n, ambiguity: null, key: rowKey(['1', '2', 'a']) },
    });
  });

  test('deleted clustering cells make it a partition delete, whose time is not that of the event', () => {
    const after = { id, c1: gone(861), c2: gone(861), v: gone(861), s: gone(861) };
    expect(decode({ table: wide, op: 'd', after, tsUs: 862, key: '{"id":1,"c1":null,"c2":null}' })).toEqual({
      kind: 'change',
      contents: null,
      change: {
        kind: 'partition-delete',
        table: 'shop.wide',
        writeTime: 861n,
        ambiguity: null,
        partition: rowKey(['1']),
      },
    });
  });

  test.each(['-5', '9223372036854775807', '9007199254740993'])('dated %s exactly', (at) => {
    expect(decode({ table: flat, op: 'd', after: { id, v: gone(at) } })).toMatchObject({
      change: { writeTime: BigInt(at) },
    });
  });

  test('with key columns only, the time of a partition delete is lost', () => {
    expect(decode({ table: keysOnly, op: 'd', after: { id }, tsUs: 9 })).toMatchObject({
      change: { kind: 'row-delete', writeTime: 9n, ambiguity: 'delete-without-time' },
    });
  });

  test('with key columns only, a row delete has its own time as that of the event', () => {
    expect(decode({ table: index, op: 'd', after: { id, c: cell('2') }, tsUs: 9 })).toMatchObject({
      change: { kind: 'row-delete', writeTime: 9n, ambiguity: null, key: { values: ['1', '2'] } },
    });
  });

  test.each<[string, Table, Readonly<Record<string, string>>, string]>([
    ['cells of two times', flat, { id, v: gone(5), w: gone(6) }, 'after.w.deletion_ts'],
    ['a cell with a value', flat, { id, v: cell('"x"', 5) }, 'after.v'],
    ['a cell without a time', flat, { id, v: cell('null') }, 'after.v'],
    ['a clustering key deleted in part', wide, { id, c1: cell('1'), c2: gone(5) }, 'after'],
    ['a deleted partition key', flat, { id: gone(5) }, 'after.id'],
    ['an empty key value', wide, { id, c1: cell('null'), c2: cell('"a"') }, 'after.c1'],
    ['a missing clustering cell', wide, { id, c1: cell('1') }, 'after.c2'],
  ])('%s is refused', (_, table, after, path) => {
    expect(refusal({ table, op: 'd', after, key: '{}' })).toEqual({ code: 'BAD_CELL', path });
  });
});

const int32 = 'org.apache.cassandra.db.marshal.Int32Type';
function side(method: string, ...values: (readonly [string, string])[]): string {
  return JSON.stringify({ method, values: values.map(([name, value]) => ({ name, value, type: int32 })) });
}
function range(table: Table, start: string, end: string, op = 'r'): EventSpec {
  const nulls = table.clustering.map(({ name }) => `,${JSON.stringify(name)}:null`).join('');
  return { table, op, after: { id, _range_start: start, _range_end: end }, key: `{"id":1${nulls}}`, tsUs: 7 };
}

describe('range deletes', () => {
  const open = side('INCL_START_BOUND');
  const close = side('INCL_END_BOUND');

  test.each<[string, string, string, Bound, Bound]>([
    [
      'both ends',
      side('INCL_START_BOUND', ['c1', '1']),
      side('EXCL_END_BOUND', ['c1', '3']),
      { values: ['1'], inclusive: true },
      { values: ['3'], inclusive: false },
    ],
    [
      'exclusive start',
      side('EXCL_START_BOUND', ['c1', '1']),
      side('INCL_END_BOUND', ['c1', '3']),
      { values: ['1'], inclusive: false },
      { values: ['3'], inclusive: true },
    ],
    ['unbounded', open, close, { values: [], inclusive: true }, { values: [], inclusive: true }],
    [
      'values in hash order',
      side('INCL_START_BOUND', ['c2', 'a'], ['c1', '1']),
      close,
      { values: ['1', 'a'], inclusive: true },
      { values: [], inclusive: true },
    ],
  ])('%s', (_, start, end, expectedStart, expectedEnd) => {
    for (const op of ['r', 't']) {
      expect(decode(range(wide, start, end, op))).toEqual({
        kind: 'change',
        contents: null,
        change: {
          kind: 'range-delete',
          table: 'shop.wide',
          writeTime: 7n,
          ambiguity: null,
          partition: rowKey(['1']),
          start: expectedStart,
          end: expectedEnd,
        },
      });
    }
  });

  test('names that CQL quotes', () => {
    const table = tableOf({ name: 'q', partition: ['id int'], clustering: ['My"Col int'], regular: [] });
    expect(decode(range(table, side('INCL_START_BOUND', ['"My""Col"', '5']), close))).toMatchObject({
      change: { start: { values: ['5'], inclusive: true } },
    });
  });

  test.each<[string, string, string, string]>([
    ['a hole in the prefix', side('INCL_START_BOUND', ['c2', 'a']), close, 'after._range_start'],
    ['a column twice', side('INCL_START_BOUND', ['c1', '1'], ['c1', '2']), close, 'after._range_start'],
    ['an unknown column', side('INCL_START_BOUND', ['v', '1']), close, 'after._range_start.values[0]'],
    ['an unreadable value', side('INCL_START_BOUND', ['c1', 'one']), close, 'after._range_start.values[0].value'],
    ['an empty value of an int', side('INCL_START_BOUND', ['c1', '']), close, 'after._range_start.values[0].value'],
    ['an end for a start', side('INCL_END_BOUND'), close, 'after._range_start.method'],
    ['an unknown method', side('toString'), close, 'after._range_start.method'],
    ['no end', open, 'null', 'after._range_end'],
    ['values that are no list', '{"method":"INCL_START_BOUND","values":{}}', close, 'after._range_start.values'],
    [
      'a value that is no object',
      '{"method":"INCL_START_BOUND","values":[null]}',
      close,
      'after._range_start.values[0]',
    ],
  ])('%s is refused', (_, start, end, path) => {
    expect(refusal(range(wide, start, end))).toEqual({ code: 'BAD_BOUND', path });
  });

  test('a direction that is not that of the table is refused, either way', () => {
    const reversed = side('INCL_START_BOUND', ['c1', '1']).replace(
      int32,
      `org.apache.cassandra.db.marshal.ReversedType(${int32})`,
    );
    const place = { code: 'BAD_BOUND', path: 'after._range_start.values[0].type' };
    expect(refusal(range(wide, reversed, close))).toEqual(place);
    const desc = tableOf({ name: 'desc', partition: ['id int'], clustering: ['c1 int DESC'] });
    expect(refusal(range(desc, side('INCL_START_BOUND', ['c1', '1']), close))).toEqual(place);
    expect(decode(range(desc, reversed, close))).toMatchObject({ change: { start: { values: ['1'] } } });
  });

  test('cells beside the bounds are refused', () => {
    const spec = range(wide, open, close);
    expect(refusal({ ...spec, after: { ...spec.after, v: cell('"x"') } })).toEqual({
      code: 'BAD_CELL',
      path: 'after.v',
    });
  });

  test('bounds in another event are refused', () => {
    expect(refusal({ table: flat, op: 'u', after: { id, _range_start: open } })).toEqual({
      code: 'BAD_BOUND',
      path: 'after._range_start',
    });
  });
});

describe('bound values as Cassandra prints them', () => {
  test.each([
    ['boolean', 'true', 'true'],
    ['date', '2026-11-03', '2026-11-03'],
    ['date', '-0001-12-31', '-000001-12-31'],
    ['date', '+5881580-07-11', '+5881580-07-11'],
    ['timestamp', '2026-11-21T01:02:03.456Z', '2026-11-21T01:02:03.456Z'],
    ['timestamp', '+10000-01-01T00:00:00.012Z', '+010000-01-01T00:00:00.012Z'],
    ['time', '01:02:03.000000004', '01:02:03.000000004'],
    ['inet', '2001:db8:0:0:0:0:0:1', '2001:db8::1'],
    ['decimal', '1E+3', '1E+3'],
    ['double', '1.0E21', '1e+21'],
    ['double', '-0.0', '-0'],
    ['blob', 'deadbeef', '\\xdeadbeef'],
    ['blob', '', '\\x'],
    ['text', '', ''],
    ['frozen<tuple<int, text>>', '1:b\\:c\\@d', '[1,"b:c@d"]'],
    ['frozen<tuple<int, text>>', '1:@', '[1,null]'],
    ['frozen<tuple<int, text>>', '1:\\@', '[1,"@"]'],
    ['frozen<tuple<int, text>>', '1', '[1,null]'],
    ['frozen<addr>', 's:1', '{"street":"s","zip":1}'],
    ['frozen<list<int>>', '0000000200000004000000010000000400000002', '[1,2]'],
  ])('%s %s', (type, text, canonical) => {
    expect(boundText(cqlType(type), text)).toBe(canonical);
  });

  test.each([
    ['int', ''],
    ['frozen<list<int>>', '00000002'],
    ['frozen<list<int>>', 'x'],
    ['frozen<tuple<int, text>>', '1:a:b'],
    ['blob', 'abc'],
  ])('%s %j is refused', (type, text) => {
    expect(boundText(cqlType(type), text)).toBeNull();
  });
});
