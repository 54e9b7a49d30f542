import { expect, it } from 'vitest';
import { ScanThrottle } from './scan-throttle.ts';

const SIGNAL = new AbortController().signal;

/** Members on one clock, and a budget as the database keeps it. */
function stage() {
  let now = 0;
  let freeAt = 0;
  const pacing = {
    elapsedMs: () => now,
    pause: async (ms: number) => {
      now += ms;
    },
  };
  const budget = {
    take: async (_name: string, costMs: number) => {
      const from = Math.max(freeAt, now);
      freeAt = from + costMs;
      return from - now;
    },
  };
  return { pacing, budget, now: () => now, spend: (ms: number) => (now += ms) };
}

it('members together read so many rows a second', async () => {
  const { pacing, budget, now } = stage();
  const limits = { rowsPerSecond: 1_000, sourceLatency: null };
  const members = [new ScanThrottle(budget, limits, pacing), new ScanThrottle(budget, limits, pacing)];
  for (let page = 0; page < 20; page++) await members[page % 2]!.page(500, () => Promise.resolve(), SIGNAL);
  expect(now()).toBe(10_000);
});

it('a slow source is given pauses that grow, and is looked at once a second at most', async () => {
  const { pacing, budget, now, spend } = stage();
  const throttle = new ScanThrottle(budget, { rowsPerSecond: null, sourceLatency: 100 }, pacing);
  let probes = 0;
  const slow = async (): Promise<void> => {
    probes += 1;
    spend(500);
  };
  for (let page = 0; page < 5; page++) await throttle.page(100, slow, SIGNAL);
  expect(probes).toBe(1);
  expect(now()).toBe(500 + 5 * 50);
  for (let page = 0; page < 60; page++) await throttle.page(100, slow, SIGNAL);
  expect(probes).toBeGreaterThan(5);
  const before = now();
  await throttle.page(100, slow, SIGNAL);
  expect(now() - before).toBeGreaterThan(1_000);
});

it('a source that is quick costs nothing where no budget is set', async () => {
  const { pacing, now } = stage();
  const never = { take: () => Promise.reject(new Error('not asked')) };
  const throttle = new ScanThrottle(never, { rowsPerSecond: null, sourceLatency: 100 }, pacing);
  await throttle.page(4_096, () => Promise.resolve(), SIGNAL);
  expect(now()).toBe(0);
});
