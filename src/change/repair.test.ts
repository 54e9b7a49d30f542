import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cover, isAlive, isVisible, mergeRows, type RowState } from './row-state.ts';
import { planRepair, type ObservedRow } from './repair.ts';
import { INT64_MAX, NEVER } from './write-time.ts';
import type { Cell, Marker } from './change-event.ts';

const NOW = 1_000n;
const orders = [0, 0].map(() => (left: string, right: string) => (left < right ? -1 : left > right ? 1 : 0));
const cell: fc.Arbitrary<Cell | null> = fc.option(
  fc.record({
    writeTime: fc.bigInt({ min: 1n, max: 8n }),
    value: fc.constantFrom('a', 'b', null),
    expiry: fc.constantFrom(null, 5_000n),
  }),
  { nil: null },
);
const marker: fc.Arbitrary<Marker | null> = fc.option(
  fc.record({ writeTime: fc.bigInt({ min: 1n, max: 8n }), expiry: fc.constant(null) }),
  { nil: null },
);
const state = fc.record({ deletedAt: fc.constant(NEVER), marker, cells: fc.tuple(cell, cell) });
const wanted = fc.option(
  fc.tuple(cell, cell).map(([a, b]) => ({ cells: [a, b].map((each) => (each?.value == null ? null : each)) })),
  { nil: null },
);
const observed: fc.Arbitrary<ObservedRow> = fc
  .record({
    row: fc.option(state, { nil: null }),
    memory: fc.option(state, { nil: null }),
    at: fc.bigInt({ min: 0n, max: 9n }),
  })
  .map(({ row, memory, at }) => {
    const coveredAt = at === 0n ? NEVER : at;
    // What a tombstone covers is not kept, and only living rows stand in the target.
    const kept = row === null ? null : { ...cover(row, coveredAt), deletedAt: NEVER };
    const alive = kept !== null && isAlive(kept, NOW) ? kept : null;
    const gone = memory === null || alive !== null ? null : { ...cover(memory, coveredAt), deletedAt: NEVER };
    return {
      state: alive,
      unversioned: [false, false],
      memory: gone === null || isAlive(gone, NOW) ? null : gone,
      coveredAt,
    };
  });

const shows = (row: RowState | null): readonly (string | null)[] | null =>
  row === null || !isAlive(row, NOW) ? null : row.cells.map((each) => (isVisible(each, NOW) ? each!.value : null));

function repair(
  row: ObservedRow,
  target: { readonly cells: readonly (Cell | null)[] } | null,
): RowState | null | 'exhausted' {
  const differs = [0, 1].map((i) => {
    const stored = row.state?.cells[i] ?? null;
    const cellWanted = target?.cells[i] ?? null;
    return stored?.value !== cellWanted?.value || stored?.expiry !== cellWanted?.expiry;
  });
  const plan = planRepair({
    observed: row,
    wanted: target,
    differs,
    multiCell: [false, false],
    sequence: 1n,
    nowUs: NOW,
  });
  switch (plan.kind) {
    case 'write':
      return plan.state;
    case 'remove':
      return { deletedAt: plan.deletedAt, marker: null, cells: [null, null] };
    case 'nothing':
      return row.state;
    case 'exhausted':
      return 'exhausted';
  }
}

describe('a repair', () => {
  it('shows what is wanted', () => {
    fc.assert(
      fc.property(observed, wanted, (row, target) => {
        const after = repair(row, target);
        const expected = target === null ? null : target.cells.map((each) => each?.value ?? null);
        expect(after === 'exhausted' ? after : shows(after)).toEqual(expected);
      }),
      { numRuns: 3000 },
    );
  });

  it('is not undone by anything that had been merged before it: no duplicate, no tombstone in force', () => {
    fc.assert(
      fc.property(observed, wanted, (row, target) => {
        const after = repair(row, target);
        if (after === 'exhausted' || after === null) return;
        const observedBefore = row.state ?? row.memory;
        // Of one write time the source has one write: where the target shows another value, it was spoilt on its way.
        const before: RowState | null = observedBefore && {
          ...observedBefore,
          cells: observedBefore.cells.map((each, i) => {
            const asked = target?.cells[i] ?? null;
            return asked !== null && each?.writeTime === asked.writeTime ? asked : each;
          }),
        };
        const again = before === null ? after : mergeRows(after, before, orders);
        expect(shows(cover(again, row.coveredAt))).toEqual(shows(after));
      }),
      { numRuns: 3000 },
    );
  });

  it('yields to a change that is newer than everything it met', () => {
    fc.assert(
      fc.property(observed, wanted, (row, target) => {
        const after = repair(row, target);
        if (after === 'exhausted' || after === null) return;
        const write: RowState = {
          deletedAt: NEVER,
          marker: { writeTime: 100n, expiry: null },
          cells: [{ writeTime: 100n, value: 'new', expiry: null }, null],
        };
        expect(shows(mergeRows(after, write, orders))?.[0]).toBe('new');
      }),
    );
  });

  it('leaves cells alone that show what is wanted', () => {
    fc.assert(
      fc.property(observed, wanted, (row, target) => {
        const after = repair(row, target);
        if (row.state === null || target === null || after === 'exhausted' || after === null) return;
        for (const [i, stored] of row.state.cells.entries()) {
          const asked = target.cells[i] ?? null;
          if (stored?.value === asked?.value && stored?.expiry === asked?.expiry) expect(after.cells[i]).toBe(stored);
        }
      }),
    );
  });

  it('is undone by the same operation with the images exchanged', () => {
    fc.assert(
      fc.property(observed, wanted, (row, target) => {
        const after = repair(row, target);
        if (after === 'exhausted' || after === null) return;
        const now: ObservedRow =
          target === null
            ? {
                state: null,
                unversioned: [],
                memory: null,
                coveredAt: after.deletedAt > row.coveredAt ? after.deletedAt : row.coveredAt,
              }
            : { ...row, state: after, memory: null };
        const restored = repair(now, row.state);
        expect(restored === 'exhausted' ? restored : shows(restored)).toEqual(shows(row.state));
      }),
      { numRuns: 3000 },
    );
  });
});

