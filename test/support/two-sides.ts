import fc from 'fast-check';
import { rowKey, type Cell } from '../../src/change/change-event.ts';
import { isVisible, type RowState } from '../../src/change/row-state.ts';
import type { TokenRange } from '../../src/change/token-range.ts';
import { NEVER } from '../../src/change/write-time.ts';
import type { BoundTable } from '../../src/target/bound-table.ts';
import type { TargetRow } from '../../src/target/scan/token-scan.ts';
import type { ScannedRow, SourcePage } from '../../src/reconcile/end-state/source-slices.ts';
import { column, scalar, tableOf } from './door-rig.ts';

/** A table with clustering columns, and rows of it on two sides, for what compares them. */
export const COMPARED = tableOf(
  'compared',
  [
    column('p', 'partition', scalar('int'), 'integer'),
    column('c', 'clustering', scalar('int'), 'integer'),
    column('a', 'regular', scalar('text'), 'text'),
    column('b', 'regular', scalar('int'), 'integer'),
  ],
  { rereads: { mode: 'apply', existenceChecks: true } },
);
export const NOW_US = 1_800_000_000_000_000n;

const cell = (values: readonly string[]): fc.Arbitrary<Cell | null> =>
  fc.option(
    fc.record({
      writeTime: fc.bigInt({ min: 1n, max: 4n }),
      value: fc.constantFrom(...values),
      // Far from now, so that no clock plays a part.
      expiry: fc.constantFrom(null, null, NOW_US + 3_600_000_000n),
    }),
    { nil: null },
  );

export interface TwoSides {
  readonly source: readonly ScannedRow[];
  readonly target: readonly TargetRow[];
}

/** Rows by key: what the source has of it and what the target has; mostly the same. */
export function twoSides(bound: BoundTable, size: { partitions: number; rows: number }): fc.Arbitrary<TwoSides> {
  const key = fc.tuple(fc.nat(size.partitions - 1), fc.nat(size.rows - 1));
  const cells = fc.tuple(cell(['x', 'y']), cell(['1', '2']));
  const row = fc.record({
    key,
    source: cells,
    target: cells,
    fate: fc.constantFrom('same', 'same', 'same', 'same', 'differ', 'only source', 'only target'),
  });
  return fc
    .uniqueArray(row, { selector: (each) => each.key.join(), maxLength: size.partitions * size.rows, minLength: 1 })
    .map((rows) => {
      const both = rows.map((each) => {
        const values = each.key.map(String);
        const token = bound.tokenOf(values) ?? NEVER;
        const stored = each.fate === 'differ' || each.fate === 'only target' ? each.target : each.source;
        const state: RowState = { deletedAt: NEVER, marker: { writeTime: 1n, expiry: null }, cells: stored };
        const target: TargetRow = {
          key: rowKey(values),
          token,
          state,
          values: stored.map((each) => each?.value ?? null),
        };
        return {
          source: each.fate === 'only target' ? null : { key: rowKey(values), token, cells: each.source },
          target: each.fate === 'only source' ? null : target,
        };
      });
      return {
        source: both.flatMap((each) => (each.source === null ? [] : [each.source])),
        target: both.flatMap((each) => (each.target === null ? [] : [each.target])),
      };
    });
}

const inRange = ({ token }: { readonly token: bigint | null }, { after, upTo }: TokenRange): boolean =>
  token !== null && token > after && token <= upTo;

/** Pages of the source, cut at the given places; rows of a partition stand in the order that they were given. */
export async function* sourcePages(
  rows: readonly ScannedRow[],
  range: TokenRange,
  cuts: readonly { readonly rows: number; readonly saysWhole: boolean }[],
): AsyncGenerator<SourcePage> {
  const sorted = rows
    .filter((row) => inRange(row, range))
    .sort((left, right) => (left.token < right.token ? -1 : left.token > right.token ? 1 : 0));
  let at = 0;
  for (let n = 0; at < sorted.length; n++) {
    const cut = cuts[n % cuts.length]!;
    const page = sorted.slice(at, at + cut.rows);
    at += page.length;
    const upTo = page.at(-1)!.token;
    yield await Promise.resolve({
      rows: page,
      unreadable: [],
      upTo,
      whole: cut.saysWhole && sorted[at]?.token !== upTo,
    });
  }
}

/** The target's side of `compareRange` over rows in memory, in pages of two. */
export function targetOf(rows: readonly TargetRow[]): {
  range: (range: TokenRange) => AsyncGenerator<readonly TargetRow[]>;
  byKeys: (keys: readonly { readonly text: string }[]) => Promise<readonly TargetRow[]>;
} {
  return {
    async *range(range) {
      const inside = rows.filter((row) => inRange(row, range));
      for (let at = 0; at < inside.length; at += 2) yield await Promise.resolve(inside.slice(at, at + 2));
    },
    byKeys: (keys) => Promise.resolve(rows.filter((row) => keys.some(({ text }) => text === row.key.text))),
  };
}

/** What a reader sees of a side, by key: the judge of what compares them, written without it. */
export function seen(rows: readonly (ScannedRow | TargetRow)[]): Map<string, string> {
  return new Map(
    rows.map((row) => {
      const cells = 'state' in row ? row.state.cells : row.cells;
      const shown = cells.map((each) =>
        isVisible(each, NOW_US) ? `${each?.value ?? ''} until ${each?.expiry ?? 'ever'}` : null,
      );
      return [row.key.text, JSON.stringify(shown)];
    }),
  );
}
