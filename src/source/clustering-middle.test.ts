import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ScalarName } from '../change/source-type.ts';
import { compareClustering, serialise } from '../change/values/value-order.ts';
import { deserialise } from '../change/values/value-from-bytes.ts';
import { cutValues } from './clustering-middle.ts';

const scalar = (name: ScalarName) => ({ kind: 'scalar', name }) as const;

const hex = (length: number): fc.Arbitrary<string> =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((bytes) => Buffer.from(bytes).toString('hex'));
const timeuuid = fc
  .tuple(hex(8), hex(8))
  .map(
    ([time, rest]) =>
      `${time.slice(0, 8)}-${time.slice(8, 12)}-1${time.slice(13, 16)}-${rest.slice(0, 4)}-${rest.slice(4)}`,
  );
const int = (bits: number): fc.Arbitrary<string> =>
  fc.bigInt({ min: -(1n << BigInt(bits - 1)), max: (1n << BigInt(bits - 1)) - 1n }).map(String);

/** Canonical texts of two values. */
const VALUES: Partial<Record<ScalarName, fc.Arbitrary<string>>> = {
  tinyint: int(8),
  smallint: int(16),
  int: int(32),
  bigint: int(64),
  timeuuid,
  text: fc.oneof(fc.string({ unit: 'binary', maxLength: 40 }), fc.string({ maxLength: 5 })),
  ascii: fc.string({ unit: 'binary-ascii', maxLength: 30 }),
  blob: fc.uint8Array({ maxLength: 30 }).map((bytes) => `0x${Buffer.from(bytes).toString('hex')}`),
};

function bytesOf(name: ScalarName, text: string): Buffer {
  const bytes = serialise(scalar(name), text);
  if (bytes === null) throw new Error(`${name} ${text} has no bytes`);
  return Buffer.from(bytes);
}

describe('a cut', () => {
  it.each(Object.entries(VALUES) as [ScalarName, fc.Arbitrary<string>][])(
    'of %s lies strictly between its bounds as the source orders them, or says that there is nothing between',
    (name, value) => {
      const type = scalar(name);
      fc.assert(
        fc.property(value, value, fc.boolean(), (left, right, descending) => {
          const order = compareClustering(type, left, right) * (descending ? -1 : 1);
          fc.pre(order !== 0);
          const [behind, upTo] = order < 0 ? [left, right] : [right, left];
          const cut = cutValues(type, descending, bytesOf(name, behind), bytesOf(name, upTo));
          if (cut?.kind !== 'middle') return;
          const middle = deserialise(type, cut.value);
          if (middle === null) throw new Error('the middle is no value of the type');
          const sign = descending ? -1 : 1;
          expect(compareClustering(type, behind, middle) * sign).toBeLessThan(0);
          expect(compareClustering(type, middle, upTo) * sign).toBeLessThan(0);
        }),
        { numRuns: 300 },
      );
    },
  );

  it.each([
    ['int', '-2147483648'],
    ['timestamp', '-62135596800000'],
    ['text', 'order-0000123'],
    ['timeuuid', '50554d6e-29bb-11e5-b345-feff819cdc9f'],
  ] as [ScalarName, string][])('of all %s comes to any value within some hundred halvings', (name, text) => {
    const value = name === 'timestamp' ? int64(text) : bytesOf(name, text);
    for (const descending of [false, true]) {
      let behind: Buffer | null = null;
      let upTo: Buffer | null = null;
      let steps = 0;
      const isFirst = (middle: Buffer): boolean => {
        const [a, b] = [value, middle].map((bytes) => deserialise(scalar(name), bytes) ?? '');
        const order = compareClustering(scalar(name), a ?? '', b ?? '');
        return descending ? order >= 0 : order <= 0;
      };
      for (; steps < 600; steps++) {
        const cut = cutValues(scalar(name), descending, behind, upTo);
        if (cut?.kind !== 'middle') break;
        if (isFirst(cut.value)) upTo = cut.value;
        else behind = cut.value;
      }
      expect(steps).toBeLessThan(600);
      expect(steps).toBeGreaterThan(20);
    }
  });

  it('of neighbours is their last value, and of types without a scale there is none', () => {
    const at = (n: number): Buffer => bytesOf('int', String(n));
    expect(cutValues(scalar('int'), false, at(4), at(5))).toEqual({ kind: 'single' });
    expect(cutValues(scalar('int'), true, at(5), at(4))).toEqual({ kind: 'single' });
    expect(cutValues(scalar('uuid'), false, null, null)).toBeNull();
    expect(cutValues(scalar('int'), false, Buffer.alloc(0), null)).toBeNull();
  });
});

function int64(text: string): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(BigInt(text));
  return bytes;
}
