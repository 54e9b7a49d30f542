import { expect, it } from 'vitest';
import { column, scalar } from '../../test/support/door-rig.ts';
import { pack } from '../change/packed-rows.ts';
import { cellOf, expires, readColumns } from './read-cells.ts';

it('reads a counter as the total that the source answers with, without write time and TTL', () => {
  const { selected, columns } = readColumns([column('seen', 'regular', scalar('counter'), 'bigint')], 1);
  expect(selected.join()).not.toMatch(/WRITETIME|TTL/);
  const total = Buffer.from('fffffffffffffffb', 'hex');
  const rows = pack([
    [Buffer.from('k'), total, total, total],
    [Buffer.from('k'), null, null, null],
  ]);
  const row = { rows, index: 0 };
  expect(expires(columns, row)).toBe(false);
  expect(cellOf(columns[0]!, row, 7n)).toEqual({ value: '-5', writeTime: 0n, expiry: null });
  expect(cellOf(columns[0]!, { rows, index: 1 }, 7n)).toBeNull();
});
