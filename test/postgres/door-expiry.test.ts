/** Time to live, with a clock that the test owns: what is out of sight in the source is out of sight here after a sweep. */
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { rowKey, type Cell, type ChangeEvent } from '../../src/change/change-event.ts';
import type { BoundTable } from '../../src/target/bound-table.ts';
import { column, openDoorRig, scalar, tableOf, type DoorRig } from '../support/door-rig.ts';
import { changes, expectedRows } from '../support/histories.ts';
import { comparable, storedRows } from '../support/stored-rows.ts';

const SCHEMA = 'door_expiry';
const table = tableOf(
  'expiring',
  [
    column('k', 'partition', scalar('int'), 'integer'),
    column('c', 'clustering', scalar('int'), 'integer'),
    column('v', 'regular', scalar('text'), 'text'),
    column('w', 'regular', scalar('int'), 'integer'),
  ],
  { usesTtl: true },
);
const lasting = tableOf('lasting', [
  column('id', 'partition', scalar('int'), 'integer'),
  column('v', 'regular', scalar('text'), 'text'),
]);
const START_MS = 1_000_000_000;
const at = (seconds: number): bigint => BigInt(START_MS + seconds * 1000) * 1000n;
const shard = { topic: table.topic, incarnation: 1, partition: 0 };

let rig: DoorRig;
let bound: BoundTable;
beforeAll(async () => {
  rig = await openDoorRig(inject('postgresUrl'), [table, lasting], { schema: SCHEMA });
  bound = rig.target.tables[0]!;
});
afterAll(() => rig.close());
beforeEach(async () => {
  rig.clock.set(START_MS);
  await clear();
});

async function clear(): Promise<void> {
  await rig.pool.query(
    `TRUNCATE expiring, lasting, ${SCHEMA}._cdc_graveyard, ${SCHEMA}._cdc_range_tombstones, ${SCHEMA}._cdc_queue`,
  );
}

/** Time passes, and this member looks after its shards as the service does. */
async function pass(seconds: number): Promise<void> {
  rig.clock.set(START_MS + seconds * 1000);
  while ((await rig.target.dueShards([shard])).length > 0) await rig.target.sweep(table.name, shard);
}

type Expiries = { marker?: bigint | null; v?: bigint | null; w?: bigint | null };
function write(
  writeTime: bigint,
  cells: { v?: string | null; w?: string | null },
  expiries: Expiries = {},
): ChangeEvent {
  const cell = (value: string | null | undefined, expiry: bigint | null | undefined): Cell | null =>
    value === undefined ? null : { writeTime, value, expiry: value === null ? null : (expiry ?? null) };
  return {
    kind: 'write',
    table: table.name,
    key: rowKey(['1', '1']),
    writeTime,
    marker: expiries.marker === undefined ? null : { writeTime, expiry: expiries.marker },
    cells: [cell(cells.v, expiries.v), cell(cells.w, expiries.w)],
    ambiguity: null,
  };
}
const apply = (...of: readonly ChangeEvent[]) => rig.apply(table, 0, of);
async function rows(sql = 'SELECT v, w FROM expiring'): Promise<(string | null)[][]> {
  return (await rig.pool.query<(string | null)[]>({ text: sql, rowMode: 'array' })).rows;
}

