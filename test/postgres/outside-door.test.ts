import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { rowKey, type ChangeEvent } from '../../src/change/change-event.ts';
import { identify } from '../../src/change/change-id.ts';
import type { Table } from '../../src/catalog/table.ts';
import type { OutsideBatch, OutsideOutcome } from '../../src/target/outside-door.ts';
import { gateStatement } from '../../src/target/transaction.ts';
import { column, openDoorRig, scalar, tableOf, type DoorRig } from '../support/door-rig.ts';

const SCHEMA = 'outside_door';
const plain = tableOf('outside_plain', [
  column('id', 'partition', scalar('int'), 'integer'),
  column('v', 'regular', scalar('text'), 'text'),
  column('n', 'regular', scalar('int'), 'integer'),
]);
const strict = tableOf('outside_strict', [
  column('id', 'partition', scalar('int'), 'integer'),
  column('v', 'regular', scalar('text'), 'text', { notNull: true }),
  column('n', 'regular', scalar('int'), 'integer'),
]);

const clustered = tableOf('outside_clustered', [
  column('id', 'partition', scalar('int'), 'integer'),
  column('c', 'clustering', scalar('int'), 'integer'),
  column('v', 'regular', scalar('text'), 'text'),
]);

let rig: DoorRig;
beforeAll(async () => {
  rig = await openDoorRig(inject('postgresUrl'), [plain, strict, clustered], { schema: SCHEMA, partitions: 2 });
});
afterAll(() => rig.close());
beforeEach(async () => {
  for (const table of [plain, strict, clustered]) await rig.pool.query(`TRUNCATE ${table.targetTable}`);
  for (const name of ['graveyard', 'range_tombstones', 'queue', 'ledger']) {
    await rig.pool.query(`TRUNCATE ${SCHEMA}._cdc_${name}`);
  }
});

function write(
  table: Table,
  id: number,
  writeTime: bigint,
  v: string | null,
  expiry: bigint | null = null,
): ChangeEvent {
  return {
    kind: 'write',
    table: table.name,
    key: rowKey([String(id)]),
    writeTime,
    ambiguity: null,
    marker: { writeTime, expiry },
    cells: [{ writeTime, value: v, expiry: v === null ? null : expiry }, null],
  };
}

function remove(table: Table, id: number, writeTime: bigint): ChangeEvent {
  return { kind: 'row-delete', table: table.name, key: rowKey([String(id)]), writeTime, ambiguity: null };
}

function outside(
  table: Table,
  changes: readonly ChangeEvent[],
  more: Partial<OutsideBatch> = {},
): Promise<readonly OutsideOutcome[]> {
  return rig.target.outside.apply({
    shard: { topic: table.topic, incarnation: 1, partition: 0 },
    table: table.name,
    origin: 'redrive',
    changes: changes.map((change, i) => ({ offset: BigInt(i), change, id: identify(change).id })),
    also: () => [],
    dryRun: false,
    ...more,
  });
}

async function rows(table: Table): Promise<readonly Record<string, string | null>[]> {
  return (
    await rig.pool.query<Record<string, string | null>>(
      `SELECT id, v, n, _cdc_versions FROM ${table.targetTable} ORDER BY id`,
    )
  ).rows;
}

describe('a change from beside the stream', () => {
  it('never replaces what is newer, however late it comes', async () => {
    await rig.apply(plain, 0, [write(plain, 1, 20n, 'new')]);
    const before = await rows(plain);
    expect(await outside(plain, [write(plain, 1, 10n, 'old')])).toEqual(['superseded']);
    expect(await rows(plain)).toEqual(before);
  });

  it('does not bring back a deleted row', async () => {
    await rig.apply(plain, 0, [write(plain, 1, 10n, 'a'), remove(plain, 1, 20n)]);
    expect(await outside(plain, [write(plain, 1, 15n, 'b')])).toEqual(['superseded']);
    expect(await rows(plain)).toEqual([]);
    expect(await outside(plain, [write(plain, 1, 21n, 'c')])).toEqual(['applied']);
    expect(await rows(plain)).toMatchObject([{ v: 'c' }]);
  });

  it.each([10n, 20n])('takes away what a wide delete under way still covers (written at %s)', async (writeTime) => {
    const key = rowKey(['1', '1']);
    const cells = [{ writeTime: 10n, value: 'x', expiry: null }];
    const stored: ChangeEvent = {
      kind: 'write',
      table: clustered.name,
      key,
      writeTime: 10n,
      ambiguity: null,
      marker: null,
      cells,
    };
    await rig.apply(clustered, 0, [stored]);
    // Its tombstone is in force, and its rows not gone yet.
    await rig.pool.query(
      `INSERT INTO ${SCHEMA}._cdc_range_tombstones (table_id, partition_key, bounds, write_time)
       SELECT id, '["1"]', '[true,[],true,[]]', 20 FROM ${SCHEMA}._cdc_tables WHERE source = $1`,
      [clustered.name],
    );
    const deletion: ChangeEvent = { kind: 'row-delete', table: clustered.name, key, writeTime, ambiguity: null };
    expect(await outside(clustered, [deletion])).toEqual(['superseded']);
    expect((await rig.pool.query('SELECT v FROM outside_clustered')).rows).toEqual([]);
  });

  it('says of each change of a row what became of it', async () => {
    await rig.apply(plain, 0, [write(plain, 1, 20n, 'x')]);
    const changes = [
      write(plain, 1, 10n, 'old'),
      write(plain, 1, 30n, 'y'),
      write(plain, 1, 25n, 'late'),
      write(plain, 2, 1n, 'z'),
    ];
    expect(await outside(plain, changes)).toEqual(['superseded', 'applied', 'superseded', 'applied']);
  });

  it('has its ID in the ledger, in a segment that is no stretch of a log', async () => {
    const change = write(plain, 1, 10n, 'a');
    await outside(plain, [change]);
    const { rows: segments } = await rig.pool.query<Record<string, string>>(
      `SELECT encode(ids, 'hex') AS ids, origin, processed, next_offset - from_offset AS span FROM ${SCHEMA}._cdc_ledger`,
    );
    expect(segments).toEqual([{ ids: identify(change).id, origin: 'redrive', processed: '1', span: '0' }]);
  });

  it('queues its expiry so that it is swept under the exclusive gate if the topic ever grew', async () => {
    await outside(plain, [write(plain, 1, 10n, 'a', 2_000_000_000_000_000n)]);
    const { rows: queue } = await rig.pool.query<Record<string, string>>(
      `SELECT kind, extract(epoch FROM queued_at)::int AS queued FROM ${SCHEMA}._cdc_queue`,
    );
    expect(queue).toEqual([{ kind: 'expiry', queued: '0' }]);
  });
});

