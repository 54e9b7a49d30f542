import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { cqlType } from '../../../test/fixtures/debezium-cassandra/tables.ts';
import { deserialise } from '../../change/values/value-from-bytes.ts';
import { boundText } from './bound-text.ts';
import { Refused } from './codes.ts';
import { parseExact, parseFast, type Json } from './json.ts';
import { MAX_EXPANSION_CHARS, type Reading } from './wire-scalars.ts';
import { compileWire } from './wire-values.ts';

/**
 * Printed by the connector's own classes (3.4.1.Final: CassandraTypeDeserializer, then Connect's JsonConverter) from the
 * serialised bytes of a cell, with `getString` as range bounds carry it.
 */
interface Emitted {
  readonly type: string;
  readonly bytes: string;
  readonly json: string;
  readonly getString: string;
}
const emitted = (
  JSON.parse(
    readFileSync(new URL('../../../test/fixtures/debezium-cassandra/connector-values.json', import.meta.url), 'utf8'),
  ) as Emitted[]
).map((vector) => ({ ...vector, type: vector.type === 'frozen<addr>' ? 'frozen<place>' : vector.type }));

function reading(exact: boolean): Reading {
  return { exact, escapes: true, path: 'after.c.value', expansion: MAX_EXPANSION_CHARS };
}

function decodeJson(type: string, json: string): string {
  return compileWire(cqlType(type))(parseExact(json, 'value'), reading(true));
}

function refusalOf(type: string, value: Json): { code: string; path: string } {
  try {
    compileWire(cqlType(type))(value, reading(true));
  } catch (error) {
    if (error instanceof Refused) return { code: error.code, path: error.path };
    throw error;
  }
  throw new Error('not refused');
}

/** Losses of the connector that no decoder can undo; stated in docs as limits. */
const LOST_ON_THE_WIRE: Readonly<Record<string, string>> = {
  'decimal fffffffd01': '1000', // 1E+3, printed by toPlainString
  'decimal fffffffd7b': '123000',
  'decimal fffffffd00': '0',
  'decimal fffffffef4': '-1200',
  'inet 00000000000000000000ffff01020304': '1.2.3.4', // Java makes IPv4 of a mapped address
  'duration 020608': '2851200000000004',
};

describe('values as the connector prints them', () => {
  const readable = emitted.filter(({ json }) => json !== 'null');

  test.each(readable)('$type $bytes comes as $json', ({ type, bytes, json }) => {
    const exact = deserialise(cqlType(type), Buffer.from(bytes, 'hex'));
    const expected = LOST_ON_THE_WIRE[`${type} ${bytes}`] ?? exact;
    expect(expected).not.toBeNull();
    expect(decodeJson(type, json)).toBe(expected);
  });

  // Cassandra prints the year of the era, so years before 1 read as AD, and mapped addresses as Java has them.
  const shownExactly = readable.filter(
    ({ type, bytes }) =>
      type !== 'duration' && bytes !== '8000000000000000' && !bytes.startsWith('00000000000000000000ffff'),
  );
  test('only two of them are not exact in a bound', () => {
    expect(readable.length - shownExactly.length).toBe(5);
  });

  test.each(shownExactly)('$type $bytes in a bound is $getString', ({ type, bytes, getString }) => {
    expect(boundText(cqlType(type), getString)).toBe(deserialise(cqlType(type), Buffer.from(bytes, 'hex')));
  });
});

describe('numbers', () => {
  test.each([
    ['double', '-0.0', '-0'],
    ['double', '0.0', '0'],
    ['double', '4.9E-324', '5e-324'],
    ['double', '100000000000000000000', '100000000000000000000'],
    ['float', '-0.0', '-0'],
    ['float', '1.100000023841858', '1.1'],
    ['float', '3.4028235E38', '3.4028235e+38'],
    ['frozen<list<bigint>>', '[9007199254740993, -9223372036854775808]', '[9007199254740993,-9223372036854775808]'],
    ['frozen<list<varint>>', '["123456789012345678901234567890"]', '[123456789012345678901234567890]'],
    ['frozen<list<decimal>>', '["1.00", "1E+3"]', '[1.00,1E+3]'],
    ['frozen<list<float>>', '["NaN", -0.0, "Infinity", 1.5]', '["NaN",-0,"Infinity",1.5]'],
    ['decimal', '"0E-10"', '0.0000000000'],
    ['decimal', '"1.5E-7"', '0.00000015'],
    ['decimal', '"1.23E+5"', '123E+3'],
    ['decimal', '"-0.00"', '0.00'],
    ['varint', '"-0"', '0'],
    ['varint', '"007"', '7'],
  ])('%s %s is %s', (type, json, text) => {
    expect(decodeJson(type, json)).toBe(text);
  });

  test('an integer that JSON.parse rounds asks for the exact reading instead of passing it on', () => {
    const decode = compileWire(cqlType('bigint'));
    expect(() => decode(parseFast('9007199254740993', 'v'), reading(false))).toThrow(/read again exactly/);
    expect(decode(parseFast('9007199254740991', 'v'), reading(false))).toBe('9007199254740991');
  });
});

