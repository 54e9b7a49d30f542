import { expect, it } from 'vitest';
import { column, scalar, tableOf } from '../../../test/support/door-rig.ts';
import type { SourceTable } from '../../catalog/source-table.ts';
import { sourceChange } from './source-change.ts';

const table = {
  ...tableOf('watched', [
    column('k', 'partition', scalar('int'), 'integer'),
    column('a', 'regular', scalar('text'), 'text'),
    column('b', 'regular', scalar('int'), 'integer', { droppedAt: 5n }),
  ]),
  excluded: ['left_out'],
};

const source: SourceTable = {
  keyspace: 'shop',
  name: 'watched',
  id: 'x',
  columns: [
    { name: 'k', kind: 'partition', position: 0, descending: false, type: scalar('int'), typeText: 'int' },
    { name: 'a', kind: 'regular', position: 0, descending: false, type: scalar('text'), typeText: 'text' },
    { name: 'b', kind: 'regular', position: 0, descending: false, type: scalar('int'), typeText: 'int' },
    { name: 'left_out', kind: 'regular', position: 0, descending: false, type: scalar('int'), typeText: 'int' },
  ],
  droppedColumns: [{ name: 'b', kind: 'regular', typeText: 'int', droppedAt: 5n }],
  defaultTtlSeconds: 0,
  cdc: true,
  unsupported: null,
};

it('a table that stayed as it was has not changed', () => {
  expect(sourceChange(table, 'x', source)).toBeNull();
  expect(sourceChange(table, null, source)).toBeNull();
});

it.each<[string, SourceTable | undefined]>([
  ['no table', undefined],
  ['created again', { ...source, id: 'y' }],
  ['column new was added', { ...source, columns: [...source.columns, { ...source.columns[1]!, name: 'new' }] }],
  ['column a was dropped', { ...source, columns: source.columns.filter(({ name }) => name !== 'a') }],
  [
    'type of column a was changed',
    {
      ...source,
      columns: source.columns.map((each) => (each.name === 'a' ? { ...each, type: scalar('blob') } : each)),
    },
  ],
  [
    'column b was dropped and added again',
    { ...source, droppedColumns: [{ name: 'b', kind: 'regular', typeText: 'int', droppedAt: 9n }] },
  ],
])('says that there is %s', (said, now) => {
  expect(sourceChange(table, 'x', now)).toContain(said);
});
