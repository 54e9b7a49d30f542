import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  addDigests,
  digestHex,
  digestOfRow,
  digestText,
  EMPTY_DIGEST,
  encodeRow,
  RangeDigester,
  sameDigest,
  type RangeDigest,
  type ShownRow,
} from './row-digest.ts';

const COLUMNS = ['a', 'b', 'c'];
// Few characters, among them those that a careless separator would confuse.
const text = fc.string({ unit: fc.constantFrom('a', 'b', '"', ',', '\0', '1', 'ß'), maxLength: 4 });
const row: fc.Arbitrary<ShownRow> = fc
  .record({
    key: fc.array(text, { minLength: 1, maxLength: 2 }),
    cells: fc.array(fc.option(fc.tuple(text, fc.boolean()), { nil: null }), { minLength: 3, maxLength: 3 }),
  })
  .map(({ key, cells }) => ({
    key,
    values: cells.map((cell) => cell?.[0] ?? null),
    expiring: cells.map((cell) => cell?.[1] ?? false),
  }));

function digestOf(rows: readonly ShownRow[]): RangeDigest {
  const digester = new RangeDigester();
  for (const each of rows) digester.add(digestOfRow(COLUMNS, each));
  return digester.digest();
}

describe('the canonical encoding', () => {
  it('is injective: different rows have different bytes', () => {
    fc.assert(
      fc.property(row, row, (left, right) => {
        const same = JSON.stringify(left) === JSON.stringify(right);
        expect(encodeRow(COLUMNS, left).equals(encodeRow(COLUMNS, right))).toBe(same);
      }),
      { numRuns: 2000 },
    );
  });

  it('names columns: the same value under another name is another row', () => {
    const shown: ShownRow = { key: ['1'], values: ['x'], expiring: [false] };
    expect(digestOfRow(['a'], shown)).not.toBe(digestOfRow(['b'], shown));
  });

  it('of a row without a value does not change when a column is added', () => {
    const before: ShownRow = { key: ['1'], values: ['x'], expiring: [false] };
    const after: ShownRow = { key: ['1'], values: ['x', null], expiring: [false, false] };
    expect(digestOfRow(['a'], before)).toBe(digestOfRow(['a', 'b'], after));
  });

  it('is fixed: stored digests stay comparable', () => {
    const shown: ShownRow = { key: ['1', 'ß'], values: ['x', null, '\\x00'], expiring: [false, false, true] };
    expect(digestHex(digestOfRow(COLUMNS, shown))).toBe(
      '64523b27cd765c85a0d39210f7a98af439e17b32fef28d0b9d92a9a0b8c8c993',
    );
  });
});

describe('the digest of a range', () => {
  it('does not depend on the order of rows and adds up over parts', () => {
    fc.assert(
      fc.property(fc.array(row, { maxLength: 8 }), fc.nat(), (rows, at) => {
        const whole = digestOf(rows);
        const middle = rows.length === 0 ? 0 : at % rows.length;
        const parts = addDigests(digestOf(rows.slice(middle)), digestOf(rows.slice(0, middle)));
        expect(parts).toEqual(whole);
        expect(digestOf([...rows].reverse())).toEqual(whole);
        expect(addDigests(whole, EMPTY_DIGEST)).toEqual(whole);
      }),
    );
  });

  it('sees a row that is missing, another, or twice', () => {
    fc.assert(
      fc.property(fc.array(row, { minLength: 1, maxLength: 6 }), row, (rows, other) => {
        const whole = digestOf(rows);
        expect(sameDigest(whole, digestOf(rows.slice(1)))).toBe(false);
        expect(sameDigest(whole, digestOf([...rows, rows[0]!]))).toBe(false);
        expect(sameDigest(digestOf([...rows, other, other]), whole)).toBe(false);
        const replaced = [other, ...rows.slice(1)];
        const isSame = JSON.stringify(other) === JSON.stringify(rows[0]);
        expect(sameDigest(whole, digestOf(replaced))).toBe(isSame);
      }),
    );
  });

  it('is written with its count and both sums', () => {
    expect(digestText({ count: 2n, sums: [255n, 0n] })).toBe('2:00000000000000ff:0000000000000000');
  });
});
