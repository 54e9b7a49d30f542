import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parseCqlType } from '../parse-cql-type.ts';
import type { CqlType } from '../source-type.ts';
import { canonicalText } from './value-canonical.ts';
import { deserialise } from './value-from-bytes.ts';
import {
  bytesKnown,
  canonicalClustering,
  compareClustering,
  compareSerialised,
  keyBytes,
  keyBytesKnown,
  orderBytes,
  serialise,
  supportsClustering,
} from './value-order.ts';

/**
 * Printed by the real classes of cassandra-all 5.0.8 (`AbstractType.decompose`, `getString`, `compare`): `rank` is the
 * position by the comparator, checked there over all pairs; equal ranks compare as 0.
 */
interface Golden {
  readonly type: string;
  readonly values: readonly { readonly text: string; readonly bytes: string; readonly rank: number }[];
}
const golden = JSON.parse(
  readFileSync(new URL('../../../test/fixtures/debezium-cassandra/cassandra-values.json', import.meta.url), 'utf8'),
) as Golden[];

const scalar = (name: string): CqlType => parseCqlType(name);
const hex = (bytes: Uint8Array | null): string | null => (bytes === null ? null : Buffer.from(bytes).toString('hex'));

describe.each(golden)('$type as Cassandra has it', ({ type: cql, values }) => {
  const type = parseCqlType(cql);
  const pairs = values.flatMap((a) => values.map((b) => [a, b] as const));

  test('serialises to its bytes', () => {
    for (const { text, bytes } of values) {
      expect([text, hex(serialise(type, text))]).toEqual([text, bytesKnown(type) ? bytes : null]);
    }
  });

  test('serialises to its bytes as a key, collections too', () => {
    expect(keyBytesKnown(type)).toBe(true);
    // A tuple may also be stored without the nulls at its end; what CQL writes has them.
    const written = new Map(
      values.toSorted((a, b) => a.bytes.length - b.bytes.length).map((each) => [each.text, each]),
    );
    for (const { text, bytes } of written.values()) expect([text, hex(keyBytes(type, text))]).toEqual([text, bytes]);
  });

  test('bytes read back to the canonical text', () => {
    for (const { text, bytes } of values)
      expect([bytes, deserialise(type, Buffer.from(bytes, 'hex'))]).toEqual([bytes, text]);
  });

  test('canonical text is a fixed point', () => {
    for (const { text } of values)
      expect(canonicalText(type, text)).toBe(canonicalText(type, canonicalText(type, text) ?? ''));
  });

  test('compareClustering agrees with its comparator for every pair', () => {
    for (const [a, b] of pairs) {
      expect([a.text, b.text, compareClustering(type, a.text, b.text)]).toEqual([
        a.text,
        b.text,
        Math.sign(a.rank - b.rank),
      ]);
    }
  });

  test('orderBytes sort as the comparator, inverted for DESC', () => {
    for (const [a, b] of pairs) {
      const ascending = Math.sign(a.rank - b.rank);
      expect([a.text, b.text, Buffer.compare(orderBytes(type, a.text), orderBytes(type, b.text))]).toEqual([
        a.text,
        b.text,
        ascending,
      ]);
      const descending = Buffer.compare(orderBytes(type, a.text, true), orderBytes(type, b.text, true));
      expect(descending + ascending).toBe(0);
    }
  });

  test('no encoding is the beginning of another, so they can be concatenated', () => {
    for (const [a, b] of pairs) {
      const [one, two] = [orderBytes(type, a.text), orderBytes(type, b.text)];
      if (a.rank !== b.rank) expect(Buffer.from(two).subarray(0, one.length).equals(one)).toBe(false);
    }
  });

  test('ties are decided by the unsigned bytes', () => {
    if (!bytesKnown(type)) return;
    for (const [a, b] of pairs) {
      const byBytes = Buffer.compare(Buffer.from(a.bytes, 'hex'), Buffer.from(b.bytes, 'hex'));
      expect([a.text, b.text, compareSerialised(type, a.text, b.text)]).toEqual([a.text, b.text, byBytes]);
    }
  });

  test('values that are one row have one canonical clustering text', () => {
    for (const [a, b] of pairs) {
      const same = canonicalClustering(type, a.text) === canonicalClustering(type, b.text);
      expect([a.text, b.text, same]).toEqual([a.text, b.text, a.rank === b.rank]);
    }
  });
});

describe('tie rule', () => {
  test.each([
    ['int', '-1', '1'],
    ['decimal', '1.00', '1.0'],
    ['decimal', '1.0', '9'],
    ['boolean', 'true', 'false'],
    ['text', 'zzz', 'aaa'],
  ])('of %s, %s beats %s', (type, winner, loser) => {
    expect(compareSerialised(scalar(type), winner, loser)).toBe(1);
    expect(compareSerialised(scalar(type), loser, winner)).toBe(-1);
  });

  test('without known bytes the outcome is still one and the same', () => {
    const set = parseCqlType('set<int>');
    expect(bytesKnown(set)).toBe(false);
    expect(compareSerialised(set, '[1,2]', '[3]')).toBe(-compareSerialised(set, '[3]', '[1,2]'));
    expect(compareSerialised(set, '[1,2]', '[2, 1]')).toBe(0);
  });

  test('text that is no value of the type does not throw', () => {
    expect(compareSerialised(scalar('timestamp'), 'infinity', '1970-01-01T00:00:00.000Z')).not.toBe(0);
  });
});