describe('collections', () => {
  test.each([
    ['set<text>', '["b","a","é","😀","\uffee"]', '["a","b","é","\uffee","😀"]'],
    ['set<int>', '[10,9,-1]', '[-1,9,10]'],
    ['map<text, int>', '{"b":1,"a":2,"10":3,"9":4}', '{"10":3,"9":4,"a":2,"b":1}'],
    ['map<text, int>', '{"__proto__":1,"constructor":2}', '{"__proto__":1,"constructor":2}'],
    ['map<int, text>', '[[1,"x"],[-1,"y"]]', '[[-1,"y"],[1,"x"]]'],
    [
      'map<uuid, text>',
      '{"8607C620-e58a-41f1-a58b-79db87becf7a":"y"}',
      '[["8607c620-e58a-41f1-a58b-79db87becf7a","y"]]',
    ],
    ['map<inet, int>', '{"/10.0.0.1":1}', '[["10.0.0.1",1]]'],
    ['list<timestamp>', '[0,null]', '["1970-01-01T00:00:00.000Z",null]'],
    ['list<boolean>', '[true,false]', '[true,false]'],
    ['list<blob>', '["3q2+7w=="]', '["\\\\xdeadbeef"]'],
    ['frozen<tuple<int, text>>', '{"field1":1,"field2":null}', '[1,null]'],
    ['frozen<tuple<int, text>>', '{"field2":"t"}', '[null,"t"]'],
    ['frozen<addr>', '{"zip":1,"street":"s"}', '{"street":"s","zip":1}'],
    ['frozen<list<frozen<addr>>>', '[{"street":"s\\"q","zip":1}]', '[{"street":"s\\"q","zip":1}]'],
    ['vector<float, 2>', '[1.5,-0.0]', '[1.5,-0]'],
    ['list<text>', '[]', '[]'],
  ])('%s %s is %s', (type, json, text) => {
    expect(decodeJson(type, json)).toBe(text);
  });

  test('a blob in a frozen value is cut out of the whole serialised value', () => {
    // tuple (1, 't', 0x0203): field3 carries all of it.
    const json = '{"field1":1,"field2":"t","field3":"AAAABAAAAAEAAAABdAAAAAICAw=="}';
    expect(decodeJson('frozen<tuple<int, text, blob>>', json)).toBe('[1,"t","\\\\x0203"]');
  });

  test('also where it is the key of a map, whose entries come in any order', () => {
    const whole = 'AAAAAwAAAAEAAAAAAv//AAAAAgD/AAAAAgAAAAAABbdWBaWAAAAAAv6m';
    const json = JSON.stringify([0, -1, -346].map((value) => [whole, value]));
    expect(decodeJson('frozen<map<blob, smallint>>', json)).toBe(
      '[["\\\\x00",-1],["\\\\x00ff",0],["\\\\xb75605a580",-346]]',
    );
    const other = [1, -1, -346].map((value) => [whole, value]) as unknown as Json;
    expect(refusalOf('frozen<map<blob, smallint>>', other).code).toBe('BAD_VALUE');
  });

  test('or within the elements of a set', () => {
    // {(0x01, 2), (0x02, 1)}: in the order of the set's bytes, and the other one.
    const whole = Buffer.from(
      '00000002' + '0000000d000000010100000004' + '00000002' + '0000000d000000010200000004' + '00000001',
      'hex',
    ).toString('base64');
    for (const numbers of [
      [2, 1],
      [1, 2],
    ]) {
      const json = JSON.stringify(numbers.map((field2) => ({ field1: whole, field2 })));
      expect(decodeJson('frozen<set<frozen<tuple<blob, int>>>>', json)).toBe('[["\\\\x01",2],["\\\\x02",1]]');
    }
  });

  test('and refused where the rest of the value says otherwise', () => {
    const json = JSON.parse('{"field1":2,"field2":"t","field3":"AAAABAAAAAEAAAABdAAAAAICAw=="}') as Json;
    expect(refusalOf('frozen<tuple<int, text, blob>>', json).code).toBe('BAD_VALUE');
    expect(refusalOf('frozen<list<blob>>', ['AQ==']).code).toBe('BAD_VALUE');
  });
});

