import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Cell } from './change-event.ts';
import { belowHorizon, reachesPurged, showsPurged } from './horizon.ts';
import { cover, emptyRow, isAlive, mergeRows, sweep, type RowState, type ValueOrder } from './row-state.ts';
import { NEVER } from './write-time.ts';

const orders: readonly ValueOrder[] = [(a, b) => (a < b ? -1 : 1), (a, b) => (a < b ? -1 : 1)];
const NOW = 100n;
const time = fc.bigInt({ min: 1n, max: 9n });
const cell = fc
  .record({
    writeTime: time,
    value: fc.option(fc.constantFrom('a', 'b'), { nil: null }),
    expiry: fc.option(fc.constantFrom(50n, 150n), { nil: null }),
  })
  .map((made): Cell => (made.value === null ? { ...made, expiry: null } : made));
const state: fc.Arbitrary<RowState> = fc
  .record({
    deletedAt: fc.oneof(fc.constant(NEVER), time),
    marker: fc.option(fc.record({ writeTime: time, expiry: fc.option(fc.constantFrom(50n, 150n), { nil: null }) }), {
      nil: null,
    }),
    cells: fc.tuple(fc.option(cell, { nil: null }), fc.option(cell, { nil: null })),
  })
  // Normal form: what the tombstone covers is not kept.
  .map((made) => cover({ ...made, deletedAt: NEVER }, made.deletedAt));
const visible = (row: RowState) => {
  const swept = sweep(row, NOW);
  return isAlive(swept, NOW) ? swept.cells.map((each) => each?.value ?? null) : null;
};
const live = (row: RowState): RowState => ({ ...row, deletedAt: NEVER });

describe('below the purged horizon', () => {
  it('whatever is let through shows what it would show had nothing been purged', () => {
    fc.assert(
      fc.property(state, state, (history, change) => {
        const incoming = live(change);
        const full = mergeRows(emptyRow(2), history, orders);
        // Purged: the tombstone, and all memory of a row that is gone.
        const gone = !isAlive(full, NOW);
        const times = [
          full.deletedAt,
          ...(gone ? [full.marker, ...full.cells].map((each) => each?.writeTime ?? NEVER) : []),
        ];
        const purgedUntil = times.reduce((newest, each) => (each > newest ? each : newest), NEVER);
        const before = gone ? emptyRow(2) : live(full);
        const after = mergeRows(before, incoming, orders);
        fc.pre(!showsPurged(before, incoming, after, purgedUntil, NOW));
        expect(visible(after)).toEqual(visible(mergeRows(full, incoming, orders)));
      }),
      { numRuns: 5_000 },
    );
  });

  it('nothing that is newer than what was purged is held back', () => {
    fc.assert(
      fc.property(state, state, (history, change) => {
        const before = live(mergeRows(emptyRow(2), history, orders));
        const incoming = live(change);
        fc.pre(!reachesPurged(incoming, 4n));
        expect(showsPurged(before, incoming, mergeRows(before, incoming, orders), 4n, NOW)).toBe(false);
      }),
    );
  });

  it('what is kept back for the source leaves nothing that shows, and takes nothing that removes', () => {
    fc.assert(
      fc.property(state, state, (known, change) => {
        const incoming = live(change);
        const { rest, columns, marker } = belowHorizon(incoming, 5n, NOW);
        expect(showsPurged(known, rest, mergeRows(known, rest, orders), 5n, NOW)).toBe(false);
        for (const [i, cell] of incoming.cells.entries()) {
          expect(columns.get(i)).toBe(rest.cells[i] === cell ? undefined : cell?.writeTime);
          if (cell?.value === null) expect(rest.cells[i]).toBe(cell);
        }
        expect(marker).toBe(rest.marker === incoming.marker ? null : incoming.marker?.writeTime);
      }),
    );
  });
});
