/** Keys and ranges in the source's order and equality, for clustering types whose order is not PostgreSQL's. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { bindTable } from '../../src/catalog/bind.ts';
import { tableMappingSchema } from '../../src/catalog/table-mapping.ts';
import type { SourceColumn } from '../../src/catalog/source-table.ts';
import type { Table } from '../../src/catalog/table.ts';
import type { ChangeEvent } from '../../src/change/change-event.ts';
import { canonicalText } from '../../src/change/values/value-canonical.ts';
import { canonicalClustering } from '../../src/change/values/value-order.ts';
import { openDoorRig, scalar, type DoorRig } from '../support/door-rig.ts';
import { changes, expectedRows, type HistoryShape } from '../support/histories.ts';
import { comparable, storedRows } from '../support/stored-rows.ts';

type TypeName = 'uuid' | 'inet' | 'decimal' | 'varint' | 'double' | 'timestamp' | 'blob' | 'boolean';

const VALUES: Readonly<Record<TypeName, readonly string[]>> = {
  // Version 1 (by time), version 4 (by bytes), and bytes that are larger than those of a later time.
  uuid: [
    'f73da000-e588-11f1-a58b-79db87becf7a',
    '00000000-e589-11f1-8000-000000000001',
    'ffffffff-0000-4000-8000-000000000000',
    '00000000-0000-4000-8000-000000000000',
  ],
  inet: ['10.0.0.1', '9.255.255.255', '2001:db8::1', '::ffff:1'],
  // Cassandra keeps clustering 1.0 and 1.00 as one row.
  decimal: ['-2.5', '1.0', '1.00', '9', '1E+3'],
  varint: ['-129', '-1', '0', '127', '18446744073709551616'],
  double: ['-Infinity', '-1.5', '-0.0', '0.0', '7.25', 'NaN'],
  timestamp: ['1969-12-31 23:59:59+00', '1970-01-01 00:00:00+00', '2026-11-21 09:33:04.999+00'],
  blob: ['\\x', '\\x00', '\\x00ff', '\\xff'],
  boolean: ['false', 'true'],
};

function tableFor(name: TypeName, descending: boolean): Table {
  const column = (columnName: string, kind: SourceColumn['kind'], type: TypeName | 'int' | 'text'): SourceColumn => ({
    name: columnName,
    kind,
    position: 0,
    descending: kind === 'clustering' && descending,
    type: scalar(type),
    typeText: type,
  });
  const source = `shop.keys_${name}_${descending ? 'desc' : 'asc'}`;
  const binding = bindTable(
    {
      keyspace: 'shop',
      name: source.slice(5),
      id: null,
      columns: [column('k', 'partition', 'int'), column('c', 'clustering', name), column('v', 'regular', 'text')],
      droppedColumns: [],
      defaultTtlSeconds: 0,
      cdc: true,
      unsupported: null,
    },
    tableMappingSchema.parse({ source, topic: source, target: `public.${source.slice(5)}` }),
  );
  if (binding.kind === 'refused') throw new Error(binding.errors.map(String).join());
  return binding.table;
}

const cases = (Object.keys(VALUES) as TypeName[]).flatMap((name) =>
  [false, true].map((descending) => ({ name, descending, table: tableFor(name, descending) })),
);

let rig: DoorRig;
beforeAll(async () => {
  rig = await openDoorRig(
    inject('postgresUrl'),
    cases.map(({ table }) => table),
    { schema: 'door_key_types', partitions: 2, withOrder: true },
  );
});
afterAll(() => rig.close());

describe('clustering keys and range deletes in the order of the source', () => {
  it.each(cases)('$name, descending: $descending', async ({ name, table }) => {
    const bound = rig.target.tables.find((each) => each.table.name === table.name)!;
    const keys = [
      ...new Set(
        VALUES[name].map((value) => canonicalClustering(scalar(name), canonicalText(scalar(name), value) ?? value)),
      ),
    ];
    const shape: HistoryShape = { table: table.name, keys: [['1'], keys], partitionColumns: 1, values: [['x', '']] };
    await fc.assert(
      fc.asyncProperty(fc.array(changes(shape), { minLength: 1, maxLength: 12 }), fc.nat(1), async (history, split) => {
        await rig.pool.query(
          `TRUNCATE ${bound.target}, door_key_types._cdc_graveyard, door_key_types._cdc_range_tombstones`,
        );
        // Rows through one shard, what deletes more than a row through another, as their keys would have it.
        const isWide = (change: ChangeEvent) => !('key' in change);
        for (const change of history) await rig.apply(table, isWide(change) ? 1 - split : split, [change]);
        const expected = expectedRows(history, bound, BigInt(rig.clock.nowMs()) * 1000n);
        expect(await storedRows(rig.pool, bound)).toEqual(
          new Map([...expected].map(([key, state]) => [key, comparable(state)])),
        );
      }),
      { numRuns: 25 },
    );
  });
});
