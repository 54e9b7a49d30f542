import { describe, expect, it } from 'vitest';
import { accountOf, type FoundRow } from '../../src/demo/losses/find-losses.ts';
import type { ProvokedLoss, ProvokedLosses } from '../../src/demo/losses/provoke.ts';

const loss = (
  what: string,
  rows: number,
  type: string,
  cause: string,
  table: 'orders' | 'customers',
): ProvokedLoss => ({
  what,
  table,
  rows,
  type,
  cause,
  columns: [],
  changes: rows,
  arrived: 'false',
});
const provoked: ProvokedLosses = {
  keys: { orders: ['o'], customers: ['c'] },
  losses: [
    loss('two deletes', 2, 'MISSING_IN_CASSANDRA', 'missed-delete', 'orders'),
    loss('an insert', 1, 'MISSING_IN_POSTGRES', 'missed-insert', 'customers'),
  ],
};
const row = (table: string, key: string, type: string, cause: string, status = 'AUTO_RESOLVED'): FoundRow => ({
  table,
  row_key: JSON.stringify([key, '1']),
  type,
  cause,
  columns: [],
  status,
});
const all = [
  row('orders', 'o', 'MISSING_IN_CASSANDRA', 'missed-delete'),
  row('orders', 'o', 'MISSING_IN_CASSANDRA', 'missed-delete'),
  row('customers', 'c', 'MISSING_IN_POSTGRES', 'missed-insert'),
];
const verdict = (found: readonly FoundRow[], lost = [true, true]) => accountOf(provoked, lost, found).check;

describe('the account of losses', () => {
  it('is right where each was found, named and repaired', () => {
    expect(verdict(all)).toMatchObject({ ok: true, found: '3 rows provoked, 3 found' });
  });

  it.each([
    ['one is not found', all.slice(1)],
    ['one is found by another name', [...all.slice(0, 2), row('customers', 'c', 'MISSING_IN_POSTGRES', 'covered')]],
    [
      'one is not repaired',
      [...all.slice(0, 2), row('customers', 'c', 'MISSING_IN_POSTGRES', 'missed-insert', 'PENDING')],
    ],
    ['something else is found in their rows', [...all, row('orders', 'o', 'DATA_MISMATCH', 'missed-update')]],
    ['something else is found elsewhere', [...all, row('orders', 'x', 'MISSING_IN_CASSANDRA', 'missed-delete')]],
    ['a row is found twice over', [...all, row('customers', 'c', 'MISSING_IN_POSTGRES', 'missed-insert')]],
  ])('is wrong where %s', (_, found) => {
    expect(verdict(found).ok).toBe(false);
  });

  it('expects nothing of what was captured after all', () => {
    expect(verdict(all.slice(0, 2), [true, false])).toMatchObject({ ok: true });
    expect(verdict(all, [true, false]).ok).toBe(false);
  });
});
