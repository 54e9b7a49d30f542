import fc from 'fast-check';
import { expect, it } from 'vitest';
import { changeIdOf, writeTimeOf, type ChangeKind } from './changelog-entry.ts';

const change = fc.record({
  table: fc.constantFrom('shop.orders', 'shop.users'),
  kind: fc.constantFrom<ChangeKind>('write', 'row-delete', 'partition-delete'),
  key: fc.array(fc.string(), { minLength: 1, maxLength: 3 }),
  bounds: fc.constant(null),
});

it('a change ID gives back the exact write time of its change', () => {
  fc.assert(
    fc.property(change, fc.bigInt({ min: 0n, max: 2n ** 48n * 1000n - 1n }), (of, writeTime) => {
      expect(writeTimeOf(changeIdOf({ ...of, writeTime }), of)).toBe(writeTime);
    }),
    { numRuns: 50 },
  );
});

it('a change ID of another change, or of a clamped time, gives back none', () => {
  const of = { table: 'k.t', kind: 'write' as const, key: ['1'], bounds: null };
  expect(writeTimeOf(changeIdOf({ ...of, writeTime: 1_000_500n }), { ...of, key: ['2'] })).toBeNull();
  expect(writeTimeOf(changeIdOf({ ...of, writeTime: -5n }), of)).toBeNull();
  expect(writeTimeOf(changeIdOf({ ...of, writeTime: 2n ** 63n - 1n }), of)).toBeNull();
});
