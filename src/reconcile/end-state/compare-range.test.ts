import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { rowKey } from '../../change/change-event.ts';
import { splitRing, WHOLE_RING, type TokenRange } from '../../change/token-range.ts';
import type { BoundTable } from '../../target/bound-table.ts';
import { boundWithoutServer } from '../../../test/support/bound-table.ts';
import {
  COMPARED,
  NOW_US,
  seen,
  sourcePages,
  targetOf,
  twoSides,
  type TwoSides,
} from '../../../test/support/two-sides.ts';
import { compareRange, type Depth, type RangeAccount } from './compare-range.ts';
import { addDigests, EMPTY_DIGEST, sameDigest } from './row-digest.ts';

let bound: BoundTable;
beforeAll(async () => {
  bound = await boundWithoutServer(COMPARED);
});

const SIGNAL = new AbortController().signal;
const CONTENT: Depth = { values: true, writtenUs: null };
type Cuts = readonly { readonly rows: number; readonly saysWhole: boolean }[];
const cuts: fc.Arbitrary<Cuts> = fc.array(
  fc.record({ rows: fc.integer({ min: 1, max: 5 }), saysWhole: fc.boolean() }),
  {
    minLength: 1,
    maxLength: 4,
  },
);

async function compare(
  { source, target }: TwoSides,
  range: TokenRange,
  how: { readonly cuts: Cuts; readonly maxHeldRows: number; readonly depth?: Depth },
): Promise<{ readonly account: RangeAccount; readonly suspects: readonly string[] }> {
  const suspects: string[] = [];
  const account = await compareRange(
    {
      table: bound,
      target: targetOf(target),
      scanSource: (part) => sourcePages(source, part, how.cuts),
      readSource: (keys) =>
        Promise.resolve(keys.map(({ text }) => source.find((row) => row.key.text === text) ?? null)),
      nowUs: () => NOW_US,
      maxHeldRows: how.maxHeldRows,
    },
    range,
    how.depth ?? CONTENT,
    ({ text }) => suspects.push(text),
    SIGNAL,
  );
  return { account, suspects };
}

function differing({ source, target }: TwoSides): string[] {
  const [left, right] = [seen(source), seen(target)];
  return [...new Set([...left.keys(), ...right.keys()])].filter((key) => left.get(key) !== right.get(key)).sort();
}

describe('comparing a range', () => {
  it('suspects exactly the rows that differ, however pages are cut and however large a partition is', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constant(null).chain(() => twoSides(bound, { partitions: 4, rows: 8 })),
        cuts,
        fc.integer({ min: 0, max: 12 }),
        fc.integer({ min: 1, max: 5 }),
        async (sides, pageCuts, maxHeldRows, parts) => {
          const expected = differing(sides);
          const found: string[] = [];
          let [source, target, sourceRows, targetRows] = [EMPTY_DIGEST, EMPTY_DIGEST, 0, 0];
          for (const range of splitRing(parts)) {
            const { account, suspects } = await compare(sides, range, { cuts: pageCuts, maxHeldRows });
            expect(account.suspects).toBe(suspects.length);
            found.push(...suspects);
            source = addDigests(source, account.sourceDigest);
            target = addDigests(target, account.targetDigest);
            sourceRows += account.sourceRows;
            targetRows += account.targetRows;
          }
          expect(found.sort()).toEqual(expected);
          expect([sourceRows, targetRows]).toEqual([sides.source.length, sides.target.length]);
          // The digests are an account of their own: they see whether rows differ, not which.
          expect(sameDigest(source, target)).toBe(
            JSON.stringify([...seenPlainly(sides.source)].sort()) ===
              JSON.stringify([...seenPlainly(sides.target)].sort()),
          );
        },
      ),
      { numRuns: 400 },
    );
  });

  it('of presence only sees missing and extra rows, and no value', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constant(null).chain(() => twoSides(bound, { partitions: 4, rows: 4 })),
        cuts,
        async (sides, pageCuts) => {
          const depth = { values: false, writtenUs: null };
          const { suspects } = await compare(sides, WHOLE_RING, { cuts: pageCuts, maxHeldRows: 3, depth });
          const [left, right] = [new Set(seen(sides.source).keys()), new Set(seen(sides.target).keys())];
          expect([...suspects].sort()).toEqual([...left.symmetricDifference(right)].sort());
        },
      ),
      { numRuns: 200 },
    );
  });

  it('of a span of write times compares the rows that either side wrote in it', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constant(null).chain(() => twoSides(bound, { partitions: 4, rows: 4 })),
        fc.tuple(fc.bigInt({ min: 0n, max: 5n }), fc.bigInt({ min: 0n, max: 5n })),
        async (sides, [from, to]) => {
          const depth = { values: true, writtenUs: { from, to } };
          const how = { cuts: [{ rows: 3, saysWhole: true }], maxHeldRows: 3, depth };
          const { suspects } = await compare(sides, WHOLE_RING, how);
          const touched = (key: string): boolean =>
            [
              ...(sides.source.find((row) => row.key.text === key)?.cells ?? []),
              ...sides.target
                .filter((row) => row.key.text === key)
                .flatMap(({ state }) => [...state.cells, state.marker]),
            ].some((entry) => entry !== null && entry.writeTime >= from && entry.writeTime < to);
          expect([...suspects].sort()).toEqual(differing(sides).filter(touched));
        },
      ),
      { numRuns: 200 },
    );
  });

  it('says nothing of a row that the source could not give exactly, and counts it', async () => {
    const [source] = fc.sample(twoSides(bound, { partitions: 2, rows: 2 }), { numRuns: 1, seed: 7 });
    const key = source!.target[0]?.key ?? source!.source[0]!.key;
    const target = source!.target.filter((row) => row.key.text === key.text);
    const suspects: string[] = [];
    const account = await compareRange(
      {
        table: bound,
        target: targetOf(target),
        scanSource: async function* () {
          const token = bound.tokenOf(key.values)!;
          yield await Promise.resolve({
            rows: [],
            unreadable: [{ key: rowKey(key.values), token }],
            upTo: token,
            whole: true,
          });
        },
        readSource: () => Promise.reject(new Error('not asked')),
        nowUs: () => NOW_US,
      },
      WHOLE_RING,
      CONTENT,
      ({ text }) => suspects.push(text),
      SIGNAL,
    );
    expect(suspects).toEqual([]);
    expect(account).toMatchObject({ unreadable: 1, compared: 0 });
  });
});

/** As the canonical encoding has it: an expiry is there or not. */
function seenPlainly(rows: TwoSides['source'] | TwoSides['target']): string[] {
  return [...seen(rows)].map(([key, shown]) => `${key} ${shown}`);
}
