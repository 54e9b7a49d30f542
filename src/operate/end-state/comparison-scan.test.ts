import { expect, it } from 'vitest';
import { FakeScan, scanTable, uncuttableTable, type FakeRow } from '../../../test/support/scan-fake.ts';
import { WHOLE_RING } from '../../change/token-range.ts';
import { RateLimit } from '../connect/rate-limit.ts';
import { comparisonScan } from './comparison-scan.ts';

const rows = Array.from({ length: 2_000 }, (_, i): FakeRow => ({ token: 5n, p: 1, up: i, down: 0 }));

async function scanned(perSecond: number | null, pageMs: number): Promise<{ rows: number; ms: number }> {
  let nowMs = 0;
  const pacing = {
    elapsedMs: () => nowMs,
    pause: (ms: number) => {
      nowMs += ms;
      return Promise.resolve();
    },
  };
  const fake = new FakeScan({
    rows,
    beforePage: () => {
      nowMs += pageMs;
    },
  });
  let found = 0;
  const scan = comparisonScan(fake, scanTable, new RateLimit(pacing, perSecond), pacing);
  for await (const page of scan(WHOLE_RING, new AbortController().signal)) found += page.rows.length;
  return { rows: found, ms: nowMs };
}

it('keeps to its rate', async () => {
  expect(await scanned(null, 0)).toEqual({ rows: 2_000, ms: 0 });
  const slow = await scanned(500, 0);
  expect(slow.rows).toBe(2_000);
  // The last page owes nothing to what comes behind it.
  expect(slow.ms).toBeGreaterThanOrEqual(2_000);
  expect(slow.ms).toBeLessThanOrEqual(4_000);
});

it('rests as long as a slow page took', async () => {
  const quick = await scanned(null, 100);
  const slow = await scanned(null, 1_500);
  expect(quick.ms % 100).toBe(0);
  expect(slow.ms / 3_000).toBeGreaterThan((quick.ms / 100) * 0.9);
});

it('begins a range with the size of page that the ranges before it have found', async () => {
  const fake = new FakeScan({ rows });
  const pacing = { elapsedMs: () => 0, pause: () => Promise.resolve() };
  const scan = comparisonScan(fake, scanTable, new RateLimit(pacing, null), pacing);
  const firstPage = async (): Promise<number | undefined> => {
    const before = fake.pageRows.length;
    let found = 0;
    for await (const page of scan({ after: 4n, upTo: 5n }, new AbortController().signal)) found += page.rows.length;
    expect(found).toBe(rows.length);
    return fake.pageRows[before];
  };
  const first = await firstPage();
  const last = fake.pageRows.at(-1);
  expect(last).toBeGreaterThan(first ?? 0);
  expect(await firstPage()).toBe(last);
});

it('goes by its own pages where they fail: what is scanned beside it has others', async () => {
  // Of a page of more than one row the source refuses to pass the tombstones of it.
  const LIVE = 31;
  const partitions = [10n, 20n, 30n].flatMap((token, i) =>
    Array.from({ length: LIVE * 61 }, (_, n): FakeRow => ({ token, p: i, up: n, down: 0, isTombstone: n % 61 !== 60 })),
  );
  const fake = new FakeScan({ rows: partitions, tombstones: 100 });
  const pacing = { elapsedMs: () => 0, pause: () => Promise.resolve() };
  const scan = comparisonScan(fake, uncuttableTable, new RateLimit(pacing, null), pacing);
  const scannedRange = async (after: bigint): Promise<{ rows: number; unread: number }> => {
    let [found, unread] = [0, 0];
    for await (const page of scan({ after, upTo: after + 10n }, new AbortController().signal)) {
      found += page.rows.length;
      unread += page.unread?.length ?? 0;
    }
    return { rows: found, unread };
  };
  const atOnce = await Promise.all([0n, 10n, 20n].map(scannedRange));
  expect(atOnce).toEqual(Array.from({ length: 3 }, () => ({ rows: LIVE, unread: 0 })));
});
