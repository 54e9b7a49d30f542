import { describe, expect, test } from 'vitest';
import { parseCqlType } from '../change/parse-cql-type.ts';
import { bindTable } from './bind.ts';
import { declaredTable } from './declared-schema.ts';
import type { SourceTable } from './source-table.ts';
import { tableMappingSchema, type TableMapping } from './table-mapping.ts';
import type { Table } from './table.ts';

function mappingOf(more: object = {}): TableMapping {
  return tableMappingSchema.parse({
    source: 'shop.orders',
    topic: 'cass1.shop.orders',
    target: 'public.orders',
    schema: {
      partitionKey: ['customer', 'region'],
      clusteringKey: ['at', 'n'],
      clusteringOrder: { at: 'desc' },
      statics: ['name'],
      columns: {
        n: 'int',
        at: 'timestamp',
        region: 'text',
        customer: 'uuid',
        name: 'text',
        total: 'decimal',
        tags: 'set<text>',
        home: 'frozen<address>',
      },
      types: { address: { street: 'text', geo: 'frozen<point>' }, point: { x: 'double', y: 'double' } },
    },
    ...more,
  });
}

function bind(mapping: TableMapping, change: (source: SourceTable) => SourceTable = (source) => source) {
  if (mapping.schema === null) throw new Error('the test declares its schema');
  const declared = declaredTable(mapping.source, mapping.schema);
  if (declared.kind === 'refused') return { kind: 'refused', errors: declared.errors } as const;
  return bindTable(change(declared.source), mapping);
}

function bound(mapping: TableMapping): Table {
  const result = bind(mapping);
  if (result.kind === 'refused') throw new AggregateError(result.errors, result.errors.map(String).join('\n'));
  return result.table;
}

function codes(mapping: TableMapping, change?: (source: SourceTable) => SourceTable): string[] {
  const result = bind(mapping, change);
  return result.kind === 'refused' ? result.errors.map((error) => error.code) : [];
}

describe('a declared table', () => {
  test('is bound in key order, with the usual types', () => {
    const table = bound(mappingOf());
    expect(table.partitionKey.map((column) => [column.name, column.targetType])).toEqual([
      ['customer', 'uuid'],
      ['region', 'text'],
    ]);
    expect(table.clustering.map((column) => [column.name, column.targetType, column.descending])).toEqual([
      ['at', 'timestamp with time zone', true],
      ['n', 'integer', false],
    ]);
    expect(table.statics.map((column) => column.name)).toEqual(['name']);
    expect(table.regular.map((column) => [column.name, column.targetType, column.notNull])).toEqual([
      ['total', 'numeric', false],
      ['tags', 'jsonb', false],
      ['home', 'jsonb', false],
    ]);
    expect(table.usesTtl).toBe(false);
  });

  test('takes names, types, losses and exclusions from the mapping', () => {
    const columns = {
      total: { type: 'NUMERIC( 12 , 2 )', target: 'Total' },
      tags: { exclude: true },
      home: { type: 'varchar(200)' },
    };
    const table = bound(mappingOf({ columns, usesTtl: true }));
    expect(table.regular.map((column) => [column.target, column.targetType])).toEqual([
      ['Total', 'numeric(12,2)'],
      ['home', 'character varying(200)'],
    ]);
    expect(table.excluded).toEqual(['tags']);
    expect(table.usesTtl).toBe(true);
  });

  test('uses TTLs where it has a default one', () => {
    const mapping = mappingOf();
    const schema = { ...mapping.schema, defaultTtlSeconds: 60 };
    expect(bound(mappingOf({ schema })).usesTtl).toBe(true);
  });
});

describe('key columns keep the equality of the source', () => {
  const keyed = (kind: 'partitionKey' | 'clusteringKey', type: string, column: object = {}) =>
    mappingOf({
      columns: { k: column },
      schema: {
        columns: { p: 'int', k: type, v: 'int' },
        partitionKey: kind === 'partitionKey' ? ['k'] : ['p'],
        clusteringKey: kind === 'clusteringKey' ? ['k'] : [],
        statics: [],
        ...(kind === 'partitionKey' ? { columns: { k: type, v: 'int' } } : {}),
      },
    });
  test.each([
    ['partitionKey', 'decimal', 'text'],
    ['clusteringKey', 'decimal', 'numeric'],
    ['partitionKey', 'double', 'text'],
    ['clusteringKey', 'float', 'text'],
    ['partitionKey', 'varint', 'numeric'],
    ['partitionKey', 'frozen<list<decimal>>', 'text'],
    ['clusteringKey', 'frozen<map<text, int>>', 'text'],
    ['clusteringKey', 'timeuuid', 'uuid'],
  ] as const)('%s of type %s is kept in %s', (kind, type, target) => {
    const table = bound(keyed(kind, type));
    expect([...table.partitionKey, ...table.clustering].find(({ name }) => name === 'k')?.targetType).toBe(target);
  });
  test.each([
    ['partitionKey', 'decimal', { type: 'numeric' }, 'KEY_TYPE'],
    ['clusteringKey', 'double', { type: 'double precision' }, 'KEY_TYPE'],
    ['clusteringKey', 'frozen<list<int>>', { type: 'jsonb' }, 'KEY_TYPE'],
    ['clusteringKey', 'frozen<list<decimal>>', {}, 'KEY_TYPE'],
    ['partitionKey', 'text', { type: 'citext' }, 'KEY_TYPE'],
    ['clusteringKey', 'time', { allowLoss: ['sub-microsecond'] }, 'KEY_LOSS'],
    ['partitionKey', 'int', { exclude: true }, 'KEY_EXCLUDED'],
  ] as const)('%s of type %s with %o is refused', (kind, type, column, code) => {
    expect(codes(keyed(kind, type, column))).toEqual([code]);
  });
});

