import fc from 'fast-check';
import { expect, it } from 'vitest';
import { rowKey } from '../../change/change-event.ts';
import type { BoundTable } from '../../target/bound-table.ts';
import { partsOf, scanPart, totalsOfParts, type PartPlan, type PartResult } from './scan-part.ts';
import { MAX_SUSPECTS } from './scan-totals.ts';

const SIGNAL = new AbortController().signal;
const request = { sampleRows: 25_000, estimatedRows: 200_000, random: () => 0.25 };
const result = (more: Partial<PartResult> = {}): PartResult => ({
  source_rows: 2,
  target_rows: 2,
  compared: 2,
  partitions: 1,
  unreadable: 0,
  source_digest: '2:00000000000000ff:8000000000000001',
  target_digest: '2:00000000000000ff:8000000000000001',
  suspects: [],
  not_followed: 0,
  unread: [],
  generation: '3',
  ...more,
});
const plan: PartPlan = { kind: 'range', after: '0', up_to: '9' };
const scanned = (more: Partial<PartResult> = {}) => ({ plan, result: result(more), reason: null });

it('the ranges of a run cover the ring, each token once', () => {
  const parts = partsOf({ ...request, strategy: 'CHECKSUM', estimatedRows: 3_000_000 }) as Extract<
    PartPlan,
    { kind: 'range' }
  >[];
  expect(parts).toHaveLength(60);
  for (const [i, part] of parts.entries()) expect(part.after).toBe(i === 0 ? part.after : parts[i - 1]!.up_to);
  expect(parts.at(-1)!.up_to).toBe(String(2n ** 63n - 1n));
});

it('the parts of a sample share its rows, and no two of them an arc', async () => {
  const parts = partsOf({ ...request, strategy: 'SAMPLE' });
  expect(parts.map((part) => (part.kind === 'sample' ? [part.part, part.of, part.rows] : []))).toEqual([
    [0, 3, 8334],
    [1, 3, 8334],
    [2, 3, 8334],
  ]);
  const seen = new Set<string>();
  for (const plan of parts) {
    const table = { generation: '1', keys: [], regular: [] } as unknown as BoundTable;
    const sides = {
      table,
      nowUs: () => 0n,
      readSource: () => Promise.resolve([]),
      scanSource: async function* (range: { after: bigint; upTo: bigint }) {
        expect(seen.has(String(range.after))).toBe(false);
        seen.add(String(range.after));
        yield await Promise.resolve({ rows: [], unreadable: [], upTo: range.upTo, whole: true });
      },
      target: {
        range: async function* () {
          yield await Promise.resolve([]);
        },
        byKeys: () => Promise.resolve([]),
      },
    };
    const shown = await scanPart(sides, plan, { values: true, writtenUs: null }, SIGNAL);
    expect(shown.compared).toBe(0);
  }
  // Nothing was compared, so every part has gone over all of its arcs.
  expect(seen.size).toBe((parts[0] as { arcs: number }).arcs);
});

it('what is not scanned is a hole, whatever the rest has shown', () => {
  const ended = fc.array(fc.record({ hole: fc.boolean(), rows: fc.nat(9) }), { minLength: 1, maxLength: 9 });
  fc.assert(
    fc.property(ended, (parts) => {
      const totals = totalsOfParts(
        parts.map(({ hole, rows }) => (hole ? { plan, result: null, reason: 'gone' } : scanned({ source_rows: rows }))),
      );
      const holes = parts.filter(({ hole }) => hole).length;
      expect(totals.rangesDue).toBe(parts.length);
      expect(totals.rangesScanned).toBe(parts.length - holes);
      expect(totals.notChecked.every(({ reason }) => reason === 'gone')).toBe(true);
      expect(totals.notChecked.length > 0).toBe(holes > 0);
      expect(totals.sourceRows).toBe(parts.reduce((sum, { hole, rows }) => sum + (hole ? 0 : rows), 0));
    }),
  );
});

it('ranges that were compared with other columns prove nothing together', () => {
  const totals = totalsOfParts([scanned(), scanned({ generation: '4' })]);
  expect([totals.rangesScanned, totals.notChecked.map(({ reason }) => reason)]).toEqual([
    0,
    ['the columns of the table changed between ranges'],
  ]);
});

it('a part of which something was passed over is not scanned whole', () => {
  const totals = totalsOfParts([scanned(), scanned({ unread: [{ where: 'a partition', reason: 'tombstones' }] })]);
  expect([totals.rangesScanned, totals.sourceRows]).toEqual([1, 4]);
  expect(totals.notChecked).toEqual([{ where: 'a partition', reason: 'tombstones' }]);
});

it('digests add up over parts, and suspects are followed up to their limit', () => {
  const many = Array.from({ length: MAX_SUSPECTS }, (_, i) => rowKey([String(i)]).text);
  const totals = totalsOfParts([
    scanned({ suspects: many }),
    scanned({ suspects: ['["x"]', many[0]!], not_followed: 7 }),
  ]);
  expect(totals.suspects).toHaveLength(MAX_SUSPECTS);
  expect(totals.notFollowed).toBe(8);
  expect(totals.sourceDigest).toEqual({ count: 4n, sums: [510n, 2n] });
});
