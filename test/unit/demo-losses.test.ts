import { describe, expect, it } from 'vitest';
import { accountOf, type Delivered, type FoundRow } from '../../src/demo/losses/find-losses.ts';
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
  changeIds: [],
  shown: null,
});
const provoked: ProvokedLosses = {
  keys: { orders: ['o'], customers: ['c'] },
  losses: [
    { ...loss('a lost range delete', 3, 'MISSING_IN_CASSANDRA', 'missed-delete', 'orders'), shown: 'true' },
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
const REPLAYED: Delivered = { lost: true, found: true, shown: true };
const account = (found: readonly FoundRow[], delivered = REPLAYED) =>
  accountOf(provoked, [delivered, null, null], found);

describe('the account of losses', () => {
  it('is right where each was found, named and repaired', () => {
    const { check, outcomes } = account(all);
    expect(check).toMatchObject({ ok: true, found: '6 rows provoked, 6 found' });
    expect(outcomes.map(({ by, rows, found, repaired }) => [by, rows, found, repaired])).toEqual([
      ['delivery windows', 3, 3, 3],
      ['comparison', 2, 2, 2],
      ['comparison', 1, 1, 1],
    ]);
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
    expect(account(found).check.ok).toBe(false);
  });

  it.each<[string, Partial<Delivered>]>([
    ['no window has replayed a lost change', { found: false }],
    ['the target does not show what was replayed', { shown: false }],
  ])('is wrong where %s', (_, more) => {
    const { check, outcomes } = account(all, { ...REPLAYED, ...more });
    expect(check.ok).toBe(false);
    expect(outcomes[0]?.repaired).toBe(0);
  });

  it('expects nothing of a window where the change was captured after all', () => {
    const { check, outcomes } = account(all, { ...REPLAYED, lost: false });
    expect(check).toMatchObject({ ok: true, found: '3 rows provoked, 3 found' });
    expect(outcomes[0]).toMatchObject({ lost: false, found: 0 });
  });
});