describe('what can’t be mapped is refused with key, value and remedy', () => {
  test('all problems come together', () => {
    const columns = {
      totl: { type: 'text' },
      total: { type: 'bigint' },
      tags: { target: 'xmin' },
      home: { target: '_cdc_versions' },
    };
    const result = bind(mappingOf({ columns, target: `public.${'t'.repeat(60)}` }));
    expect(result.kind === 'refused' && result.errors.map((error) => [error.code, error.message, error.kind])).toEqual([
      [
        'MAPPING_COLUMN',
        expect.stringContaining(
          'shop.orders: columns.totl: the source table has no column "totl", the nearest is total',
        ),
        'config',
      ],
      ['TARGET_NAME', expect.stringContaining('target: public.'), 'config'],
      [
        'TYPE_MAPPING',
        expect.stringContaining('columns.total.type: a column of type decimal cannot be kept in "bigint"'),
        'config',
      ],
      ['TARGET_NAME', expect.stringContaining('columns.tags.target'), 'config'],
      ['TARGET_NAME', expect.stringContaining('columns.home.target'), 'config'],
    ]);
    expect(result.kind === 'refused' && result.errors.every((error) => error.remedy !== undefined)).toBe(true);
  });
  test.each([
    [{ columns: { total: { type: 'numeric(3,5)' } } }, 'TYPE_MAPPING'],
    [{ columns: { total: { type: 'numeric(' } } }, 'TYPE_MAPPING'],
    [{ columns: { at: { type: 'timestamptz(0)' } } }, 'TYPE_MAPPING'],
    [{ columns: { name: { type: 'jsonb' } } }, 'TYPE_LOSS'],
    [{ columns: { tags: { exclude: true, type: 'text' } } }, 'MAPPING_CONTRADICTION'],
    [{ columns: { tags: { target: 'home' } } }, 'TARGET_NAME'],
    [{ columns: { name: { target: 'region' } } }, 'TARGET_NAME'],
    [{ target: 'public._cdc_offsets' }, 'TARGET_NAME'],
  ])('%o', (more, code) => {
    expect(codes(mappingOf(more))).toEqual([code]);
  });
  test('static and regular columns of one name don’t meet: they are in two tables', () => {
    expect(codes(mappingOf({ columns: { name: { target: 'total' } } }))).toEqual([]);
  });
  test('a custom type, unless it is excluded', () => {
    const custom = (source: SourceTable): SourceTable => ({
      ...source,
      columns: source.columns.map((column) =>
        column.name === 'tags'
          ? { ...column, type: { kind: 'custom', name: 'org.example.Odd' }, typeText: 'odd' }
          : column,
      ),
    });
    expect(codes(mappingOf(), custom)).toEqual(['TYPE_UNSUPPORTED']);
    expect(codes(mappingOf({ columns: { tags: { exclude: true } } }), custom)).toEqual([]);
  });
  test('a counter table', () => {
    const schema = { partitionKey: ['k'], columns: { k: 'int', hits: 'counter' } };
    expect(codes(mappingOf({ schema }))).toEqual(['TABLE_UNSUPPORTED']);
  });
  test('a declaration with unknown names, types and cycles', () => {
    const schema = {
      partitionKey: ['k', 'nokey'],
      clusteringKey: ['k'],
      clusteringOrder: { v: 'asc' },
      columns: { k: 'int', v: 'frozen<loop>', w: 'list<nothing>' },
      types: { loop: { again: 'frozen<loop>' } },
    };
    expect(codes(mappingOf({ schema }))).toEqual(Array(5).fill('SCHEMA_DECLARATION'));
  });
});

test('a nested type keeps its fields', () => {
  const home = bound(mappingOf()).regular.find((column) => column.name === 'home');
  const double = parseCqlType('double');
  expect(home?.type).toMatchObject({
    kind: 'udt',
    fields: [{ name: 'street' }, { name: 'geo', type: { kind: 'udt', fields: [{ type: double }, { type: double }] } }],
  });
});
