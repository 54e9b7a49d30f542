import fc from 'fast-check';
import { expect, it } from 'vitest';
import { pack, unpack } from './packed-rows.ts';

const cell = fc.option(
  fc.uint8Array({ maxLength: 5 }).map((bytes) => Buffer.from(bytes)),
  { nil: null },
);
const rows = fc
  .integer({ min: 1, max: 4 })
  .chain((width) => fc.array(fc.array(cell, { minLength: width, maxLength: width }), { maxLength: 6 }));

it('packed rows are the rows, and any of them can be picked', () => {
  fc.assert(
    fc.property(rows, fc.array(fc.nat(5)), (given, places) => {
      const packed = pack(given);
      expect(packed.length).toBe(given.length);
      expect(given.map((_, i) => packed.row(i))).toEqual(given);
      const picked = places.filter((place) => place < given.length);
      const some = packed.pick(picked);
      expect(picked.map((_, i) => some.row(i))).toEqual(picked.map((place) => given[place]));
    }),
  );
});

it('rows that end too early are refused, wherever they end', () => {
  const bytes = pack([[Buffer.from('ab'), null, Buffer.from('c')]]).bytes;
  expect(unpack(bytes, 0, 1, 3).row(0)).toEqual([Buffer.from('ab'), null, Buffer.from('c')]);
  for (let end = 0; end < bytes.length; end++) {
    expect(() => unpack(bytes.subarray(0, end), 0, 1, 3)).toThrow(RangeError);
  }
});
