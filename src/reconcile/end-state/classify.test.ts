import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Cell, Marker } from '../../change/change-event.ts';
import { NEVER } from '../../change/write-time.ts';
import type { BoundTable } from '../../target/bound-table.ts';
import { boundWithoutServer } from '../../../test/support/bound-table.ts';
import { column, scalar, tableOf } from '../../../test/support/door-rig.ts';
import { NOW_US } from '../../../test/support/two-sides.ts';
import { classify, type Classification } from './classify.ts';
import { compareRows, EXPIRY_TOLERANCE_US } from './compare-rows.ts';
import type { SourceImage, TargetImage } from './row-images.ts';

const table = tableOf(
  'classified',
  [
    column('id', 'partition', scalar('int'), 'integer'),
    column('v', 'regular', scalar('text'), 'text'),
    column('n', 'regular', scalar('int'), 'integer'),
    column('tags', 'regular', { kind: 'set', element: scalar('text'), frozen: false }, 'jsonb'),
  ],
  { rereads: { mode: 'apply', existenceChecks: true } },
);
let bound: BoundTable;
beforeAll(async () => {
  bound = await boundWithoutServer(table);
});

const LATER = NOW_US + 3_600_000_000n;
const live = (value: string | null, writeTime: bigint, expiry: bigint | null = null): Cell => ({
  value,
  writeTime,
  expiry,
});
const source = (...cells: readonly (Cell | null)[]): SourceImage => ({
  cells: [...cells, null, null, null].slice(0, 3),
});
function target(
  marker: Marker | null,
  cells: readonly (Cell | null)[],
  values?: readonly (string | null)[],
): TargetImage {
  const all = [...cells, null, null, null].slice(0, 3);
  return {
    state: { deletedAt: NEVER, marker, cells: all },
    values: values ?? all.map((cell) => cell?.value ?? null),
  };
}
const lasting: Marker = { writeTime: 5n, expiry: null };

function judged(left: SourceImage, right: TargetImage, coveredAt = NEVER): Classification | null {
  const difference = compareRows(bound, left, right, NOW_US);
  return difference === null ? null : classify(bound, difference, left, right, coveredAt, NOW_US);
}

it('of static columns nothing is missed, because no event tells of them; what was written by hand stays that', async () => {
  const statics = await boundWithoutServer({ ...table, ofStatics: true });
  const causeOf = (left: SourceImage, right: TargetImage): string | undefined => {
    const difference = compareRows(statics, left, right, NOW_US);
    return difference === null ? undefined : classify(statics, difference, left, right, NEVER, NOW_US).cause;
  };
  expect(causeOf(source(live('x', 5n)), null)).toBe('uncaptured');
  expect(causeOf(null, target(lasting, [live('x', 5n)]))).toBe('uncaptured');
  expect(causeOf(source(live('y', 6n)), target(lasting, [live('x', 5n)]))).toBe('uncaptured');
  expect(causeOf(source(live('x', 5n)), target(lasting, [live('x', 5n)], ['z', null, null]))).toBe('rogue-update');
  expect(causeOf(source(live('x', 5n)), target(lasting, [live('y', 5n)]))).toBe('rogue-update');
});

describe('what counts as equal', () => {
  it.each<[string, SourceImage, TargetImage]>([
    ['an equal value with a higher target version', source(live('x', 5n)), target(lasting, [live('x', 900n)])],
    ['an equal value with a lower target version', source(live('x', 5n)), target(lasting, [live('x', 1n)])],
    ['no row on either side', null, null],
    ['a row that expired and waits for its sweep', null, target(null, [live('x', 5n, NOW_US - 1n)])],
    ['an expired value that the source does not show', source(), target(lasting, [live('x', 5n, NOW_US)])],
    ['a swept value', source(), target(lasting, [live(null, 5n, NOW_US - 9n)])],
    [
      'an expiry within the tolerance',
      source(live('x', 5n, LATER)),
      target(lasting, [live('x', 5n, LATER + EXPIRY_TOLERANCE_US)]),
    ],
    ['a value that is about to go', source(live('x', 5n, NOW_US + EXPIRY_TOLERANCE_US)), target(lasting, [])],
    ['a row that is about to go', source(live('x', 5n, NOW_US + 1n)), null],
    ['a row that is still there for a moment', null, target(null, [live('x', 5n, NOW_US + EXPIRY_TOLERANCE_US)])],
    [
      'a set whose elements expire one by one',
      source(null, null, live('["a"]', 5n, LATER)),
      target(lasting, [null, null, { ...live('["a"]', 5n), sequence: 3n }]),
    ],
  ])('%s', (_, left, right) => {
    expect(compareRows(bound, left, right, NOW_US)).toBeNull();
  });
});

