import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readAhead } from './read-ahead.ts';

/** Gives the numbers up to `count`, and notes what it was asked for. */
function numbers(count: number, failsAt = Number.POSITIVE_INFINITY) {
  const seen = { asked: 0, ended: false };
  async function* give(): AsyncGenerator<number> {
    try {
      for (let n = 1; n <= count; n++) {
        seen.asked = n;
        await Promise.resolve();
        if (n === failsAt) throw new Error(`no ${n}`);
        yield n;
      }
    } finally {
      seen.ended = true;
    }
  }
  return { seen, items: give() };
}

/** Everything that was asked for until now has come. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('reading ahead', () => {
  it('gives what there is, in order, and fails where it fails', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(6), fc.integer({ min: 1, max: 8 }), async (count, failsAt) => {
        const found: number[] = [];
        let failed = false;
        try {
          for await (const n of readAhead(numbers(count, failsAt).items)) {
            found.push(n);
            await settled();
          }
        } catch {
          failed = true;
        }
        expect(failed).toBe(failsAt <= count);
        expect(found).toEqual(Array.from({ length: Math.min(count, failsAt - 1) }, (_, i) => i + 1));
      }),
    );
  });

  it('asks for one item while the one before is worked on, and for no more', async () => {
    const { seen, items } = numbers(5);
    const ahead = readAhead(items);
    await settled();
    expect(seen.asked).toBe(1);
    for await (const n of ahead) {
      await settled();
      expect(seen.asked).toBe(Math.min(n + 1, 5));
    }
  });

  it('ends what it reads where nobody wants more', async () => {
    const { seen, items } = numbers(5);
    for await (const n of readAhead(items)) if (n === 2) break;
    expect(seen).toEqual({ asked: 3, ended: true });
  });
});