describe('a dry run', () => {
  it('tells what a run would do, and changes nothing', async () => {
    await rig.apply(plain, 0, [write(plain, 1, 20n, 'x')]);
    const before = await rows(plain);
    const changes = [write(plain, 1, 10n, 'old'), write(plain, 2, 10n, 'new')];
    const predicted = await outside(plain, changes, { dryRun: true });
    expect(await rows(plain)).toEqual(before);
    expect((await rig.pool.query(`SELECT 1 FROM ${SCHEMA}._cdc_ledger WHERE origin <> 'stream'`)).rowCount).toBe(0);
    expect(await outside(plain, changes)).toEqual(predicted);
  });

  it('fails as the run would', async () => {
    const sparse = write(strict, 1, 10n, null);
    for (const dryRun of [true, false]) {
      await expect(outside(strict, [sparse], { dryRun })).rejects.toMatchObject({ kind: 'row' });
    }
  });
});

describe('the gate', () => {
  it('is stepped back from while the stream holds it, and nothing is written', async () => {
    const client = await rig.pool.connect();
    try {
      const { rows: ids } = await client.query<{ id: string }>(
        `SELECT id FROM ${SCHEMA}._cdc_tables WHERE source = $1`,
        [plain.name],
      );
      await client.query('BEGIN');
      await client.query(gateStatement('shared'), [ids[0]?.id]);
      await expect(outside(plain, [write(plain, 1, 10n, 'a')])).rejects.toMatchObject({
        code: 'GATE_BUSY',
        kind: 'transient',
      });
      expect(await rows(plain)).toEqual([]);
      await client.query('COMMIT');
      expect(await outside(plain, [write(plain, 1, 10n, 'a')])).toEqual(['applied']);
    } finally {
      client.release();
    }
  });
});

describe('what the caller adds', () => {
  it('commits with it or not at all', async () => {
    const also = () => [{ text: 'CREATE TABLE outside_mark (x integer)' }, { text: 'SELECT 1 / 0' }];
    await expect(outside(plain, [write(plain, 1, 10n, 'a')], { also })).rejects.toThrow();
    expect(await rows(plain)).toEqual([]);
    expect((await rig.pool.query(`SELECT 1 FROM pg_class WHERE relname = 'outside_mark'`)).rowCount).toBe(0);
  });
});

describe('any mixture of stream and outside writers', () => {
  it('gives the same rows as the stream alone', async () => {
    const change = fc
      .record({
        id: fc.integer({ min: 1, max: 3 }),
        time: fc.bigInt({ min: 1n, max: 6n }),
        v: fc.constantFrom('a', 'b', null),
        isDelete: fc.boolean(),
      })
      .map(({ id, time, v, isDelete }) => (isDelete ? remove(plain, id, time) : write(plain, id, time, v)));
    const history = fc.array(fc.tuple(change, fc.boolean()), { minLength: 1, maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(history, async (steps) => {
        const reset = async (): Promise<void> => {
          await rig.pool.query(`TRUNCATE ${plain.targetTable}`);
          await rig.pool.query(`TRUNCATE ${SCHEMA}._cdc_graveyard`);
        };
        await reset();
        for (const [each] of steps) await rig.apply(plain, 0, [each]);
        const alone = await rows(plain);
        await reset();
        for (const [each, isOutside] of steps) {
          if (isOutside) await outside(plain, [each]);
          else await rig.apply(plain, 1, [each]);
        }
        expect(await rows(plain)).toEqual(alone);
      }),
      { numRuns: 60 },
    );
  });
});