describe('a difference is named by its write times', () => {
  const row = source(live('x', 50n));
  it.each<[string, SourceImage, TargetImage, bigint, string, string]>([
    ['nothing in the target', row, null, NEVER, 'MISSING_IN_POSTGRES', 'missed-insert'],
    ['a tombstone above it', row, null, 50n, 'MISSING_IN_POSTGRES', 'covered'],
    ['a tombstone below it', row, null, 49n, 'MISSING_IN_POSTGRES', 'missed-insert'],
    ['a row of key columns only', source(), null, 60n, 'MISSING_IN_POSTGRES', 'missed-insert'],
    [
      'a row that changes wrote',
      null,
      target(lasting, [live('x', 5n)]),
      NEVER,
      'MISSING_IN_CASSANDRA',
      'missed-delete',
    ],
    [
      'a row that no change wrote',
      null,
      target(null, [], ['x', null, null]),
      NEVER,
      'MISSING_IN_CASSANDRA',
      'rogue-insert',
    ],
    ['an empty row that no change wrote', null, target(null, []), NEVER, 'MISSING_IN_CASSANDRA', 'rogue-insert'],
    [
      'a row that goes within a minute',
      null,
      target({ writeTime: 5n, expiry: NOW_US + 30_000_000n }, [live('x', 5n, NOW_US + 30_000_000n)]),
      NEVER,
      'MISSING_IN_CASSANDRA',
      'expired',
    ],
    ['an older write', row, target(lasting, [live('y', 49n)]), NEVER, 'DATA_MISMATCH', 'missed-update'],
    ['no value', row, target(lasting, []), NEVER, 'DATA_MISMATCH', 'missed-update'],
    [
      'a value whose cell is gone',
      source(),
      target(lasting, [live('y', 49n)]),
      NEVER,
      'DATA_MISMATCH',
      'missed-update',
    ],
    ['the same write, another value', row, target(lasting, [live('y', 50n)]), NEVER, 'DATA_MISMATCH', 'rogue-update'],
    ['a value emptied by hand', row, target(lasting, [live(null, 50n)]), NEVER, 'DATA_MISMATCH', 'rogue-update'],
    [
      'a value that no change wrote',
      row,
      target(lasting, [null], ['y', null, null]),
      NEVER,
      'DATA_MISMATCH',
      'rogue-update',
    ],
    ['a newer write', row, target(lasting, [live('y', 51n)]), NEVER, 'DATA_MISMATCH', 'target-ahead'],
    ['a later tombstone', row, target(lasting, [live(null, 51n)]), NEVER, 'DATA_MISMATCH', 'target-ahead'],
    [
      'the same write that stays',
      source(live('x', 50n, LATER)),
      target(lasting, [live('x', 50n)]),
      NEVER,
      'DATA_MISMATCH',
      'expiry',
    ],
    [
      'text in a number',
      source(null, live('7', 5n)),
      target(lasting, [null, live('seven', 5n)]),
      NEVER,
      'DATA_MISMATCH',
      'corrupt',
    ],
    [
      'U+0000',
      source(live('a\0b', 50n)),
      target(lasting, [live('y', 49n)]),
      NEVER,
      'DATA_MISMATCH',
      'not-representable',
    ],
  ])('%s', (_, left, right, coveredAt, type, cause) => {
    expect(judged(left, right, coveredAt)).toMatchObject({ type, cause });
  });

  it('with the columns that differ, and the worst of their causes', () => {
    const found = judged(source(live('x', 50n), live('1', 50n)), target(lasting, [live('y', 50n), live('2', 40n)]));
    expect(found).toEqual({ type: 'DATA_MISMATCH', cause: 'rogue-update', columns: ['v', 'n'] });
  });
});

describe('whatever both sides hold', () => {
  const cell = fc.option(
    fc.record({
      writeTime: fc.bigInt({ min: 1n, max: 3n }),
      value: fc.constantFrom('1', '2', null),
      expiry: fc.constantFrom(null, NOW_US - 1n, NOW_US + 1n, LATER),
    }),
    { nil: null },
  );
  const cells = fc.tuple(cell, cell, fc.constant(null));
  const marker = fc.constantFrom<Marker | null>(null, lasting, { writeTime: 5n, expiry: NOW_US });

  it('the type follows from which side shows the row, and a row that equals itself is no difference', () => {
    fc.assert(
      fc.property(fc.option(cells, { nil: null }), fc.option(fc.tuple(marker, cells), { nil: null }), (left, right) => {
        const leftRow = left === null ? null : { cells: left };
        const rightRow = right === null ? null : target(right[0], right[1]);
        const found = judged(leftRow, rightRow);
        if (found !== null) {
          const expected = {
            MISSING_IN_POSTGRES: [true, false],
            MISSING_IN_CASSANDRA: [false, true],
            DATA_MISMATCH: [true, true],
          };
          const [inSource, mayBeInTarget] = expected[found.type];
          expect(leftRow !== null).toBe(inSource);
          if (mayBeInTarget === true) expect(rightRow).not.toBeNull();
          expect(found.columns.length > 0).toBe(found.type === 'DATA_MISMATCH');
        }
        if (left !== null) expect(compareRows(bound, { cells: left }, target(lasting, left), NOW_US)).toBeNull();
      }),
      { numRuns: 3000 },
    );
  });
});
