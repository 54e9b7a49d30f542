/** Growth of a topic: a key's changes come through two shards, which only the exclusive gate keeps apart. */
import fc from 'fast-check';
import type pg from 'pg';
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest';
import { rowKey, type ChangeEvent } from '../../src/change/change-event.ts';
import { identify } from '../../src/change/change-id.ts';
import type { ApplyBatch } from '../../src/target/batch.ts';
import { PostgresDoor } from '../../src/target/door.ts';
import { imageFrom } from '../../src/target/row-codec.ts';
import { gateStatement } from '../../src/target/transaction.ts';
import { column, openDoorRig, scalar, tableOf, type DoorRig } from '../support/door-rig.ts';
import { changes, expectedRows } from '../support/histories.ts';

const SCHEMA = 'door_growth';
const table = tableOf('growing', [
  column('id', 'partition', scalar('int'), 'integer'),
  column('name', 'regular', scalar('text'), 'text'),
  column('age', 'regular', scalar('int'), 'integer'),
]);
const { topic } = table;

let rig: DoorRig;
beforeEach(async () => {
  rig = await openDoorRig(inject('postgresUrl'), [table], { schema: SCHEMA, partitions: 1 });
});
afterEach(() => rig.close());

const grow = () => rig.target.shards.ensure(topic, [0n, 0n]);

async function rows(sql: string): Promise<(string | null)[][]> {
  return (await rig.pool.query<(string | null)[]>({ text: sql, rowMode: 'array' })).rows;
}

function update(writeTime: bigint, name: string | null, expiry: bigint | null = null): ChangeEvent {
  return {
    kind: 'write',
    table: table.name,
    key: rowKey(['1']),
    writeTime,
    marker: null,
    cells: [{ writeTime, value: name, expiry }, null],
    ambiguity: null,
  };
}

async function batchOf(partition: number, ...of: readonly ChangeEvent[]): Promise<ApplyBatch> {
  const from = (await rig.target.shards.load(topic, partition))?.next ?? -1n;
  return {
    shard: { topic, incarnation: 1, partition },
    table: table.name,
    from,
    next: from + BigInt(of.length),
    lastRecord: null,
    changes: of.map((change, i) => ({ offset: from + BigInt(i), change, id: identify(change).id })),
    deadLetters: [],
    duplicates: [],
    skipped: 0,
  };
}

