import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseCqlType } from '../parse-cql-type.ts';
import { dateText, timestampText, timeText } from './value-calendar.ts';
import { canonicalText } from './value-canonical.ts';
import { deserialise } from './value-from-bytes.ts';
import { inetText } from './value-inet.ts';
import { doubleText, floatText } from './value-number.ts';
import { canonicalClustering, compareClustering, compareSerialised, orderBytes, serialise } from './value-order.ts';

const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const bytes = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length });
const decimal = fc
  .tuple(fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n }), fc.integer({ min: -40, max: 40 }))
  .map(([unscaled, scale]) => canonicalText(parseCqlType('decimal'), `${unscaled}E${-scale}`) ?? '');
const narrow = fc.constantFrom('0', '1', '10', '100', '0.1', '1.0', '1.00', '9', '-1', '-1.0', '-9', '1E+2', '0.0');
const uuid = (versions: readonly string[]): fc.Arbitrary<string> =>
  fc.tuple(bytes(16), fc.constantFrom(...versions), fc.boolean()).map(([raw, version, sparse]) => {
    const hex = Buffer.from(sparse ? raw.map((byte) => (byte & 1) * 0x80) : raw).toString('hex');
    const at = [hex.slice(0, 8), hex.slice(8, 12), version + hex.slice(13, 16), hex.slice(16, 20), hex.slice(20)];
    return at.join('-');
  });

/** Canonical values of every scalar type that can be in a clustering key, with collisions likely. */
const VALUES: Readonly<Record<string, fc.Arbitrary<string>>> = {
  text: fc.oneof(
    fc.string({ unit: 'binary', maxLength: 6 }),
    fc.string({ unit: fc.constantFrom('\0', '\u0001', 'a'), maxLength: 4 }),
  ),
  ascii: fc.string({ unit: fc.constantFrom('\0', 'a', 'b', '~'), maxLength: 5 }),
  tinyint: fc.integer({ min: -128, max: 127 }).map(String),
  smallint: fc.integer({ min: -32768, max: 32767 }).map(String),
  int: fc.integer().map(String),
  bigint: int64.map(String),
  varint: fc.oneof(fc.bigInt(), int64, fc.bigInt({ min: -300n, max: 300n })).map(String),
  decimal: fc.oneof(decimal, narrow),
  float: fc.float().map((value) => floatText(Math.fround(value))),
  double: fc.double().map(doubleText),
  boolean: fc.boolean().map(String),
  date: fc.integer().map(dateText),
  time: fc.bigInt({ min: 0n, max: 86_399_999_999_999n }).map((ns) => timeText(ns) ?? ''),
  timestamp: fc.oneof(int64, fc.bigInt({ min: -(10n ** 13n), max: 10n ** 13n })).map(timestampText),
  uuid: uuid(['0', '1', '1', '4', '7', 'f']),
  timeuuid: uuid(['1']),
  inet: fc
    .oneof(
      bytes(4),
      bytes(16),
      bytes(16).map((raw) => raw.map((byte) => (byte > 60 ? 0 : byte))),
    )
    .map(inetText),
  blob: fc
    .oneof(fc.uint8Array({ maxLength: 6 }), fc.uint8Array({ maxLength: 4, max: 1 }))
    .map((raw) => `\\x${Buffer.from(raw).toString('hex')}`),
};

describe.each(Object.entries(VALUES))('%s', (name, value) => {
  const type = parseCqlType(name);

  test('memcmp of orderBytes is compareClustering, and the order is total', () => {
    fc.assert(
      fc.property(value, value, value, (a, b, c) => {
        const ab = compareClustering(type, a, b);
        expect(Buffer.compare(orderBytes(type, a), orderBytes(type, b))).toBe(ab);
        expect(compareClustering(type, b, a) + ab).toBe(0);
        expect(compareClustering(type, a, a)).toBe(0);
        if (ab <= 0 && compareClustering(type, b, c) <= 0) expect(compareClustering(type, a, c)).toBeLessThanOrEqual(0);
        expect(canonicalClustering(type, a) === canonicalClustering(type, b)).toBe(ab === 0);
      }),
    );
  });

  test('encodings of several columns concatenate to the order of the key, DESC columns included', () => {
    fc.assert(
      fc.property(
        fc.array(fc.boolean(), { minLength: 1, maxLength: 3 }),
        fc.array(value, { minLength: 6, maxLength: 6 }),
        (desc, values) => {
          const left = values.slice(0, desc.length);
          const right = values.slice(3, 3 + desc.length);
          const encode = (key: readonly string[]): Buffer =>
            Buffer.concat(key.map((text, index) => orderBytes(type, text, desc[index])));
          let expected = 0;
          for (let index = 0; index < desc.length && expected === 0; index++) {
            const compared = compareClustering(type, left[index] ?? '', right[index] ?? '');
            expected = desc[index] === true ? -compared : compared;
          }
          expect(Buffer.compare(encode(left), encode(right)) - expected).toBe(0);
        },
      ),
    );
  });

  test('serialised bytes read back to the same text, and order ties', () => {
    fc.assert(
      fc.property(value, value, (a, b) => {
        const [left, right] = [serialise(type, a), serialise(type, b)];
        if (left === null || right === null) throw new Error(`no bytes for ${a} or ${b}`);
        expect(deserialise(type, Buffer.from(left))).toBe(a);
        expect(canonicalText(type, a)).toBe(a);
        expect(compareSerialised(type, a, b)).toBe(Buffer.compare(left, right));
        expect(compareSerialised(type, a, b) === 0).toBe(a === b);
      }),
    );
  });
});

describe('collections', () => {
  const list = parseCqlType('frozen<list<frozen<tuple<text, decimal>>>>');
  const element = fc
    .tuple(fc.option(fc.string({ maxLength: 3 })), fc.option(narrow))
    .map(([text, number]) => `[${text === null ? 'null' : JSON.stringify(text)},${number ?? 'null'}]`);
  const value = fc.array(element, { maxLength: 3 }).map((elements) => `[${elements.join(',')}]`);

  test('memcmp of orderBytes is compareClustering', () => {
    fc.assert(
      fc.property(value, value, (a, b) => {
        expect(Buffer.compare(orderBytes(list, a), orderBytes(list, b))).toBe(compareClustering(list, a, b));
      }),
    );
  });

  test('the order in which a set arrived does not show in its canonical text', () => {
    const set = parseCqlType('frozen<set<int>>');
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer(), { maxLength: 8 }), (elements) => {
        const sorted = elements.toSorted((a, b) => a - b);
        expect(canonicalText(set, JSON.stringify(elements))).toBe(JSON.stringify(sorted));
      }),
    );
  });
});
