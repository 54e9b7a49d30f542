import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { differs, normalised, toleranceOf } from './compare-values.ts';

const exact = toleranceOf('absolute', '0');
const number = (text: string): string | null => normalised('number', text, 'n');

describe('numbers of rules', () => {
  it.each([
    ['1.50', '1.5'],
    ['0.0', '-0'],
    ['1E+3', '1000'],
    ['007', '7'],
    ['-12.340e-2', '-0.1234'],
    ['NaN', 'NaN'],
    ['Infinity', 'Infinity'],
    ['123456789012345678901234567890.1', '123456789012345678901234567890.10'],
  ])('%s and %s are one', (left, right) => {
    expect(number(left)).toBe(number(right));
  });

  it('are exact where doubles are not', () => {
    const [sum, other] = [number('100000000000000000.01')!, number('100000000000000000.02')!];
    expect(Number(sum)).toBe(Number(other));
    expect(differs('number', sum, other, exact)).toBe(true);
    expect(differs('number', sum, other, toleranceOf('absolute', '0.01'))).toBe(false);
    expect(differs('number', sum, other, toleranceOf('absolute', '0.009'))).toBe(true);
    expect(differs('number', number('0.3'), number('0.1'), toleranceOf('absolute', '0.2'))).toBe(false);
  });

  it('may be apart by a share of the source’s value, and of 0 by nothing', () => {
    const share = toleranceOf('relative', '0.01');
    expect(differs('number', '200', '202', share)).toBe(false);
    expect(differs('number', '-200', '-202', share)).toBe(false);
    expect(differs('number', '200', '202.01', share)).toBe(true);
    expect(differs('number', '0', '0.0001', share)).toBe(true);
  });

  it('differ by no more than the tolerance, judged in whole cents by bigints', () => {
    const cents = fc.bigInt({ min: -(10n ** 25n), max: 10n ** 25n });
    const text = (value: bigint): string => {
      const digits = String(value < 0n ? -value : value).padStart(3, '0');
      return `${value < 0n ? '-' : ''}${digits.slice(0, -2)}.${digits.slice(-2)}`;
    };
    fc.assert(
      fc.property(
        cents,
        fc.bigInt({ min: -300n, max: 300n }),
        fc.bigInt({ min: 0n, max: 200n }),
        (value, apart, limit) => {
          const tolerance = toleranceOf('absolute', text(limit));
          const distance = apart < 0n ? -apart : apart;
          const found = differs('number', number(text(value)), number(text(value + apart)), tolerance);
          expect(found).toBe(distance > limit);
        },
      ),
    );
  });

  it('are refused where they are none, or would take gigabytes to write down', () => {
    for (const text of ['twelve', '', '1E+1000000000', '1e-999999', '0x10 ']) {
      expect(() => number(text), text).toThrow('no number that can be compared');
    }
  });
});

describe('other values of rules', () => {
  it.each([
    ['timestamp', '2026-11-01T00:00:00.456Z', '2026-11-01 00:00:00.456+00'],
    ['timestamp', '2026-11-01T00:00:00.000Z', '2026-11-01 00:00:00'],
    ['boolean', 'true', 't'],
    ['uuid', '6BA7B810-9DAD-11D1-80B4-00C04FD430C8', '6ba7b810-9dad-11d1-80b4-00c04fd430c8'],
    ['time', '12:00:00.000000000', '12:00:00'],
  ] as const)('%s: %s is %s', (kind, source, target) => {
    expect(normalised(kind, source, 'v')).toBe(normalised(kind, target, 'v'));
  });

  it('are equal or not: a tolerance is for numbers, and a null is like nothing but a null', () => {
    const wide = toleranceOf('absolute', '1000');
    expect(differs('text', '1', '2', wide)).toBe(true);
    expect(differs('number', null, '0', wide)).toBe(true);
    expect(differs('number', null, null, wide)).toBe(false);
    expect(differs('number', 'NaN', '0', wide)).toBe(true);
    expect(differs('number', 'Infinity', '-Infinity', wide)).toBe(true);
  });
});
