import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ChangeEvent, RowDelete, RowWrite } from './change-event.ts';
import { rowKey } from './change-event.ts';
import { fold } from './fold.ts';
import {
  cover,
  emptyRow,
  isAlive,
  mergeRows,
  replaces,
  stateOf,
  sweep,
  type RowState,
  type ValueOrder,
} from './row-state.ts';

const COLUMNS = 3;
const byText: ValueOrder = (left, right) => (left < right ? -1 : left > right ? 1 : 0);
const orders = [byText, byText, byText];
const KEY = rowKey(['1']);

// Few times and few values, so that ties of every kind are frequent.
const time = fc.bigInt({ min: -2n, max: 3n });
const expiry = fc.option(fc.bigInt({ min: 1n, max: 3n }), { nil: null });
const cell = fc.record({ writeTime: time, value: fc.option(fc.constantFrom('a', 'b', 'c'), { nil: null }), expiry });
const write: fc.Arbitrary<RowWrite> = fc
  .record({
    writeTime: time,
    marker: fc.option(fc.record({ writeTime: time, expiry }), { nil: null }),
    cells: fc.array(fc.option(cell, { nil: null }), { minLength: COLUMNS, maxLength: COLUMNS }),
  })
  .map((fields) => ({ kind: 'write', table: 'k.t', key: KEY, ambiguity: null, ...fields }));
const rowDelete: fc.Arbitrary<RowDelete> = time.map((writeTime) => ({
  kind: 'row-delete',
  table: 'k.t',
  key: KEY,
  ambiguity: null,
  writeTime,
}));
const change: fc.Arbitrary<RowWrite | RowDelete> = fc.oneof({ weight: 4, arbitrary: write }, rowDelete);
const state: fc.Arbitrary<RowState> = fc
  .array(change, { maxLength: 4 })
  .map((changes) =>
    changes.reduce<RowState>((row, next) => mergeRows(row, stateOf(next, COLUMNS), orders), emptyRow(COLUMNS)),
  );

/** Swept cells tie with the value they were swept from; such pairs are told apart by bytes that one of them lost. */
const unswept = state.filter((row) => row.cells.every((entry) => entry?.value != null || entry?.expiry == null));

describe('merge of row states', () => {
  it('is commutative', () => {
    fc.assert(
      fc.property(unswept, unswept, (a, b) => {
        expect(mergeRows(a, b, orders)).toEqual(mergeRows(b, a, orders));
      }),
    );
  });

  it('is associative', () => {
    fc.assert(
      fc.property(unswept, unswept, unswept, (a, b, c) => {
        const left = mergeRows(mergeRows(a, b, orders), c, orders);
        expect(left).toEqual(mergeRows(a, mergeRows(b, c, orders), orders));
      }),
    );
  });

  it('is idempotent', () => {
    fc.assert(
      fc.property(state, (a) => {
        expect(mergeRows(a, a, orders)).toEqual(a);
      }),
    );
  });

  it('gives the same visible row whether expired values were swept before or after the merge', () => {
    fc.assert(
      fc.property(unswept, unswept, fc.bigInt({ min: 0n, max: 4n }), (a, b, now) => {
        const early = sweep(mergeRows(sweep(a, now), sweep(b, now), orders), now);
        expect(early).toEqual(sweep(mergeRows(a, b, orders), now));
      }),
    );
  });

  it('keeps nothing that its tombstone covers', () => {
    fc.assert(
      fc.property(state, time, (row, deletedAt) => {
        const covered = cover(row, deletedAt);
        expect(covered.marker === null || covered.marker.writeTime > covered.deletedAt).toBe(true);
        expect(covered.cells.every((entry) => entry === null || entry.writeTime > covered.deletedAt)).toBe(true);
      }),
    );
  });
});

describe('fold of a batch', () => {
  it('is the merge of its changes in any order with any duplicates', () => {
    const shuffled = fc
      .array(
        change.filter(
          (entry) => entry.kind === 'row-delete' || entry.cells.every((c) => c?.value != null || c?.expiry == null),
        ),
        { minLength: 1, maxLength: 8 },
      )
      .chain((changes) =>
        fc
          .tuple(
            fc.shuffledSubarray(changes, { minLength: changes.length, maxLength: changes.length }),
            fc.subarray(changes),
          )
          .map(([order, again]) => ({ changes, delivered: [...order, ...again] })),
      );
    fc.assert(
      fc.property(shuffled, ({ changes, delivered }) => {
        const inOrder = changes.reduce<RowState>(
          (row, next) => mergeRows(row, stateOf(next, COLUMNS), orders),
          emptyRow(COLUMNS),
        );
        expect(fold(delivered as ChangeEvent[], orders).rows.get(KEY.text)?.state).toEqual(
          // The fold of a first write keeps what no tombstone has covered yet: the same normal form.
          inOrder,
        );
      }),
    );
  });

  it('leaves the events it was given untouched', () => {
    fc.assert(
      fc.property(fc.array(change, { minLength: 2, maxLength: 4 }), (changes) => {
        const before = structuredClone(changes);
        fold(changes, orders);
        expect(changes).toEqual(before);
      }),
    );
  });
});

describe('the tie rule at equal write times', () => {
  const live = (value: string) => ({ writeTime: 5n, value, expiry: null });
  const expiring = (value: string, at: bigint) => ({ writeTime: 5n, value, expiry: at });
  const tombstone = { writeTime: 5n, value: null, expiry: null };

  it('prefers a tombstone to an expiring value, and that to a live one (observed: aaa with TTL beats zzz)', () => {
    expect(replaces(tombstone, expiring('z', 9n), byText)).toBe(true);
    expect(replaces(expiring('z', 9n), tombstone, byText)).toBe(false);
    expect(replaces(expiring('aaa', 9n), live('zzz'), byText)).toBe(true);
  });

  it('prefers the later expiry, whatever the value', () => {
    expect(replaces(expiring('a', 10n), expiring('z', 9n), byText)).toBe(true);
  });

  it('lets a swept value stand where its own original comes again ⚠', () => {
    const swept = { writeTime: 5n, value: null, expiry: 9n };
    expect(replaces(expiring('z', 9n), swept, byText)).toBe(false);
    // A clock-reading merge would call the swept cell a tombstone and refuse a later expiry of the same time.
    expect(replaces(expiring('z', 10n), swept, byText)).toBe(true);
  });
});

describe('existence of a row', () => {
  it('ends with its last living cell where no marker was written', () => {
    const row = stateOf(
      {
        kind: 'write',
        table: 'k.t',
        key: KEY,
        ambiguity: null,
        writeTime: 1n,
        marker: null,
        cells: [{ writeTime: 1n, value: 'a', expiry: null }, null, null],
      },
      COLUMNS,
    );
    expect(isAlive(row, 0n)).toBe(true);
    const emptied = mergeRows(
      row,
      { ...emptyRow(COLUMNS), cells: [{ writeTime: 2n, value: null, expiry: null }, null, null] },
      orders,
    );
    expect(isAlive(emptied, 0n)).toBe(false);
  });
});
