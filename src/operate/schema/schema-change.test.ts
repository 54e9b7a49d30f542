import { describe, expect, it } from 'vitest';
import { bindTable } from '../../catalog/bind.ts';
import type { SourceColumn, SourceTable } from '../../catalog/source-table.ts';
import { tableMappingSchema, type TableMapping } from '../../catalog/table-mapping.ts';
import { judgeSchema, type SchemaVerdict } from './schema-change.ts';

const column = (name: string, kind: SourceColumn['kind'], type: 'int' | 'text' | 'bigint'): SourceColumn => ({
  name,
  kind,
  position: 0,
  descending: false,
  type: { kind: 'scalar', name: type },
  typeText: type,
});
const source: SourceTable = {
  keyspace: 'shop',
  name: 'people',
  id: 'a',
  columns: [column('id', 'partition', 'int'), column('name', 'regular', 'text'), column('age', 'regular', 'int')],
  droppedColumns: [],
  defaultTtlSeconds: 0,
  cdc: true,
  unsupported: null,
};
const mapping = tableMappingSchema.parse({ source: 'shop.people', topic: 't', target: 'public.people' });

function judge(change: Partial<SourceTable> | null, more: Partial<TableMapping> = {}): SchemaVerdict {
  const binding = bindTable(source, { ...mapping, ...more });
  if (binding.kind === 'refused') throw new Error('refused');
  const fresh = change === null ? undefined : { ...source, ...change };
  return judgeSchema({ source, table: binding.table }, fresh, { ...mapping, ...more });
}
const with_ = (...columns: SourceColumn[]) => ({ columns: [...source.columns, ...columns] });
const dropped = (name: string, droppedAt: bigint) => ({ name, kind: 'regular' as const, typeText: 'int', droppedAt });

describe('a fresh reading of the schema', () => {
  it('is the same where nothing changed', () => {
    expect(judge({})).toEqual({ kind: 'same' });
  });

  it('binds added columns', () => {
    expect(judge(with_(column('mail', 'regular', 'text')))).toMatchObject({
      kind: 'changed',
      what: ['column mail was added'],
      table: { regular: [{ name: 'name' }, { name: 'age' }, { name: 'mail' }] },
    });
  });

  it('leaves added columns out under ignore, once and for all', () => {
    const ignore = { schemaChange: 'ignore' as const };
    const verdict = judge(with_(column('mail', 'regular', 'text')), ignore);
    expect(verdict).toMatchObject({ kind: 'changed', ignored: ['mail'], table: { excluded: ['mail'] } });
    if (verdict.kind !== 'changed') return;
    const again = judgeSchema(
      verdict,
      { ...source, ...with_(column('mail', 'regular', 'text')) },
      { ...mapping, ...ignore },
    );
    expect(again).toEqual({ kind: 'same' });
  });

  it('lets records go on carrying a dropped column, which says nothing any more', () => {
    const change = { columns: source.columns.slice(0, 2), droppedColumns: [dropped('age', 9n)] };
    expect(judge(change)).toMatchObject({
      kind: 'changed',
      what: expect.arrayContaining(['column age was dropped']) as unknown,
      table: { regular: [{ name: 'name' }], excluded: ['age'] },
    });
  });

  it('gives a column that was dropped and added again its floor', () => {
    expect(judge({ droppedColumns: [dropped('age', 9n), dropped('age', 7n)] })).toMatchObject({
      kind: 'changed',
      table: { regular: [{ name: 'name' }, { name: 'age', droppedAt: 9n }] },
    });
  });

  it.each([
    [
      'a renamed key column',
      { columns: [column('pid', 'partition', 'int'), ...source.columns.slice(1)] },
      'SOURCE_KEY_CHANGED',
    ],
    [
      'a key column of another type',
      { columns: [column('id', 'partition', 'text'), ...source.columns.slice(1)] },
      'SOURCE_KEY_CHANGED',
    ],
    ['a table that is gone', null, 'SOURCE_TABLE_DROPPED'],
    ['a table that was created again', { id: 'b' }, 'SOURCE_TABLE_RECREATED'],
  ] as const)('stops the table for %s', (_, change, code) => {
    expect(judge(change)).toMatchObject({ kind: 'stop', stop: { code } });
  });
});