/** A pool whose connections hold back the upsert until they are let go: the moment between the two round trips. */
function holdingPool(pool: pg.Pool): { pool: pg.Pool; reached: Promise<void>; letGo: () => void } {
  const reached = Promise.withResolvers<undefined>();
  const held = Promise.withResolvers<undefined>();
  const connect = async (): Promise<pg.PoolClient> => {
    const client = await pool.connect();
    const query = client.query.bind(client) as (statement: { text?: string } | string) => Promise<unknown>;
    let holding: Promise<undefined> | null = null;
    const holdingBack = async (statement: { text?: string } | string): Promise<unknown> => {
      const text = typeof statement === 'string' ? statement : (statement.text ?? '');
      if (text.startsWith('INSERT INTO "public"."growing"')) {
        reached.resolve(undefined);
        holding = held.promise;
      }
      // What follows in the same round trip keeps its place behind it.
      if (holding !== null) await holding;
      return query(statement);
    };
    return new Proxy(client, {
      get: (target, property) => {
        if (property === 'query') return holdingBack;
        const value = Reflect.get(target, property) as unknown;
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
  };
  return { pool: { connect } as unknown as pg.Pool, reached: reached.promise, letGo: () => held.resolve(undefined) };
}

/** Waits until somebody waits for a gate. */
async function somebodyWaits(): Promise<void> {
  while ((await rows(`SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted`)).length === 0);
}

/**
 * The race: shard 1 has read the graveyard (nothing there) and is about to write an older value, when shard 0 takes the
 * row's last cell away and leaves its memory in the graveyard.
 */
async function race(other: (removal: Promise<unknown>) => Promise<void>): Promise<(string | null)[][]> {
  await rig.apply(table, 0, [update(10n, 'first')]);
  await grow();
  const { pool, reached, letGo } = holdingPool(rig.pool);
  const late = new PostgresDoor({ pool, controlSchema: SCHEMA, tables: rig.target.tables, clock: rig.clock });
  const writing = late.apply(await batchOf(1, update(15n, 'late')));
  await reached;
  const removing = rig.target.door.apply(await batchOf(0, update(20n, null)));
  await other(removing);
  letGo();
  expect(await writing).toMatchObject({ kind: 'committed' });
  expect(await removing).toMatchObject({ kind: 'committed' });
  return rows('SELECT name FROM growing');
}

describe('a topic that grew', () => {
  it('lets no two shards write a table at the same time, so memory in the graveyard is not missed ⚠', async () => {
    expect(await race(somebodyWaits)).toEqual([]);
  });

  it('would resurrect the row under the shared gate: the race is real', async () => {
    const ended = async (removal: Promise<unknown>): Promise<void> => {
      await removal;
    };
    const growing = rig.target.shards.growth;
    // As if nobody had marked it: rows for the new partitions, and no growth.
    growing.addShards = async (of, logStarts) => {
      await rig.pool.query(
        `INSERT INTO ${SCHEMA}._cdc_offsets (topic, incarnation, partition, next_offset) SELECT $1, 1, p, 0 FROM generate_series(0, $2) AS p ON CONFLICT DO NOTHING`,
        [of, logStarts.length - 1],
      );
      return true;
    };
    expect(await race(ended)).toEqual([['late']]);
  });

  it('converges whatever shards the changes of one key come through, at the same time', async () => {
    await rig.target.shards.ensure(topic, [0n, 0n, 0n]);
    const bound = rig.target.tables[0]!;
    const history = fc.array(
      fc.tuple(
        changes({
          table: table.name,
          keys: [['1', '2']],
          partitionColumns: 1,
          values: [
            ['a', 'b'],
            ['-1', '1'],
          ],
        }),
        fc.nat(2),
      ),
      { minLength: 2, maxLength: 12 },
    );
    await fc.assert(
      fc.asyncProperty(history, async (delivered) => {
        await rig.pool.query(`TRUNCATE growing, ${SCHEMA}._cdc_graveyard`);
        const ofShard = (shard: number) => delivered.filter(([, to]) => to === shard).map(([change]) => change);
        const one = async (shard: number): Promise<void> => {
          for (const change of ofShard(shard)) await rig.apply(table, shard, [change]);
        };
        await Promise.all([one(0), one(1), one(2)]);
        const stored = await rows('SELECT id, name, age, _cdc_versions, _cdc_expiries FROM growing');
        const expected = expectedRows(
          delivered.map(([change]) => change),
          bound,
          BigInt(rig.clock.nowMs()) * 1000n,
        );
        const shown = (state: { marker: unknown; cells: unknown }) => ({ marker: state.marker, cells: state.cells });
        expect(new Map(stored.map((row) => [JSON.stringify([row[0]]), shown(imageFrom(bound, row, 1))]))).toEqual(
          new Map([...expected].map(([key, state]) => [key, shown(state)])),
        );
      }),
      { numRuns: 60 },
    );
  });
});

describe('the end of growth', () => {
  const step = (ends: readonly bigint[], ageMs = 0) =>
    rig.target.shards.growth.step(topic, ageMs, () => Promise.resolve(ends));

  it('comes when the log ends of one metadata age later are passed, not before', async () => {
    expect(await step([0n])).toBe('none');
    await grow();
    expect(await step([1n, 1n], 3_600_000)).toBe('settling');
    expect(await step([1n, 1n])).toBe('draining');
    await rig.apply(table, 0, [update(10n, 'a')]);
    expect(await step([9n, 9n])).toBe('draining');
    await rig.apply(table, 1, [update(11n, 'b')]);
    expect(await step([9n, 9n])).toBe('over');
    expect(await step([9n, 9n])).toBe('none');
    expect(await rows(`SELECT DISTINCT growing FROM ${SCHEMA}._cdc_offsets`)).toEqual([['f']]);
  });

  it('does not come where a failover takes the ends back while the gate is waited for ⚠', async () => {
    await grow();
    await step([0n, 0n]);
    const other = await rig.pool.connect();
    try {
      await other.query('BEGIN');
      await other.query(gateStatement('shared'), [rig.target.tables[0]?.id]);
      const stepping = step([0n, 0n]);
      await somebodyWaits();
      await rig.pool.query(`UPDATE ${SCHEMA}._cdc_growth SET ends = NULL`);
      await other.query('COMMIT');
      expect(await stepping).toBe('draining');
    } finally {
      other.release();
    }
    expect(await rows(`SELECT DISTINCT growing FROM ${SCHEMA}._cdc_offsets`)).toEqual([['t']]);
  });

  it('begins anew when the topic grows again meanwhile', async () => {
    await grow();
    expect(await step([0n, 0n])).toBe('draining');
    await rig.target.shards.ensure(topic, [0n, 0n, 0n]);
    expect(await step([0n, 0n, 0n], 3_600_000)).toBe('settling');
  });

  it('begins with another form of the record keys as well, but not with the first one that is seen', async () => {
    expect(await rig.target.shards.noteKeyForm(topic, '{"id":')).toBe(false);
    expect(await step([0n])).toBe('none');
    expect(await rig.target.shards.noteKeyForm(topic, '{"id":')).toBe(false);
    expect(await rig.target.shards.noteKeyForm(topic, '{"schema":')).toBe(true);
    expect(await step([0n], 3_600_000)).toBe('settling');
    expect(await rows(`SELECT DISTINCT growing FROM ${SCHEMA}._cdc_offsets`)).toEqual([['t']]);
  });

  it('is not reached by the first creation of a topic’s shards', async () => {
    expect(await rows(`SELECT * FROM ${SCHEMA}._cdc_growth`)).toEqual([]);
  });

  it('leaves work that was queued before it to the exclusive gate, later work to the shared one', async () => {
    const at = (ms: number) => BigInt(ms) * 1000n;
    rig.clock.set(1_000_000);
    await rig.apply(table, 0, [update(10n, 'ttl', at(1_001_000))]);
    await grow();
    await step([0n, 0n]);
    expect(await step([0n, 0n])).toBe('over');
    const shard = { topic, incarnation: 1, partition: 0 };
    rig.clock.set(1_002_000);
    const other = await rig.pool.connect();
    try {
      await other.query('BEGIN');
      await other.query(gateStatement('shared'), [rig.target.tables[0]?.id]);
      const sweeping = rig.target.sweep(table.name, shard);
      await somebodyWaits();
      await other.query('COMMIT');
      await sweeping;
      expect(await rows('SELECT * FROM growing')).toEqual([]);

      await rig.apply(table, 0, [update(30n, 'ttl', at(1_003_000))]);
      rig.clock.set(1_004_000);
      await other.query('BEGIN');
      await other.query(gateStatement('shared'), [rig.target.tables[0]?.id]);
      await rig.target.sweep(table.name, shard);
      expect(await rows('SELECT * FROM growing')).toEqual([]);
      await other.query('COMMIT');
    } finally {
      other.release();
    }
  });
});

describe('an expiry that was queued beside the stream', () => {
  it('is swept when no batch is under way: the row may be another shard’s, whose batch would miss its memory ⚠', async () => {
    await rig.pool.query(`TRUNCATE ${SCHEMA}._cdc_growth`);
    await rig.pool.query(
      `INSERT INTO ${SCHEMA}._cdc_offsets (topic, incarnation, partition, next_offset) VALUES ($1, 1, 1, 0)`,
      [topic],
    );
    rig.clock.set(1_000_000);
    const change = update(20n, 'ttl', 1_001_000_000n);
    // As a backfill does it: whatever shard's turn it is.
    await rig.target.outside.apply({
      shard: { topic, incarnation: 1, partition: 0 },
      table: table.name,
      origin: 'redrive',
      changes: [{ offset: 0n, change, id: identify(change).id }],
      also: () => [],
      dryRun: false,
    });
    rig.clock.set(1_002_000);
    const { pool, reached, letGo } = holdingPool(rig.pool);
    const late = new PostgresDoor({ pool, controlSchema: SCHEMA, tables: rig.target.tables, clock: rig.clock });
    const writing = late.apply(await batchOf(1, update(15n, 'late')));
    await reached;
    const sweeping = rig.target.sweep(table.name, { topic, incarnation: 1, partition: 0 });
    await Promise.race([somebodyWaits(), sweeping]);
    letGo();
    await Promise.all([writing, sweeping]);
    expect(await rows('SELECT name FROM growing')).toEqual([]);
  });
});
