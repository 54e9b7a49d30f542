import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ringPart, WHOLE_RING, type TokenRange } from '../../change/token-range.ts';
import { murmur3Token } from '../../change/token.ts';
import { arcCountOf, randomArcs, seededRandom } from './ring-sample.ts';

const holds = ({ after, upTo }: TokenRange, token: bigint): boolean => token > after && token <= upTo;

describe('arcs of the ring', () => {
  it('cover it once', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 500 }), (count) => {
        expect(ringPart(0, count).after).toBe(WHOLE_RING.after);
        expect(ringPart(count - 1, count).upTo).toBe(WHOLE_RING.upTo);
        for (let i = 1; i < count; i++) expect(ringPart(i, count).after).toBe(ringPart(i - 1, count).upTo);
      }),
    );
  });

  it('come each once, in any order', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 300 }), fc.integer(), (count, seed) => {
        const arcs = [...randomArcs(count, seededRandom(seed))]
          .map(({ after }) => after)
          .sort((a, b) => (a < b ? -1 : 1));
        expect(arcs).toEqual(Array.from({ length: count }, (_, i) => ringPart(i, count).after));
      }),
    );
  });

  it('give every partition the same chance', () => {
    // 5 of 50 arcs, 4000 times: each of 40 partitions is in 400 samples, standard deviation 19.
    const tokens = Array.from({ length: 40 }, (_, i) => murmur3Token(Buffer.from(`partition ${i}`)));
    const hits = tokens.map(() => 0);
    for (let seed = 0; seed < 4000; seed++) {
      const arcs = randomArcs(50, seededRandom(seed));
      for (let n = 0; n < 5; n++) {
        const arc = arcs.next().value as TokenRange;
        for (const [i, token] of tokens.entries()) if (holds(arc, token)) hits[i] = (hits[i] ?? 0) + 1;
      }
    }
    for (const count of hits) expect(Math.abs(count - 400)).toBeLessThan(5 * 19);
  });

  it('are as many as a sample needs, within limits', () => {
    expect(arcCountOf(1000, 1_000_000)).toBe(62_500);
    expect(arcCountOf(1000, 10)).toBe(64);
    expect(arcCountOf(1, 1e12)).toBe(2 ** 20);
  });
});
