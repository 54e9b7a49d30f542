import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { column, scalar } from '../../test/support/door-rig.ts';
import { undecidedTie } from '../catalog/type-mapping.ts';
import { rowKey, type Cell, type ChangeEvent } from './change-event.ts';
import { fold } from './fold.ts';
import { EMPTY_TRIGGER, settlingTrigger, withoutSettled, type RereadPolicy } from './hint.ts';
import { emptyRow } from './row-state.ts';
import type { CqlType } from './source-type.ts';
import { isContested } from './tie.ts';

const always = (): boolean => true;
const cell = (writeTime: bigint, value: string | null, expiry: bigint | null = null): Cell => ({
  writeTime,
  value,
  expiry,
});

describe('a conflict at one write time', () => {
  it('is one of two living values that differ, seen from either side', () => {
    const any = fc.record({
      writeTime: fc.constantFrom(1n, 2n),
      value: fc.constantFrom('a', 'b', null),
      expiry: fc.constantFrom(null, 10_000_000n, 11_000_000n, 20_000_000n),
    });
    fc.assert(
      fc.property(any, any, (left, right) => {
        const is = isContested(left, right, always);
        expect(isContested(right, left, always)).toBe(is);
        if (left.writeTime !== right.writeTime || left.value === null || left.value === right.value) {
          expect(is).toBe(false);
        }
      }),
    );
    expect(isContested(cell(1n, 'a'), cell(1n, 'b'), always)).toBe(true);
    expect(isContested(cell(1n, 'a'), cell(1n, 'b'), null)).toBe(false);
  });

  it('is decided where one expires and the other not, or much later; not where a rounded TTL lies between them', () => {
    expect(isContested(cell(1n, 'a'), cell(1n, 'b', 9_000_000n), always)).toBe(false);
    expect(isContested(cell(1n, 'a', 3_000_000n), cell(1n, 'b', 9_000_000n), always)).toBe(false);
    expect(isContested(cell(1n, 'a', 8_000_000n), cell(1n, 'b', 9_000_000n), null)).toBe(true);
  });

  it('is never one of a multi-cell column: the later read decides there', () => {
    expect(isContested({ ...cell(1n, 'a'), sequence: 1n }, { ...cell(1n, 'b'), sequence: 2n }, always)).toBe(false);
  });

  it('in a batch is found in any order of its changes', () => {
    const write = (value: string): ChangeEvent => ({
      kind: 'write',
      table: 'k.t',
      key: rowKey(['1']),
      writeTime: 5n,
      ambiguity: null,
      marker: null,
      cells: [cell(5n, value)],
    });
    const orders = [(left: string, right: string): number => (left < right ? -1 : 1)];
    fc.assert(
      fc.property(fc.shuffledSubarray(['a', 'b', 'c'], { minLength: 2 }), (values) => {
        const row = fold(values.map(write), orders, [always]).rows.get(rowKey(['1']).text);
        expect(row?.contested).toEqual(new Map([[0, 5n]]));
      }),
    );
    expect(fold([write('a'), write('a')], orders, [always]).rows.get(rowKey(['1']).text)?.contested).toBeUndefined();
    expect(fold([write('a'), write('b')], orders).rows.get(rowKey(['1']).text)?.contested).toBeUndefined();
  });
});

describe('a read that settles one', () => {
  const policy: RereadPolicy = {
    multiCell: [false],
    lossy: [false],
    everyWrite: false,
    existence: false,
    undecided: [always],
  };
  const context = { names: ['v'], policy };
  const row = (value: Cell) => ({ ...emptyRow(1), cells: [value] });

  it('takes the place of what stands there, which a merge by text order might keep', () => {
    const settled = withoutSettled(row(cell(5n, 'z')), row(cell(5n, 'a')), settlingTrigger({ v: 5n }), context);
    expect(settled.cells).toEqual([null]);
  });

  it('leaves it where it was queued for something else, or for another time: a later change may stand there', () => {
    const stored = row(cell(5n, 'z'));
    expect(withoutSettled(stored, row(cell(5n, 'a')), EMPTY_TRIGGER, context)).toBe(stored);
    expect(withoutSettled(stored, row(cell(5n, 'a')), settlingTrigger({ v: 4n }), context)).toBe(stored);
    expect(withoutSettled(stored, row(cell(5n, 'z')), settlingTrigger({ v: 5n }), context)).toBe(stored);
  });
});

describe('which values have lost their bytes', () => {
  const set: CqlType = { kind: 'set', element: scalar('text'), frozen: true };
  const undecided = (type: CqlType, target: string, more: object = {}) =>
    undecidedTie(column('v', 'regular', type, target, more));

  it.each([
    ['a frozen set in jsonb', set, 'jsonb', '["a"]', '["b"]'],
    ['a decimal in numeric(p,s)', scalar('decimal'), 'numeric(9,2)', '1.0', '2.0'],
    ['a decimal that may have had an exponent', scalar('decimal'), 'numeric', '5000', '4000.5'],
    ['NaN', scalar('double'), 'double precision', 'NaN', '-1'],
    ['a date as text', scalar('date'), 'text', '2026-01-01', '2026-01-02'],
  ] as const)('%s', (_, type, target, left, right) => {
    const is = undecided(type, target);
    expect(is?.(left, right)).toBe(true);
    expect(is?.(right, left)).toBe(true);
    expect(is?.(left, left)).toBe(false);
  });

  it('others have not, and what shows the same is no conflict', () => {
    expect(undecided(scalar('int'), 'integer')).toBeNull();
    expect(undecided(scalar('text'), 'text')).toBeNull();
    expect(undecided(scalar('decimal'), 'numeric')?.('1.5', '4000.5')).toBe(false);
    expect(undecided(scalar('decimal'), 'numeric')?.('5E+3', '5000')).toBe(false);
    expect(undecided(scalar('double'), 'double precision')?.('-0', '0')).toBe(false);
  });
});
