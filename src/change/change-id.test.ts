import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rowKey, type Cell, type RowWrite } from './change-event.ts';
import { identify } from './change-id.ts';

const cell = fc.option(
  fc.record({
    writeTime: fc.constant(7n),
    value: fc.option(fc.string({ maxLength: 3 }), { nil: null }),
    expiry: fc.option(fc.bigInt({ min: 1n, max: 2n }), { nil: null }),
  }),
  { nil: null },
);
const cells: fc.Arbitrary<(Cell | null)[]> = fc.array(cell, { minLength: 2, maxLength: 2 });
const write = (written: (Cell | null)[], insert: boolean, time = 7n): RowWrite => ({
  kind: 'write',
  table: 'k.t',
  writeTime: time,
  ambiguity: null,
  key: rowKey(['1']),
  marker: insert ? { writeTime: time, expiry: null } : null,
  cells: written,
});

describe('the change ID', () => {
  it('does not depend on what was written: the same change emitted again after ALTER TABLE lists other columns', () => {
    fc.assert(
      fc.property(cells, cells, (one, other) => {
        expect(identify(write(one, true)).id).toBe(identify(write(other, false)).id);
      }),
    );
  });

  it('depends on the exact write time, also within one millisecond and beyond the clamp', () => {
    for (const [one, other] of [
      [7n, 8n],
      [-5n, -6n],
      [2n ** 63n - 1n, 2n ** 63n - 2n],
    ] as const) {
      expect(identify(write([], true, one)).id).not.toBe(identify(write([], true, other)).id);
    }
  });
});

describe('the fingerprint', () => {
  it('is equal exactly where marker and cells are, written out or given as the text they were read from', () => {
    fc.assert(
      fc.property(cells, cells, fc.boolean(), fc.boolean(), (one, other, insert, otherInsert) => {
        const same = insert === otherInsert && JSON.stringify(one, text) === JSON.stringify(other, text);
        const written = [identify(write(one, insert)), identify(write(other, otherInsert))] as const;
        expect(written[0].fingerprint === written[1].fingerprint).toBe(same);
        const read = [
          identify(write(one, insert), JSON.stringify(one, text)),
          identify(write(other, otherInsert), JSON.stringify(other, text)),
        ] as const;
        expect(read[0].fingerprint === read[1].fingerprint).toBe(same);
      }),
    );
  });
});

function text(_name: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value;
}
