import { expect, it } from 'vitest';
import { brakedPauseMs } from './latency-brake.ts';

it('a source that gets slow is paused for longer and longer, and let go when it is quick again', () => {
  const pauses: number[] = [];
  let pause = 0;
  for (let i = 0; i < 10; i++) pauses.push((pause = brakedPauseMs(pause, 300, 100)));
  expect(pauses).toEqual([50, 100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
  let steps = 0;
  for (; pause > 0; steps++) pause = brakedPauseMs(pause, 100, 100);
  expect(steps).toBeLessThan(9);
});

it('without a limit nothing is paused', () => {
  expect(brakedPauseMs(400, 10_000, null)).toBe(0);
});
