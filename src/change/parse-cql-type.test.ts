import { describe, expect, test } from 'vitest';
import { parseCqlType, printCqlType, type UdtLookup } from './parse-cql-type.ts';
import type { CqlType } from './source-type.ts';

const text: CqlType = { kind: 'scalar', name: 'text' };
const int: CqlType = { kind: 'scalar', name: 'int' };
const fields = [
  { name: 'street', type: text },
  { name: 'zip', type: int },
];
const udt: UdtLookup = (name) => (name === 'addr' || name === 'Addr<x>' ? fields : undefined);

describe('parsing', () => {
  test.each<[string, CqlType]>([
    ['text', text],
    ['varchar', text],
    ['VARCHAR', text],
    ['list<text>', { kind: 'list', element: text, frozen: false }],
    ['set<int>', { kind: 'set', element: int, frozen: false }],
    ['frozen<set<int>>', { kind: 'set', element: int, frozen: true }],
    ['map<text,int>', { kind: 'map', key: text, value: int, frozen: false }],
    [
      'map<text, frozen<list<int>>>',
      { kind: 'map', key: text, value: { kind: 'list', element: int, frozen: true }, frozen: false },
    ],
    ['frozen<list<list<int>>>', { kind: 'list', element: { kind: 'list', element: int, frozen: true }, frozen: true }],
    ['tuple<int, text>', { kind: 'tuple', elements: [int, text] }],
    ['frozen<tuple<int, text>>', { kind: 'tuple', elements: [int, text] }],
    ['tuple<set<int>>', { kind: 'tuple', elements: [{ kind: 'set', element: int, frozen: true }] }],
    ['vector<float, 3>', { kind: 'vector', element: { kind: 'scalar', name: 'float' }, dimensions: 3 }],
    ['addr', { kind: 'udt', name: 'addr', fields, frozen: false }],
    ['frozen<addr>', { kind: 'udt', name: 'addr', fields, frozen: true }],
    ['frozen<shop.addr>', { kind: 'udt', name: 'addr', fields, frozen: true }],
    [
      'list<frozen<"Addr<x>">>',
      { kind: 'list', element: { kind: 'udt', name: 'Addr<x>', fields, frozen: true }, frozen: false },
    ],
    [
      "'org.apache.cassandra.db.marshal.DateType'",
      { kind: 'custom', name: 'org.apache.cassandra.db.marshal.DateType' },
    ],
  ])('%s', (source, type) => {
    expect(parseCqlType(source, udt)).toEqual(type);
  });

  test.each([
    ['', /ends too early/],
    ['list<', /ends too early/],
    ['list<int', /expected >/],
    ['map<int>', /expected ,/],
    ['list<int>>', /behind the type/],
    ['text<int>', /takes no parameters/],
    ['unknown_type', /the type "unknown_type" is not known/],
    ['vector<float>', /expected ,/],
    ['vector<float, x>', /number of dimensions/],
    ['list<in$t>', /unexpected "\$t>"/],
    ['list<'.repeat(100) + 'int' + '>'.repeat(100), /nested deeper/],
  ])('%s is refused', (source, message) => {
    expect(() => parseCqlType(source, udt)).toThrow(message);
    expect(() => parseCqlType(source, udt)).toThrow(
      expect.objectContaining({ kind: 'config', code: 'CQL_TYPE_UNKNOWN' }),
    );
  });
});

describe('printing', () => {
  test.each([
    'text',
    'list<text>',
    'frozen<map<text, int>>',
    'map<text, frozen<list<int>>>',
    'frozen<tuple<int, text>>',
    'vector<float, 3>',
    'frozen<addr>',
    'list<frozen<"Addr<x>">>',
    "'org.example.Odd'",
  ])('%s comes back as it was', (source) => {
    expect(printCqlType(parseCqlType(source, udt))).toBe(source);
  });

  test('what is printed parses to the same type, frozen inside frozen included', () => {
    const type = parseCqlType('frozen<list<list<addr>>>', udt);
    expect(parseCqlType(printCqlType(type), udt)).toEqual(type);
  });
});
