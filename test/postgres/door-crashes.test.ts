import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { rowKey, type ChangeEvent } from '../../src/change/change-event.ts';
import { identify } from '../../src/change/change-id.ts';
import type { ApplyBatch } from '../../src/target/batch.ts';
import { PostgresDoor } from '../../src/target/door.ts';
import { column, openDoorRig, scalar, tableOf, type DoorRig } from '../support/door-rig.ts';

const SCHEMA = 'door_crashes';
const table = tableOf('crashing', [
  column('k', 'partition', scalar('text'), 'text'),
  column('c', 'clustering', scalar('int'), 'integer'),
  column('v', 'regular', scalar('text'), 'text'),
]);

let rig: DoorRig;
beforeAll(async () => {
  rig = await openDoorRig(inject('postgresUrl'), [table], { schema: SCHEMA });
});
afterAll(() => rig.close());

/** What `client.query` got last, when the connection is to die: before the statement is sent, or after its answer. */
type Moment = 'before' | 'after';

/** A pool whose connections break at the n-th statement, counted over all of them. */
function breakingPool(pool: pg.Pool, at: number, moment: Moment): { pool: pg.Pool; statements: () => number } {
  let count = 0;
  const connect = async (): Promise<pg.PoolClient> => {
    const client = await pool.connect();
    const query = client.query.bind(client) as (...args: unknown[]) => Promise<unknown>;
    const destroy = (): void => {
      (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
    };
    const broken = async (...args: unknown[]): Promise<unknown> => {
      count += 1;
      const mine = count === at;
      if (mine && moment === 'before') {
        destroy();
        throw new Error('connection cut');
      }
      const answer = await query(...args);
      if (mine) {
        destroy();
        throw new Error('connection cut after the answer');
      }
      return answer;
    };
    return new Proxy(client, {
      get: (target, property) => {
        if (property === 'query') return broken;
        const value = Reflect.get(target, property) as unknown;
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
  };
  return { pool: { connect } as unknown as pg.Pool, statements: () => count };
}

const write = (c: number, writeTime: bigint, v: string): ChangeEvent => ({
  kind: 'write',
  table: table.name,
  key: rowKey(['p', String(c)]),
  writeTime,
  marker: { writeTime, expiry: null },
  cells: [{ writeTime, value: v, expiry: null }],
  ambiguity: null,
});

// Touches every kind of statement: graveyard, removal, range tombstone with its chunks, replacement, upsert, queue, ledger.
const seedRows = [write(1, 10n, 'one'), write(2, 10n, 'two'), write(5, 40n, 'newer than the range')];
const changes: ChangeEvent[] = [
  { kind: 'row-delete', table: table.name, key: rowKey(['p', '1']), writeTime: 20n, ambiguity: null },
  {
    kind: 'range-delete',
    table: table.name,
    partition: rowKey(['p']),
    start: { values: ['2'], inclusive: true },
    end: { values: ['9'], inclusive: true },
    writeTime: 30n,
    ambiguity: null,
  },
  write(3, 50n, 'three'),
  { ...write(4, 60n, 'ttl'), cells: [{ writeTime: 60n, value: 'ttl', expiry: 2_000_000_000_000_000n }] } as ChangeEvent,
];
const expected = [
  ['3', 'three'],
  ['4', 'ttl'],
  ['5', 'newer than the range'],
];

async function rows(): Promise<string[][]> {
  return (await rig.pool.query<string[]>({ text: 'SELECT c, v FROM crashing ORDER BY c', rowMode: 'array' })).rows;
}

async function scalarOf(sql: string): Promise<string | undefined> {
  return (await rig.pool.query<string[]>({ text: sql, rowMode: 'array' })).rows[0]?.[0];
}

async function seed(): Promise<ApplyBatch> {
  await rig.pool.query('TRUNCATE crashing');
  for (const name of ['graveyard', 'range_tombstones', 'queue', 'ledger']) {
    await rig.pool.query(`TRUNCATE ${SCHEMA}._cdc_${name}`);
  }
  await rig.apply(table, 0, seedRows);
  await rig.pool.query(`TRUNCATE ${SCHEMA}._cdc_ledger`);
  const position = await rig.target.shards.load(table.topic, 0);
  const from = position?.next ?? 0n;
  return {
    shard: { topic: table.topic, incarnation: 1, partition: 0 },
    table: table.name,
    from,
    next: from + BigInt(changes.length),
    lastRecord: null,
    changes: changes.map((change, i) => ({ offset: from + BigInt(i), change, id: identify(change).id })),
    deadLetters: [],
    duplicates: [],
    skipped: 0,
  };
}

function doorOver(pool: pg.Pool): PostgresDoor {
  return new PostgresDoor({ pool, controlSchema: SCHEMA, tables: rig.target.tables, clock: rig.clock });
}

describe('a crash between any two statements', () => {
  it('leaves all of a batch or nothing, and repeating it gives the same rows, ledger and position', async () => {
    const whole = await seed();
    const counting = breakingPool(rig.pool, -1, 'before');
    expect(await doorOver(counting.pool).apply(whole)).toMatchObject({ kind: 'committed' });
    expect(await rows()).toEqual(expected);
    const statements = counting.statements();
    expect(statements).toBeGreaterThan(15);

    let lostAnswers = 0;
    for (const moment of ['before', 'after'] as const) {
      for (let at = 1; at <= statements; at += 1) {
        const batch = await seed();
        await expect(doorOver(breakingPool(rig.pool, at, moment).pool).apply(batch)).rejects.toThrow();
        // A COMMIT whose connection was cut may still be under way: its lock is waited for.
        await rig.pool.query(`SELECT 1 FROM ${SCHEMA}._cdc_offsets WHERE topic = $1 FOR UPDATE`, [table.topic]);
        const position = (await rig.target.shards.load(table.topic, 0))?.next;
        const segments = await scalarOf(`SELECT count(*) FROM ${SCHEMA}._cdc_ledger`);
        // The position and the ledger tell the same story: nothing, or everything with only the answer lost.
        expect([position, segments]).toEqual(position === batch.from ? [batch.from, '0'] : [batch.next, '1']);
        const repeated = await rig.target.door.apply(batch);
        if (position === batch.next) {
          lostAnswers += 1;
          expect(repeated).toEqual({ kind: 'fenced', storedNext: batch.next });
        } else {
          expect(repeated).toMatchObject({ kind: 'committed' });
        }
        expect(await rows()).toEqual(expected);
        expect(await scalarOf(`SELECT count(*) FROM ${SCHEMA}._cdc_ledger`)).toBe('1');
      }
    }
    expect(lostAnswers).toBeGreaterThan(0);
  });
});

/** A pool whose first question for the server's start is answered by a server that was there before a failover. */
function replacedPool(pool: pg.Pool): pg.Pool {
  let asked = 0;
  const connect = async (): Promise<pg.PoolClient> => {
    const client = await pool.connect();
    const query = client.query.bind(client) as (...args: unknown[]) => Promise<unknown>;
    const told = async (...args: unknown[]): Promise<unknown> => {
      const answer = await query(...args);
      if ((args[0] as { name?: string }).name !== 'server-start') return answer;
      asked += 1;
      return asked === 1 ? { ...(answer as object), rows: [['another server']] } : answer;
    };
    return new Proxy(client, {
      get: (target, property) => {
        if (property === 'query') return told;
        const value = Reflect.get(target, property) as unknown;
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
  };
  return { connect } as unknown as pg.Pool;
}

describe('a failover between a range delete’s own transactions and its batch', () => {
  it('is noticed, and the position does not pass the delete before it was recorded again', async () => {
    const batch = await seed();
    const door = doorOver(replacedPool(rig.pool));
    await expect(door.apply(batch)).rejects.toMatchObject({ code: 'SERVER_CHANGED', kind: 'transient' });
    expect((await rig.target.shards.load(table.topic, 0))?.next).toBe(batch.from);
    // What the failover lost.
    await rig.pool.query(`TRUNCATE ${SCHEMA}._cdc_range_tombstones`);
    expect(await door.apply(batch)).toMatchObject({ kind: 'committed' });
    expect(await rows()).toEqual(expected);
    expect(await scalarOf(`SELECT count(*) FROM ${SCHEMA}._cdc_range_tombstones`)).toBe('1');
  });
});