describe('what is no value of its type', () => {
  test.each<[string, Json, string]>([
    ['int', '1', 'BAD_VALUE'],
    ['int', 1.5, 'BAD_VALUE'],
    ['int', 2147483648, 'VALUE_OUT_OF_RANGE'],
    ['int', -2147483649, 'VALUE_OUT_OF_RANGE'],
    ['int', 9007199254740993n, 'VALUE_OUT_OF_RANGE'],
    ['tinyint', 128, 'VALUE_OUT_OF_RANGE'],
    ['smallint', -32769, 'VALUE_OUT_OF_RANGE'],
    ['bigint', 2n ** 63n, 'VALUE_OUT_OF_RANGE'],
    ['bigint', true, 'BAD_VALUE'],
    ['double', Infinity, 'VALUE_OUT_OF_RANGE'],
    ['double', 'inf', 'BAD_VALUE'],
    ['float', 1e39, 'VALUE_OUT_OF_RANGE'],
    ['float', 0.1234567890123, 'BAD_VALUE'],
    ['float', 1e-60, 'BAD_VALUE'],
    ['decimal', 1.5, 'BAD_VALUE'],
    ['decimal', '1.5.5', 'BAD_VALUE'],
    ['decimal', '1E-2147483647', 'BAD_VALUE'],
    ['decimal', '1E+99999999999', 'BAD_VALUE'],
    ['varint', 5, 'BAD_VALUE'],
    ['varint', '1.0', 'BAD_VALUE'],
    ['boolean', 1, 'BAD_VALUE'],
    ['boolean', 'true', 'BAD_VALUE'],
    ['text', 5, 'BAD_VALUE'],
    ['text', '\ud83d', 'BAD_VALUE'],
    ['ascii', 'é', 'BAD_VALUE'],
    ['blob', 'not base64', 'BAD_VALUE'],
    ['blob', '3q2+7w=', 'BAD_VALUE'],
    ['date', 2147483648, 'VALUE_OUT_OF_RANGE'],
    ['date', '2026-11-01', 'BAD_VALUE'],
    ['time', 86400000000000, 'VALUE_OUT_OF_RANGE'],
    ['time', -1, 'VALUE_OUT_OF_RANGE'],
    ['timestamp', 2n ** 63n, 'VALUE_OUT_OF_RANGE'],
    ['uuid', '8607c620e58a11f1a58b79db87becf7a', 'BAD_VALUE'],
    ['timeuuid', '8607c620-e58a-41f1-a58b-79db87becf7a', 'BAD_VALUE'],
    ['inet', '/10.0.0.256', 'BAD_VALUE'],
    ['inet', '/1:2:3', 'BAD_VALUE'],
    ['inet', '::1::', 'BAD_VALUE'],
    ['list<int>', { 0: 1 }, 'BAD_VALUE'],
    ['map<int, int>', [[1]], 'BAD_VALUE'],
    ['map<text, int>', 'x', 'BAD_VALUE'],
    ['frozen<addr>', [], 'BAD_VALUE'],
    ['frozen<addr>', { street: 's', country: 'nl' }, 'UNKNOWN_COLUMN'],
    ["'org.example.Odd'", 'x', 'BAD_VALUE'],
  ])('%s of %o is refused as %s', (type, value, code) => {
    expect(refusalOf(type, value).code).toBe(code);
  });

  test('the refusal names the place inside the value', () => {
    expect(refusalOf('map<text, frozen<list<int>>>', { a: [1], b: [1, 'x'] })).toEqual({
      code: 'BAD_VALUE',
      path: 'after.c.value.b[1]',
    });
  });

  test('many small decimal bombs are stopped together', () => {
    const bombs = new Array<string>(200).fill('1E-19999');
    expect(refusalOf('list<decimal>', bombs).code).toBe('VALUE_OUT_OF_RANGE');
  });
});