describe('bytes of keys', () => {
  const place: CqlType = {
    kind: 'udt',
    name: 'place',
    frozen: true,
    fields: [
      { name: 'street', type: scalar('text') },
      { name: 'number', type: scalar('int') },
    ],
  };

  test.each<[string, CqlType, string, string]>([
    ['a user-defined type in the order of its fields', place, '{"number":1,"street":null}', 'ffffffff0000000400000001'],
    ['a vector without lengths', parseCqlType('vector<float, 2>'), '[1,-2]', '3f800000c0000000'],
    [
      'a set in the order of the source',
      parseCqlType('frozen<set<int>>'),
      '[1,-1]',
      '0000000200000004ffffffff0000000400000001',
    ],
  ])('of %s', (_, type, text, bytes) => {
    expect(hex(keyBytes(type, text))).toBe(bytes);
    expect(canonicalText(type, deserialise(type, Buffer.from(bytes, 'hex')) ?? '')).toBe(canonicalText(type, text));
  });

  test.each(['frozen<list<duration>>', 'vector<text, 2>', "frozen<list<'org.example.Point'>>"])(
    'of %s are not known',
    (cql) => {
      expect(keyBytesKnown(parseCqlType(cql))).toBe(false);
      expect(keyBytes(parseCqlType(cql), '[]')).toBeNull();
    },
  );

  test('text that is no collection of the type is refused', () => {
    expect(() => keyBytes(parseCqlType('frozen<list<int>>'), '{"a":1}')).toThrow(/no value of type list/);
    expect(() => keyBytes(parseCqlType('vector<float, 3>'), '[1]')).toThrow(/no value of type vector/);
    expect(keyBytes(parseCqlType('frozen<list<int>>'), '["x"]')).toBeNull();
  });
});

describe('rows read back from PostgreSQL', () => {
  test.each([
    ['timestamp', '2026-11-01 00:00:00.456+00', '2026-11-01T00:00:00.456Z'],
    ['timestamp', '2026-11-01 01:30:00+01:30', '2026-11-01T00:00:00.000Z'],
    ['timestamp', '0044-03-15 00:00:00+00 BC', '-000043-03-15T00:00:00.000Z'],
    ['timestamp', '12345-01-01 00:00:00+00', '+012345-01-01T00:00:00.000Z'],
    ['date', '0044-03-15 BC', '-000043-03-15'],
    ['date', '12345-01-01', '+012345-01-01'],
    ['date', '0001-12-31 BC', '0000-12-31'],
    ['float', '1e+20', '100000000000000000000'],
    ['float', '3.4028235e+38', '3.4028235e+38'],
    ['double', '1e+20', '100000000000000000000'],
    ['double', '-0', '-0'],
    ['decimal', '1000', '1000'],
    ['blob', '\\xdeadBEEF', '\\xdeadbeef'],
    ['boolean', 't', 'true'],
    ['boolean', 'f', 'false'],
    ['time', '12:00:00', '12:00:00.000000000'],
    ['time', '12:00:00.5', '12:00:00.500000000'],
    ['inet', '2001:db8::1', '2001:db8::1'],
    ['uuid', '8607C620-E58A-11F1-A58B-79DB87BECF7A', '8607c620-e58a-11f1-a58b-79db87becf7a'],
    ['frozen<map<text, int>>', '{"b": 1, "a": 2}', '{"a":2,"b":1}'],
    ['frozen<map<text, int>>', '{"9": 1, "10": 2}', '{"10":2,"9":1}'],
    ['frozen<set<int>>', '[10, 9]', '[9,10]'],
    ['frozen<list<decimal>>', '[1.10, 12345678901234567890.5]', '[1.10,12345678901234567890.5]'],
  ])('%s %s is %s', (type, postgres, canonical) => {
    const parsed = parseCqlType(type);
    expect(canonicalText(parsed, postgres)).toBe(canonical);
    expect(compareClustering(parsed, postgres, canonical)).toBe(0);
    expect(hex(serialise(parsed, postgres))).toBe(hex(serialise(parsed, canonical)));
    expect(compareSerialised(parsed, postgres, canonical)).toBe(0);
  });
});

describe('types without a clustering order', () => {
  test.each(['duration', 'counter', 'frozen<list<duration>>', "'org.example.Odd'"])('%s is refused by name', (text) => {
    const type = parseCqlType(text);
    expect(supportsClustering(type)).toBe(false);
    expect(() => orderBytes(type, text.startsWith('frozen') ? '["1"]' : '1')).toThrow(/is unknown/);
  });

  test('a value that is none of its type is refused, not ordered', () => {
    expect(() => compareClustering(scalar('int'), '1', 'one')).toThrow(/"one" is no value of type int/);
    expect(() => orderBytes(scalar('uuid'), 'x')).toThrow(/no value of type uuid/);
  });
});
