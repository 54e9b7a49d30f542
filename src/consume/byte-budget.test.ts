import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ByteBudget } from './byte-budget.ts';

const never = new AbortController().signal;

it('never holds more than its maximum, serves in order and loses no byte, whatever comes', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ bytes: fc.integer({ min: 1, max: 100 }), abort: fc.boolean() }), { maxLength: 40 }),
      async (requests) => {
        let highest = 0;
        const budget = new ByteBudget(100, (used) => (highest = Math.max(highest, used)));
        const order: number[] = [];
        const held: number[] = [];
        const waiting = requests.map(async ({ bytes, abort }, i) => {
          const controller = new AbortController();
          const granted = budget.acquire(bytes, controller.signal);
          if (abort) controller.abort();
          if (await granted) {
            order.push(i);
            held.push(bytes);
          }
        });
        for (let i = 0; i <= requests.length; i += 1) {
          await new Promise((resolve) => setImmediate(resolve));
          for (const bytes of held.splice(0)) budget.release(bytes);
        }
        await Promise.all(waiting);
        expect(order).toEqual([...order].sort((a, b) => a - b));
        expect(budget.used).toBe(0);
        expect(highest).toBeLessThanOrEqual(100);
      },
    ),
    { numRuns: 200 },
  );
});

it('lets a fetch larger than the whole budget in alone', async () => {
  const budget = new ByteBudget(10);
  expect(await budget.acquire(5, never)).toBe(true);
  const large = budget.acquire(50, never);
  const small = budget.acquire(1, never);
  budget.release(5);
  expect(await large).toBe(true);
  expect(budget.used).toBe(50);
  budget.release(50);
  expect(await small).toBe(true);
});
