import { expect, it } from 'vitest';
import { GuiltyShare } from './guilty-share.ts';

it('leaves stretches whole while nothing is refused', () => {
  const share = new GuiltyShare();
  share.add(1_000_000, 0);
  expect(share.partsFor(2_000)).toBe(1);
  expect(share.partsFor(0)).toBe(1);
});

it('cuts them the smaller the more is refused, and one change of few is not taken for a share', () => {
  const share = new GuiltyShare();
  share.add(10, 1);
  expect(share.partsFor(500)).toBe(1);
  for (let i = 0; i < 100; i += 1) share.add(99, 1);
  // √(54 / 0.01) changes each.
  expect(share.partsFor(700)).toBe(10);
  for (let i = 0; i < 20; i += 1) share.add(0, 1_000);
  expect(share.partsFor(700)).toBeGreaterThan(70);
});

it('forgets: after as many good changes as it takes, stretches are whole again', () => {
  const share = new GuiltyShare();
  for (let i = 0; i < 100; i += 1) share.add(99, 1);
  let good = 0;
  for (; share.partsFor(700) > 1; good += 1_000) share.add(1_000, 0);
  expect(good).toBeLessThan(100_000);
  for (let i = 0; i < 40; i += 1) share.add(5_000, 0);
  expect(share.partsFor(1e9)).toBe(1);
});