describe('versions', () => {
  const at = (writeTime: bigint, value: string | null): Cell => ({ writeTime, value, expiry: null });
  const lasting: Marker = { writeTime: 1n, expiry: null };
  const one = (stored: Cell | null, asked: Cell | null, coveredAt = NEVER): bigint | undefined => {
    const row: ObservedRow = {
      state: { deletedAt: NEVER, marker: lasting, cells: [stored, null] },
      unversioned: [false, false],
      memory: null,
      coveredAt,
    };
    const after = repair(row, { cells: [asked, null] });
    return after === 'exhausted' || after === null ? undefined : after.cells[0]?.writeTime;
  };

  it('are the source’s where it is the same write or a newer one, else one above what is in force', () => {
    expect(one(at(5n, 'spoilt'), at(5n, 'x'))).toBe(5n);
    expect(one(at(5n, 'old'), at(9n, 'x'))).toBe(9n);
    expect(one(at(9n, 'ahead'), at(5n, 'x'))).toBe(10n);
    expect(one(at(9n, null), at(5n, 'x'))).toBe(10n);
    expect(one(null, at(5n, 'x'), 7n)).toBe(8n);
    expect(one(at(9n, 'gone'), null)).toBe(9n);
  });

  it('that would have to be above the last of all times are left to a person', () => {
    expect(one(at(INT64_MAX, 'ahead'), at(5n, 'x'))).toBeUndefined();
    expect(one(at(INT64_MAX, 'spoilt'), at(INT64_MAX, 'x'))).toBe(INT64_MAX);
  });

  it('of a multi-cell column never fall, and the read decides', () => {
    const row: ObservedRow = {
      state: { deletedAt: NEVER, marker: lasting, cells: [{ ...at(9n, '["a"]'), sequence: 3n }] },
      unversioned: [false],
      memory: null,
      coveredAt: NEVER,
    };
    const request = { observed: row, differs: [true], multiCell: [true], sequence: 7n, nowUs: NOW };
    expect(planRepair({ ...request, wanted: { cells: [at(5n, '["b"]')] } })).toMatchObject({
      state: { cells: [{ writeTime: 9n, value: '["b"]', expiry: null, sequence: 7n }] },
    });
    expect(planRepair({ ...request, wanted: { cells: [null] } })).toMatchObject({
      state: { cells: [{ writeTime: 9n, value: null, sequence: 7n }] },
    });
  });
});

describe('a row that no change wrote', () => {
  const rogue: ObservedRow = {
    state: { deletedAt: NEVER, marker: null, cells: [null, null] },
    unversioned: [true, false],
    memory: null,
    coveredAt: NEVER,
  };
  it('goes without leaving a tombstone', () => {
    expect(
      planRepair({ observed: rogue, wanted: null, differs: [], multiCell: [false, false], sequence: 1n, nowUs: NOW }),
    ).toEqual({ kind: 'remove', deletedAt: NEVER });
  });

  it('takes the write times of the source, also where the value is the same', () => {
    const source = { cells: [{ writeTime: 5n, value: 'x', expiry: null }, null] };
    const plan = planRepair({
      observed: rogue,
      wanted: source,
      differs: [false, false],
      multiCell: [false, false],
      sequence: 1n,
      nowUs: NOW,
    });
    expect(plan).toMatchObject({ kind: 'write', state: { cells: [{ writeTime: 5n, value: 'x' }, null] } });
  });
});
