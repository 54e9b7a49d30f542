import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { clopperPearson, smallestSeen, wilson } from './interval.ts';

/** Binomial(n, p) tail by summing exact terms in logarithms: no code in common with the library. */
function atLeast(k: number, n: number, p: number): number {
  let total = 0;
  let logChoose = 0;
  for (let i = 0; i <= n; i++) {
    if (i > 0) logChoose += Math.log((n - i + 1) / i);
    if (i >= k) total += Math.exp(logChoose + i * Math.log(p) + (n - i) * Math.log1p(-p));
  }
  return total;
}

const sample = fc.integer({ min: 1, max: 400 }).chain((n) => fc.tuple(fc.integer({ min: 0, max: n }), fc.constant(n)));

describe('intervals', () => {
  it('agree with published values', () => {
    // R: binom::binom.confint(4, 20, methods = c('exact', 'wilson')).
    const exact = clopperPearson(4, 20, 0.95);
    expect(exact.low).toBeCloseTo(0.057334, 5);
    expect(exact.high).toBeCloseTo(0.436614, 5);
    const score = wilson(4, 20, 0.95);
    expect(score.low).toBeCloseTo(0.080658, 5);
    expect(score.high).toBeCloseTo(0.416016, 5);
  });

  it('of Clopper and Pearson end where the tail is as likely as they say', () => {
    fc.assert(
      fc.property(sample, ([k, n]) => {
        const { low, high } = clopperPearson(k, n, 0.95);
        if (k > 0) expect(atLeast(k, n, low)).toBeCloseTo(0.025, 6);
        if (k < n) expect(1 - atLeast(k + 1, n, high)).toBeCloseTo(0.025, 6);
      }),
    );
  });

  it('hold the share that was seen and are shorter for larger samples; the exact one holds Wilson’s centre', () => {
    fc.assert(
      fc.property(sample, ([k, n]) => {
        for (const of of [wilson, clopperPearson]) {
          const { low, high } = of(k, n, 0.95);
          expect(low).toBeLessThanOrEqual(k / n);
          expect(high).toBeGreaterThanOrEqual(k / n);
          expect(high).toBeGreaterThan(low);
          const more = of(k * 4, n * 4, 0.95);
          expect(more.high - more.low).toBeLessThan(high - low);
        }
      }),
    );
  });

  it('of a sample without drift is not empty: the rule of three', () => {
    expect(clopperPearson(0, 1000, 0.95)).toMatchObject({ low: 0 });
    expect(clopperPearson(0, 1000, 0.95).high).toBeCloseTo(0.00368, 5);
    expect(smallestSeen(1000, 0.95)).toBeCloseTo(3 / 1000, 4);
    expect(smallestSeen(0, 0.95)).toBe(1);
  });

  it('the smallest drift that a sample sees is seen with that confidence', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 300 }), (n) => {
        expect(atLeast(1, n, smallestSeen(n, 0.95))).toBeCloseTo(0.95, 6);
      }),
    );
  });
});
