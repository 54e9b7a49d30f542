import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { boundWithoutServer } from '../../../test/support/bound-table.ts';
import { column, scalar, tableOf } from '../../../test/support/door-rig.ts';
import { NOW_US } from '../../../test/support/two-sides.ts';
import { rowKey, type Cell } from '../../change/change-event.ts';
import { NEVER } from '../../change/write-time.ts';
import type { BoundTable } from '../../target/bound-table.ts';
import type { Observation } from '../../target/row-observation.ts';
import { follows } from './follow.ts';
import type { SourceImage } from './row-images.ts';

let bound: BoundTable;
beforeAll(async () => {
  bound = await boundWithoutServer(
    tableOf(
      'hot',
      [
        column('id', 'partition', scalar('int'), 'integer'),
        column('a', 'regular', scalar('text'), 'text'),
        column('b', 'regular', scalar('text'), 'text'),
      ],
      { rereads: { mode: 'apply', existenceChecks: true } },
    ),
  );
});

const KEY = rowKey(['1']);

type Cells = readonly [Cell | null, Cell | null];
/** Of a row at one moment: its cells, tombstones included, and the newest row tombstone. */
interface Moment {
  readonly cells: Cells;
  readonly deletedAt: bigint;
}

const write = fc.record({
  what: fc.constantFrom('both', 'a', 'b', 'a', 'b', 'empty a', 'delete'),
  value: fc.constantFrom('x', 'y', 'z'),
});

/** All moments of a row that is written at 10, 20, 30 … */
function momentsOf(writes: readonly { readonly what: string; readonly value: string }[]): readonly Moment[] {
  const first: Cell = { writeTime: 1n, value: 'first', expiry: null };
  const moments: Moment[] = [{ cells: [first, first], deletedAt: NEVER }];
  for (const [n, { what, value }] of writes.entries()) {
    const { cells, deletedAt } = moments.at(-1)!;
    const writeTime = BigInt(n + 1) * 10n;
    const cell: Cell = { writeTime, value, expiry: null };
    if (what === 'delete') moments.push({ cells: [null, null], deletedAt: writeTime });
    else if (what === 'empty a') moments.push({ cells: [{ ...cell, value: null }, cells[1]], deletedAt });
    else moments.push({ cells: [what === 'b' ? cells[0] : cell, what === 'a' ? cells[1] : cell], deletedAt });
  }
  return moments;
}

const isThere = ({ cells }: Moment): boolean => cells.some((cell) => cell?.value != null);
/** CQL shows no tombstones. */
const read = (moment: Moment): SourceImage =>
  isThere(moment) ? { cells: moment.cells.map((cell) => (cell?.value == null ? null : cell)) } : null;

function observe(moment: Moment, values?: readonly (string | null)[]): Observation {
  const { cells, deletedAt } = moment;
  return {
    key: KEY,
    row: isThere(moment)
      ? {
          state: { deletedAt: NEVER, marker: { writeTime: NEVER + 1n, expiry: NEVER }, cells },
          values: values ?? cells.map((cell) => cell?.value ?? null),
        }
      : null,
    memory: null,
    coveredAt: deletedAt,
  };
}

const history = fc
  .record({
    writes: fc.array(write, { minLength: 2, maxLength: 12 }),
    at: fc.array(fc.nat(100), { minLength: 3, maxLength: 3 }),
  })
  .map(({ writes, at }) => {
    const moments = momentsOf(writes);
    const [earlier = 0, target = 0, later = 0] = at.map((n) => n % moments.length).sort((left, right) => left - right);
    return { moments, earlier, target, later };
  });

describe('a row that never rests', () => {
  it('follows the source where the target was at any moment between the two reads, deletes and emptied columns aside', () => {
    fc.assert(
      fc.property(history, ({ moments, earlier, target, later }) => {
        const [from, seen, to] = [moments[earlier]!, moments[target]!, moments[later]!];
        fc.pre(moments.slice(earlier, later + 1).every(({ cells }) => cells.every((cell) => cell?.value != null)));
        expect(follows(bound, read(from), observe(seen), read(to), NOW_US)).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  it('does not follow where the target has not what the source had at the first read', () => {
    fc.assert(
      fc.property(history, ({ moments, earlier: target, target: earlier, later }) => {
        const [seen, from, to] = [moments[target]!, moments[earlier]!, moments[later]!];
        // Something that shows was written between the target's moment and the first read.
        const isBehind = from.cells.some(
          (cell, i) => cell?.value != null && (seen.cells[i]?.writeTime ?? NEVER) < cell.writeTime,
        );
        fc.pre(isBehind && isThere(seen));
        expect(follows(bound, read(from), observe(seen), read(to), NOW_US)).toBe(false);
      }),
      { numRuns: 2000 },
    );
  });

  it('does not follow where somebody changed a value by hand', () => {
    fc.assert(
      fc.property(history, fc.constantFrom(0, 1), ({ moments, earlier, target, later }, i) => {
        const [from, seen, to] = [moments[earlier]!, moments[target]!, moments[later]!];
        const time = seen.cells[i]?.writeTime;
        // Between two reads nobody knows the value; the next write of the stream replaces it.
        const isRead = [from, to].some(
          (moment) => moment.cells[i]?.writeTime === time && moment.cells[i]?.value != null,
        );
        fc.pre(isThere(seen) && isRead);
        const values = seen.cells.map((cell, at) => (at === i ? 'by hand' : (cell?.value ?? null)));
        expect(follows(bound, read(from), observe(seen, values), read(to), NOW_US)).toBe(false);
      }),
      { numRuns: 2000 },
    );
  });

  it('takes a tombstone between what the reads found for the delete that it is, and no older one', () => {
    const at = (time: bigint, deletedAt = NEVER): Moment => {
      const cell = { writeTime: time, value: 'x', expiry: null };
      return { cells: [cell, cell], deletedAt };
    };
    const gone = (deletedAt: bigint): Moment => ({ cells: [null, null], deletedAt });
    const seen = (target: Moment, from: Moment, to: Moment): boolean =>
      follows(bound, read(from), observe(target), read(to), NOW_US);
    expect(seen(gone(25n), at(20n), at(30n))).toBe(true);
    expect(seen(gone(25n), at(20n), gone(25n))).toBe(true);
    expect(seen(gone(15n), at(20n), at(30n))).toBe(false);
    expect(seen(gone(35n), at(20n), at(30n))).toBe(false);
    expect(seen(at(10n), gone(15n), at(30n))).toBe(false);
  });
});