describe('a row with a TTL', () => {
  it('goes with its last cell although a lasting marker comes along, where that loses against one that has expired', async () => {
    await apply(write(6n, { v: 'y' }));
    await apply(write(6n, { w: '1' }, { marker: at(1), w: at(1) }));
    await pass(2);
    expect(await rows()).toEqual([['y', null]]);
    // An INSERT of the same time (or an older one) without a TTL: the expired marker stays, and v is gone.
    await apply(write(6n, { v: null, w: '1' }, { marker: null }));
    expect(await rows()).toEqual([]);
  });

  it('goes with its marker and its cells, at their moment and not before', async () => {
    await apply(write(1n, { v: 'a' }, { marker: at(10), v: at(10) }));
    await pass(9.999);
    expect(await rows()).toEqual([['a', null]]);
    await pass(10);
    expect(await rows()).toEqual([]);
    expect(await rows(`SELECT * FROM ${SCHEMA}._cdc_queue`)).toEqual([]);
  });

  it('stays while its marker lasts, although every cell has expired', async () => {
    await apply(write(1n, { v: 'a' }, { marker: null, v: at(10) }));
    await pass(11);
    expect(await rows()).toEqual([[null, null]]);
  });

  it('stays while one cell lasts, although its marker has expired, and goes with that cell', async () => {
    await apply(write(1n, { v: 'a' }, { marker: at(10), v: at(10) }), write(2n, { w: '5' }));
    await pass(11);
    expect(await rows()).toEqual([[null, '5']]);
    await apply(write(3n, { w: null }));
    expect(await rows()).toEqual([]);
  });

  it('whose marker alone expires goes when it does, although nothing in it has a value', async () => {
    await apply(write(1n, {}, { marker: at(10) }));
    expect(await rows()).toEqual([[null, null]]);
    await pass(10);
    expect(await rows()).toEqual([]);
  });

  it('lives on where the TTL is extended before it passes, and goes at the new moment', async () => {
    await apply(write(1n, { v: 'a' }, { marker: at(10), v: at(10) }));
    await apply(write(2n, { v: 'b' }, { marker: at(30), v: at(30) }));
    await pass(29);
    expect(await rows()).toEqual([['b', null]]);
    await pass(30);
    expect(await rows()).toEqual([]);
  });

  it('stays for good where the TTL is removed before it passes', async () => {
    await apply(write(1n, { v: 'a' }, { marker: at(10), v: at(10) }));
    await apply(write(2n, { v: 'b' }, { marker: null }));
    await pass(1_000);
    expect(await rows()).toEqual([['b', null]]);
  });

  it('that arrives after it has expired never shows, and its versions are remembered', async () => {
    rig.clock.set(START_MS + 20_000);
    await apply(write(5n, { v: 'a' }, { marker: at(10), v: at(10) }));
    expect(await rows()).toEqual([]);
    await apply(write(4n, { v: 'older' }));
    expect(await rows()).toEqual([]);
  });
});

describe('the sweep', () => {
  it('leaves what random histories show at any moment, whenever it comes', async () => {
    const shape = {
      table: table.name,
      keys: [['1'], ['1', '2']],
      partitionColumns: 1,
      values: [
        ['a', 'b'],
        ['-1', '1'],
      ],
      expiries: [at(1), at(2), at(3), at(50)],
    };
    const step = fc.oneof(
      { weight: 3, arbitrary: changes(shape).map((change) => ({ change })) },
      { weight: 1, arbitrary: fc.constant({ passes: true as const }) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 14 }), async (steps) => {
        await clear();
        let seconds = 0;
        rig.clock.set(START_MS);
        const history: ChangeEvent[] = [];
        for (const each of steps) {
          if ('change' in each) {
            history.push(each.change);
            await apply(each.change);
          } else {
            seconds += 1;
            await pass(seconds);
          }
        }
        await pass(seconds);
        const expected = expectedRows(history, bound, BigInt(rig.clock.nowMs()) * 1000n);
        expect(await storedRows(rig.pool, bound)).toEqual(
          new Map([...expected].map(([key, state]) => [key, comparable(state)])),
        );
      }),
      { numRuns: 120 },
    );
  });

  it('works off more than a chunk, and asks again only while more may be due', async () => {
    const many = Array.from({ length: 1_200 }, (_, i) => {
      const change = write(1n, { v: 'a' }, { marker: at(10), v: at(10) });
      return { ...change, key: rowKey(['1', String(i)]) } as ChangeEvent;
    });
    await apply(...many);
    rig.clock.set(START_MS + 10_000);
    expect(await rig.target.dueShards([shard])).toEqual([shard]);
    expect(await rig.target.sweep(table.name, shard)).toBe(true);
    expect(await rows('SELECT count(*) FROM expiring')).toEqual([['700']]);
    await pass(10);
    expect(await rows('SELECT count(*) FROM expiring')).toEqual([['0']]);
    expect(await rig.target.dueShards([shard])).toEqual([]);
  });

  it('asks nothing of shards of tables without TTL', async () => {
    const change: ChangeEvent = {
      ...write(1n, { v: 'a' }, { marker: null }),
      table: lasting.name,
      key: rowKey(['1']),
    } as ChangeEvent;
    await rig.apply(lasting, 0, [{ ...change, cells: [{ writeTime: 1n, value: 'a', expiry: null }] } as ChangeEvent]);
    expect(await rows(`SELECT * FROM ${SCHEMA}._cdc_queue`)).toEqual([]);
    expect(await rig.target.dueShards([{ topic: lasting.topic, incarnation: 1, partition: 0 }])).toEqual([]);
  });
});
