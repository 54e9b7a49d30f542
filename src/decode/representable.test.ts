import { describe, expect, it } from 'vitest';
import { rowKey, type ChangeEvent } from '../change/change-event.ts';
import type { Column, Table } from '../catalog/table.ts';
import type { SourceRecord } from './record.ts';
import { representableOnly } from './representable.ts';

const column = (name: string, kind: Column['kind'], type: 'text' | 'int' | 'time', targetType: string): Column => ({
  name,
  target: name,
  kind,
  descending: false,
  type: { kind: 'scalar', name: type },
  targetType,
  notNull: false,
  allowLoss: [],
});
const table: Table = {
  name: 'shop.t',
  keyspace: 'shop',
  sourceTable: 't',
  topic: 'cass1.shop.t',
  targetSchema: 'public',
  targetTable: 't',
  partitionKey: [column('k', 'partition', 'text', 'text')],
  clustering: [column('c', 'clustering', 'text', 'text')],
  regular: [column('n', 'regular', 'int', 'integer'), column('t', 'regular', 'time', 'time without time zone')],
  statics: [],
  usesTtl: false,
};
const base = { table: table.name, writeTime: 1n, ambiguity: null };
const at = (change: ChangeEvent) =>
  representableOnly(table, { decode: () => ({ kind: 'change', change, contents: null }) }).decode({} as SourceRecord);
const write = (key: string[], time: string | null): ChangeEvent => ({
  ...base,
  kind: 'write',
  key: rowKey(key),
  marker: null,
  cells: [
    { writeTime: 1n, value: '5', expiry: null },
    time === null ? null : { writeTime: 1n, value: time, expiry: null },
  ],
});

describe('a value that the target can’t hold exactly', () => {
  it('is refused with its place: a time below the microsecond', () => {
    expect(at(write(['k', 'c'], '12:00:00.000000001'))).toMatchObject({
      kind: 'refused',
      refusal: { path: 'after.t' },
    });
    expect(at(write(['k', 'c'], '12:00:00.000001000'))).toMatchObject({ kind: 'change' });
    expect(at(write(['k', 'c'], null))).toMatchObject({ kind: 'change' });
  });

  it('is refused in keys and in the bounds of a range', () => {
    expect(at(write(['k\0', 'c'], null))).toMatchObject({ kind: 'refused', refusal: { path: 'after.k' } });
    const range: ChangeEvent = {
      ...base,
      kind: 'range-delete',
      partition: rowKey(['k']),
      start: { values: [], inclusive: true },
      end: { values: ['\0'], inclusive: true },
    };
    expect(at(range)).toMatchObject({ kind: 'refused', refusal: { path: '_range_end.c' } });
  });
});
