import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import type { ChangeEvent } from '../../src/change/change-event.ts';
import type { Table } from '../../src/catalog/table.ts';
import type { BoundTable } from '../../src/target/bound-table.ts';
import { imageFrom } from '../../src/target/row-codec.ts';
import { quoteIdentifier } from '../../src/target/sql-text.ts';
import { column, openDoorRig, scalar, tableOf, type DoorRig } from '../support/door-rig.ts';
import { changes, expectedRows, type HistoryShape } from '../support/histories.ts';

const PARTITIONS = 3;

const plain = tableOf('plain', [
  column('id', 'partition', scalar('int'), 'integer'),
  column('name', 'regular', scalar('text'), 'text'),
  column('age', 'regular', scalar('int'), 'integer'),
  column('total', 'regular', scalar('decimal'), 'numeric'),
]);
const ranged = tableOf('ranged', [
  column('k', 'partition', scalar('text'), 'text'),
  column('c1', 'clustering', scalar('int'), 'integer'),
  column('c2', 'clustering', scalar('text'), 'text', { descending: true }),
  column('v', 'regular', scalar('text'), 'text'),
  column('n', 'regular', scalar('bigint'), 'bigint'),
]);
const byUuid = tableOf('by_uuid', [
  column('k', 'partition', scalar('int'), 'integer'),
  column('c', 'clustering', scalar('timeuuid'), 'uuid', { descending: true }),
  column('v', 'regular', scalar('text'), 'text'),
]);

const AT_US = 1_000_000_000_000_000n;
const expiries = [AT_US - 5n, AT_US + 5_000_000n];
// Values whose byte order is not their order: −1 beats 1, and 1.00 beats 1.0.
const shapes = {
  plain: {
    table: plain.name,
    keys: [['1', '2']],
    partitionColumns: 1,
    values: [
      ['', 'a', 'é', 'zz"\\'],
      ['-1', '1', '7'],
      ['1.0', '1.00', '9', '-2.5'],
    ],
    expiries,
  },
  ranged: {
    table: ranged.name,
    keys: [
      ['p', 'q"{,'],
      ['-1', '0', '5'],
      ['a', 'b', 'z'],
    ],
    partitionColumns: 1,
    values: [
      ['x', 'y'],
      ['-9223372036854775808', '9223372036854775807'],
    ],
    expiries,
  },
  byUuid: {
    table: byUuid.name,
    keys: [
      ['1'],
      [
        // Time order is not byte order: the first has the smallest first byte and the latest time.
        '00000000-e589-11f1-8000-000000000001',
        'f73da000-e588-11f1-a58b-79db87becf7a',
        'f73da000-e588-11f1-7f00-000000000000',
        'ffffffff-0000-11f1-a58b-79db87becf7a',
      ],
    ],
    partitionColumns: 1,
    values: [['x', 'y']],
  },
} satisfies Record<string, HistoryShape>;

let rig: DoorRig;
beforeAll(async () => {
  rig = await openDoorRig(inject('postgresUrl'), [plain, ranged, byUuid], {
    schema: 'door_convergence',
    partitions: PARTITIONS,
    withOrder: true,
  });
  rig.clock.set(Number(AT_US / 1000n));
});
afterAll(() => rig.close());

function boundOf(table: Table): BoundTable {
  const bound = rig.target.tables.find((entry) => entry.table.name === table.name);
  if (bound === undefined) throw new Error(`no ${table.name}`);
  return bound;
}

/** What stands in the target: rows with values, write times and expiries. */
async function storedRows(bound: BoundTable): Promise<Map<string, unknown>> {
  const names = [...bound.keys, ...bound.regular].map((entry) => quoteIdentifier(entry.column.target));
  const result = await rig.pool.query<(string | null)[]>({
    text: `SELECT ${names.join(', ')}, _cdc_versions, _cdc_expiries FROM ${bound.target}`,
    rowMode: 'array',
  });
  return new Map(
    result.rows.map((row) => [
      JSON.stringify(bound.keys.map((entry, i) => entry.mapping.fromTarget(row[i] ?? ''))),
      comparable(imageFrom(bound, row, bound.keys.length)),
    ]),
  );
}

/** A range tombstone shows in a row only by what it removed, so the row's own `deletedAt` is left out. */
function comparable(state: { marker: unknown; cells: unknown }): unknown {
  return { marker: state.marker, cells: state.cells };
}

async function empty(): Promise<void> {
  for (const bound of rig.target.tables) await rig.pool.query(`TRUNCATE ${bound.target}`);
  for (const control of ['graveyard', 'range_tombstones', 'queue', 'ledger']) {
    await rig.pool.query(`TRUNCATE door_convergence._cdc_${control}`);
  }
}

/** Which shard carries a change: rows by key, wide deletes by their own key, so mostly elsewhere. */
function shardOf(change: ChangeEvent): number {
  const text = 'key' in change ? change.key.text : `wide${change.partition.text}`;
  return [...text].reduce((sum, character) => sum + (character.codePointAt(0) ?? 0), 0) % PARTITIONS;
}

interface Delivery {
  readonly history: readonly ChangeEvent[];
  /** Batches in order of delivery: any order of the changes, with duplicates. */
  readonly batches: readonly (readonly ChangeEvent[])[];
}

const delivery = (shape: HistoryShape): fc.Arbitrary<Delivery> =>
  fc.array(changes(shape), { minLength: 1, maxLength: 14 }).chain((history) =>
    fc
      .record({
        order: fc.shuffledSubarray(history, { minLength: history.length, maxLength: history.length }),
        again: fc.subarray(history),
        size: fc.integer({ min: 1, max: 6 }),
      })
      .map(({ order, again, size }) => {
        const all = [...order, ...again];
        const batches: ChangeEvent[][] = [];
        for (let i = 0; i < all.length; i += size) batches.push(all.slice(i, i + size));
        return { history, batches };
      }),
  );

/** Applies the batches, each split by shard, the shards of a batch at the same time. */
async function deliver(table: Table, batches: Delivery['batches']): Promise<void> {
  for (const batch of batches) {
    const byShard = Array.from({ length: PARTITIONS }, (_, shard) =>
      batch.filter((change) => shardOf(change) === shard),
    );
    await Promise.all(
      byShard.map(async (mine, shard) => {
        if (mine.length > 0) expect(await rig.apply(table, shard, mine)).toMatchObject({ kind: 'committed' });
      }),
    );
  }
}

describe.each([
  ['plain', plain, shapes.plain],
  ['ranged', ranged, shapes.ranged],
  ['by_uuid', byUuid, shapes.byUuid],
] as const)('the door on table %s', (_name, table, shape) => {
  it('leaves what the pure merge leaves, for any order, batching, sharding and duplication', async () => {
    const bound = boundOf(table);
    await fc.assert(
      fc.asyncProperty(delivery(shape), async ({ history, batches }) => {
        await empty();
        await deliver(table, batches);
        const expected = expectedRows(history, bound, AT_US);
        expect(await storedRows(bound)).toEqual(new Map([...expected].map(([key, state]) => [key, comparable(state)])));
      }),
      { numRuns: 150 },
    );
  });
});
