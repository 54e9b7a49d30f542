import { expect, it } from 'vitest';
import { breakerOpens, counted, noCounts } from './breaker.ts';

const limits = { maxRatio: 0.5, minRecords: 100 };

it('says nothing about too few records', () => {
  expect(breakerOpens(noCounts, { records: 99, deadLetters: 99 }, limits)).toBe(false);
  expect(breakerOpens(noCounts, { records: 100, deadLetters: 50 }, limits)).toBe(true);
  expect(breakerOpens(noCounts, { records: 100, deadLetters: 49 }, limits)).toBe(false);
});

it('lets every batch without a dead letter pass, so that a repaired cause closes it', () => {
  expect(breakerOpens({ records: 100, deadLetters: 100 }, { records: 1, deadLetters: 0 }, limits)).toBe(false);
});

it('a long healthy past does not hide that everything fails now', () => {
  let counts = noCounts;
  for (let i = 0; i < 10_000; i += 1) counts = counted(counts, { records: 1_000, deadLetters: 0 }, limits);
  let produced = 0;
  while (!breakerOpens(counts, { records: 10, deadLetters: 10 }, limits)) {
    counts = counted(counts, { records: 10, deadLetters: 10 }, limits);
    produced += 10;
  }
  expect(produced).toBeLessThan(1_500);
});
