import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { rowKey, type Cell, type ChangeEvent } from '../../src/change/change-event.ts';
import { identify } from '../../src/change/change-id.ts';
import type { Table } from '../../src/catalog/table.ts';
import type { ApplyBatch, DeadLetterEntry } from '../../src/target/batch.ts';
import { openTarget } from '../../src/target/index.ts';
import { gateStatement } from '../../src/target/transaction.ts';
import { column, openDoorRig, scalar, tableOf, type DoorRig } from '../support/door-rig.ts';

const SCHEMA = 'door_laws';

const people = tableOf('people', [
  column('id', 'partition', scalar('int'), 'integer'),
  column('name', 'regular', scalar('text'), 'text'),
  column('age', 'regular', scalar('int'), 'integer'),
]);
const strict = tableOf('strict_people', [
  column('id', 'partition', scalar('int'), 'integer'),
  column('name', 'regular', scalar('text'), 'text', { notNull: true }),
  column('age', 'regular', scalar('int'), 'integer'),
]);
const visits = tableOf('visits', [
  column('k', 'partition', scalar('text'), 'text'),
  column('c', 'clustering', scalar('int'), 'integer'),
  column('v', 'regular', scalar('text'), 'text'),
]);
const tables = [people, strict, visits];

let rig: DoorRig;
beforeAll(async () => {
  rig = await openDoorRig(inject('postgresUrl'), tables, { schema: SCHEMA, partitions: 2 });
});
afterAll(() => rig.close());

const CONTROL = ['graveyard', 'range_tombstones', 'queue', 'ledger', 'dead_letters', 'gaps'];
beforeEach(async () => {
  for (const table of tables) await rig.pool.query(`TRUNCATE ${table.targetTable}`);
  for (const name of CONTROL) await rig.pool.query(`TRUNCATE ${SCHEMA}._cdc_${name} CASCADE`);
});

type Cells = Readonly<Record<string, string | null>>;

function cellsOf(table: Table, writeTime: bigint, cells: Cells, expiry: bigint | null): (Cell | null)[] {
  return table.regular.map(({ name }) => {
    const value = cells[name];
    return value === undefined ? null : { writeTime, value, expiry: value === null ? null : expiry };
  });
}

function update(
  table: Table,
  key: string[],
  writeTime: bigint,
  cells: Cells,
  expiry: bigint | null = null,
): ChangeEvent {
  return {
    kind: 'write',
    table: table.name,
    key: rowKey(key),
    writeTime,
    marker: null,
    cells: cellsOf(table, writeTime, cells, expiry),
    ambiguity: null,
  };
}

function insert(
  table: Table,
  key: string[],
  writeTime: bigint,
  cells: Cells,
  expiry: bigint | null = null,
): ChangeEvent {
  return { ...update(table, key, writeTime, cells, expiry), marker: { writeTime, expiry } } as ChangeEvent;
}

function remove(table: Table, key: string[], writeTime: bigint): ChangeEvent {
  return { kind: 'row-delete', table: table.name, key: rowKey(key), writeTime, ambiguity: null };
}

async function rows(sql: string): Promise<(string | null)[][]> {
  return (await rig.pool.query<(string | null)[]>({ text: sql, rowMode: 'array' })).rows;
}

async function positionOf(table: Table, partition = 0): Promise<bigint> {
  return (await rig.target.shards.load(table.topic, partition))?.next ?? -1n;
}

async function batchOf(
  table: Table,
  changes: readonly ChangeEvent[],
  more: Partial<ApplyBatch> = {},
): Promise<ApplyBatch> {
  const from = await positionOf(table);
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
    ...more,
  };
}

describe('the position is the fence', () => {
  it('refuses a batch that does not continue from the stored position, and writes nothing of it', async () => {
    const batch = await batchOf(people, [insert(people, ['1'], 10n, { name: 'ann' })]);
    const stale = { ...batch, from: batch.from + 1n, next: batch.next + 1n };
    expect(await rig.target.door.apply(stale)).toEqual({ kind: 'fenced', storedNext: batch.from });
    expect(await rows('SELECT * FROM people')).toEqual([]);
    expect(await rows(`SELECT * FROM ${SCHEMA}._cdc_ledger`)).toEqual([]);
    expect(await positionOf(people)).toBe(batch.from);
  });

  it('lets exactly one of two owners commit the same batch', async () => {
    const batch = await batchOf(people, [insert(people, ['1'], 10n, { name: 'ann' })]);
    const other = await openTarget({ pool: rig.pool, controlSchema: SCHEMA, tables, clock: rig.clock });
    const results = await Promise.all([rig.target.door.apply(batch), other.door.apply(batch)]);
    expect(results.map((result) => result.kind).sort()).toEqual(['committed', 'fenced']);
    expect(await rows(`SELECT count(*) FROM ${SCHEMA}._cdc_ledger`)).toEqual([['1']]);
  });

  it('is fenced by a position that went back: a failover or restore lost commits ⚠ (an epoch would not notice)', async () => {
    const first = await batchOf(people, [insert(people, ['1'], 10n, { name: 'ann' })]);
    await rig.target.door.apply(first);
    const second = await batchOf(people, [insert(people, ['2'], 10n, { name: 'bob' })]);
    await rig.pool.query(`UPDATE ${SCHEMA}._cdc_offsets SET next_offset = $1 WHERE topic = $2 AND partition = 0`, [
      String(first.from),
      people.topic,
    ]);
    expect(await rig.target.door.apply(second)).toEqual({ kind: 'fenced', storedNext: first.from });
  });

  it('advances over an empty batch and keeps the mark of the last data record', async () => {
    const mark = { offset: 41n, timestampMs: 1234, hash: Buffer.alloc(32, 7) };
    const from = await positionOf(people);
    await rig.target.door.apply(await batchOf(people, [], { next: from + 5n, lastRecord: mark }));
    await rig.target.door.apply(await batchOf(people, [], { next: from + 9n }));
    const position = await rig.target.shards.load(people.topic, 0);
    expect(position).toMatchObject({ next: from + 9n, lastRecord: mark });
  });
});

describe('deleted rows stay deleted', () => {
  it('a late insert does not resurrect a deleted row', async () => {
    await rig.apply(people, 0, [remove(people, ['1'], 20n)]);
    await rig.apply(people, 0, [insert(people, ['1'], 10n, { name: 'late' })]);
    expect(await rows('SELECT * FROM people')).toEqual([]);
    await rig.apply(people, 0, [insert(people, ['1'], 21n, { name: 'new' })]);
    await rig.apply(people, 0, [update(people, ['1'], 15n, { age: '3' })]);
    expect(await rows('SELECT name, age FROM people')).toEqual([['new', null]]);
  });

  it('a row that ended with its last cell remembers that cell’s tombstone', async () => {
    await rig.apply(people, 0, [update(people, ['1'], 10n, { name: 'ann' })]);
    await rig.apply(people, 0, [update(people, ['1'], 20n, { name: null })]);
    expect(await rows('SELECT * FROM people')).toEqual([]);
    await rig.apply(people, 0, [update(people, ['1'], 15n, { name: 'late' })]);
    expect(await rows('SELECT * FROM people')).toEqual([]);
    await rig.apply(people, 0, [update(people, ['1'], 12n, { age: '7' })]);
    expect(await rows('SELECT name, age FROM people')).toEqual([[null, '7']]);
  });

  it('a range delete that another shard carries removes rows and refuses late ones', async () => {
    await rig.apply(visits, 0, [
      insert(visits, ['p', '1'], 10n, { v: 'a' }),
      insert(visits, ['p', '9'], 10n, { v: 'b' }),
    ]);
    const range: ChangeEvent = {
      kind: 'range-delete',
      table: visits.name,
      partition: rowKey(['p']),
      start: { values: ['5'], inclusive: false },
      end: { values: [], inclusive: true },
      writeTime: 20n,
      ambiguity: null,
    };
    await rig.apply(visits, 1, [range]);
    await rig.apply(visits, 0, [
      insert(visits, ['p', '7'], 15n, { v: 'late' }),
      insert(visits, ['p', '8'], 25n, { v: 'new' }),
    ]);
    expect(await rows('SELECT c, v FROM visits ORDER BY c')).toEqual([
      ['1', 'a'],
      ['8', 'new'],
    ]);
  });

  it('what a range delete under way takes out of a change still replaces what stands in the row ⚠', async () => {
    await rig.apply(visits, 0, [insert(visits, ['p', '1'], 1n, { v: 'old' })]);
    // Its first transaction committed, then its process died: the rows are still there.
    await rig.pool.query(
      `INSERT INTO ${SCHEMA}._cdc_range_tombstones (table_id, partition_key, bounds, write_time)
       SELECT id, '["p"]', '[true,[],true,[]]', 4 FROM ${SCHEMA}._cdc_tables WHERE source = $1`,
      [visits.name],
    );
    await rig.apply(visits, 0, [update(visits, ['p', '1'], 3n, { v: null }), insert(visits, ['p', '1'], 862n, {})]);
    expect(await rows('SELECT c, v FROM visits')).toEqual([['1', null]]);
  });

  it('keeps one tombstone where a wider one covers the others', async () => {
    const range = (start: string[], end: string[], writeTime: bigint): ChangeEvent => ({
      kind: 'range-delete',
      table: visits.name,
      partition: rowKey(['p']),
      start: { values: start, inclusive: true },
      end: { values: end, inclusive: true },
      writeTime,
      ambiguity: null,
    });
    await rig.apply(visits, 0, [range(['1'], ['3'], 5n), range(['2'], ['4'], 50n)]);
    await rig.apply(visits, 1, [
      { kind: 'partition-delete', table: visits.name, partition: rowKey(['p']), writeTime: 20n, ambiguity: null },
    ]);
    expect(await rows(`SELECT write_time FROM ${SCHEMA}._cdc_range_tombstones ORDER BY 1`)).toEqual([['20'], ['50']]);
  });

  it('a batch that waited for the gate sees the tombstone written meanwhile ⚠ (a snapshot from before the wait would not)', async () => {
    const writer = await rig.pool.connect();
    try {
      const id = rig.target.tables.find((bound) => bound.table === visits)?.id;
      await writer.query('BEGIN');
      await writer.query(gateStatement('exclusive'), [id]);
      await writer.query(
        `INSERT INTO ${SCHEMA}._cdc_range_tombstones (table_id, partition_key, bounds, write_time) VALUES ($1, $2, $3, 20)`,
        [id, '["p"]', '[true,[],true,[]]'],
      );
      const applied = rig.apply(visits, 0, [insert(visits, ['p', '1'], 10n, { v: 'covered' })]);
      const waiting = async (): Promise<string | null | undefined> =>
        (await rows(`SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted`))[0]?.[0];
      while ((await waiting()) !== '1');
      await writer.query('COMMIT');
      expect(await applied).toMatchObject({ kind: 'committed' });
    } finally {
      writer.release();
    }
    expect(await rows('SELECT * FROM visits')).toEqual([]);
  });
});

describe('sparse changes where the target has NOT NULL columns', () => {
  it('update an existing row although an upsert of them would violate NOT NULL ⚠', async () => {
    await rig.apply(strict, 0, [insert(strict, ['1'], 10n, { name: 'ann', age: '1' })]);
    await rig.apply(strict, 0, [update(strict, ['1'], 20n, { age: '2' })]);
    expect(await rows('SELECT name, age FROM strict_people')).toEqual([['ann', '2']]);
  });

  it('are a row error of their own where there is no such row, and leave the position where it was', async () => {
    const before = await positionOf(strict);
    await expect(rig.apply(strict, 0, [update(strict, ['5'], 20n, { age: '2' })])).rejects.toMatchObject({
      code: 'INCOMPLETE_ROW',
      kind: 'row',
    });
    expect(await positionOf(strict)).toBe(before);
  });

  it('remove a row whose last cell goes without touching its NOT NULL columns', async () => {
    await rig.apply(strict, 0, [update(strict, ['1'], 10n, { name: 'ann', age: '1' })]);
    await rig.apply(strict, 0, [update(strict, ['1'], 20n, { name: null, age: null })]);
    expect(await rows('SELECT * FROM strict_people')).toEqual([]);
  });
});

describe('versions', () => {
  it('a missing entry means never written, not NULL ⚠', async () => {
    await rig.pool.query(`INSERT INTO people (id, name, _cdc_versions) VALUES (1, 'older program', '{5,5}')`);
    await rig.apply(people, 0, [update(people, ['1'], 6n, { age: '4' })]);
    expect(await rows('SELECT name, age, _cdc_versions FROM people')).toEqual([['older program', '4', '{5,5,6}']]);
  });

  it('an older change is superseded and counted, not an error', async () => {
    await rig.apply(people, 0, [insert(people, ['1'], 20n, { name: 'new', age: '1' })]);
    const result = await rig.apply(people, 0, [update(people, ['1'], 10n, { name: 'old' })]);
    expect(result).toMatchObject({ kind: 'committed', stats: { rows: 1, superseded: 1 } });
    expect(await rows('SELECT name FROM people')).toEqual([['new']]);
  });
});

describe('expiry', () => {
  const at = (ms: number) => BigInt(ms) * 1000n;

  it('takes a row out of sight when its last cell expires, and a late older change does not bring it back', async () => {
    rig.clock.set(1_000_000);
    await rig.apply(people, 0, [insert(people, ['1'], 10n, { name: 'ttl' }, at(1_005_000))]);
    expect(await rows('SELECT name FROM people')).toEqual([['ttl']]);
    const shard = { topic: people.topic, incarnation: 1, partition: 0 };
    await rig.target.sweep(people.name, shard);
    expect(await rows('SELECT name FROM people')).toEqual([['ttl']]);
    rig.clock.set(1_005_000);
    await rig.target.sweep(people.name, shard);
    expect(await rows('SELECT * FROM people')).toEqual([]);
    expect(await rows(`SELECT * FROM ${SCHEMA}._cdc_queue`)).toEqual([]);
    await rig.apply(people, 0, [update(people, ['1'], 9n, { name: 'late' })]);
    expect(await rows('SELECT * FROM people')).toEqual([]);
  });

  it('keeps the row and the other cells when one cell expires', async () => {
    rig.clock.set(1_000_000);
    await rig.apply(people, 0, [
      insert(people, ['1'], 10n, { age: '1' }),
      update(people, ['1'], 11n, { name: 'ttl' }, at(1_002_000)),
    ]);
    rig.clock.set(1_003_000);
    await rig.target.sweep(people.name, { topic: people.topic, incarnation: 1, partition: 0 });
    expect(await rows('SELECT name, age, _cdc_versions FROM people')).toEqual([[null, '1', '{10,11,10}']]);
  });
});

describe('all or nothing', () => {
  it('a row error leaves neither rows nor ledger nor position, and the door goes on', async () => {
    await rig.pool.query('ALTER TABLE people ADD CONSTRAINT adult CHECK (age > 0)');
    try {
      const before = await positionOf(people);
      const poison = [insert(people, ['1'], 10n, { age: '5' }), insert(people, ['2'], 10n, { age: '-5' })];
      await expect(rig.apply(people, 0, poison)).rejects.toMatchObject({ code: 'PG_23514', kind: 'row' });
      expect(await rows('SELECT * FROM people')).toEqual([]);
      expect(await rows(`SELECT * FROM ${SCHEMA}._cdc_ledger`)).toEqual([]);
      expect(await positionOf(people)).toBe(before);
      expect(await rig.apply(people, 0, poison.slice(0, 1))).toMatchObject({ kind: 'committed' });
    } finally {
      await rig.pool.query('ALTER TABLE people DROP CONSTRAINT adult');
    }
  });

  it('a connection killed while the batch waits is transient, and repeating the batch is right', async () => {
    const batch = await batchOf(people, [insert(people, ['1'], 10n, { name: 'ann' })]);
    const blocker = await rig.pool.connect();
    try {
      await blocker.query('BEGIN');
      await blocker.query(`SELECT 1 FROM ${SCHEMA}._cdc_offsets WHERE topic = $1 FOR UPDATE`, [people.topic]);
      const applied = rig.target.door.apply(batch);
      const outcome = expect(applied).rejects.toMatchObject({ kind: 'transient' });
      const kill = `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE wait_event_type = 'Lock' AND application_name = 'lockstep'`;
      while ((await rows(kill))[0]?.[0] === '0');
      await outcome;
    } finally {
      await blocker.query('ROLLBACK');
      blocker.release();
    }
    expect(await rig.target.door.apply(batch)).toMatchObject({ kind: 'committed' });
  });
});

describe('the ledger', () => {
  it('holds the distinct change IDs of a batch, sorted, with the best outcome of each', async () => {
    const a = insert(people, ['1'], 2_000_000n, { name: 'a' });
    const b = insert(people, ['2'], 1_000_000n, { name: 'b' });
    const ids = [identify(a).id, identify(b).id];
    const letter: DeadLetterEntry = {
      offset: 3n,
      code: 'NOT_JSON',
      reason: 'no JSON \0 here',
      path: '',
      changeId: null,
      rowKey: null,
      status: 'pending',
      timestampMs: 1,
      sha256: Buffer.alloc(32),
      valueBytes: 3,
    };
    const batch = await batchOf(people, [a, b, a], {});
    await rig.target.door.apply({
      ...batch,
      next: batch.from + 6n,
      deadLetters: [
        { ...letter, changeId: ids[0] ?? null },
        { ...letter, offset: 4n },
      ],
      duplicates: [ids[1] ?? ''],
    });
    expect(
      await rows(
        `SELECT records, duplicates, processed, dead_lettered, replace(min_id::text, '-', ''), ids, outcomes FROM ${SCHEMA}._cdc_ledger`,
      ),
    ).toEqual([['6', '1', '2', '0', ids[1], `\\x${ids[1] ?? ''}${ids[0] ?? ''}`, '\\x0000']]);
    expect(await rows(`SELECT count(*) FROM ${SCHEMA}._cdc_dead_letters`)).toEqual([['2']]);
  });
});

describe('gaps and registration', () => {
  it('moves the position over a gap only from where it stands', async () => {
    const shard = { topic: people.topic, incarnation: 1, partition: 1 };
    const from = await positionOf(people, 1);
    const gap = { shard, from, to: from + 10n, afterMs: null, beforeMs: 5 };
    expect(await rig.target.shards.recordGap({ ...gap, from: from + 1n })).toBe(false);
    expect(await rig.target.shards.recordGap(gap)).toBe(true);
    expect(await positionOf(people, 1)).toBe(from + 10n);
    expect(await rows(`SELECT from_offset, to_offset FROM ${SCHEMA}._cdc_gaps`)).toEqual([
      [String(from), String(from + 10n)],
    ]);
  });

  it('keeps ordinals for ever and refuses a second source for one target', async () => {
    const wider: Table = {
      ...people,
      regular: [column('zip', 'regular', scalar('text'), 'text'), ...people.regular.slice(1)],
    };
    const options = { pool: rig.pool, controlSchema: SCHEMA, clock: rig.clock };
    const [bound] = (await openTarget({ ...options, tables: [wider] })).tables;
    expect(bound?.regular.map((entry) => [entry.column.name, entry.ordinal])).toEqual([
      ['zip', 4],
      ['age', 3],
    ]);
    const rival = { ...people, name: 'shop.rival', topic: 'cass1.shop.rival' };
    await expect(openTarget({ ...options, tables: [rival] })).rejects.toMatchObject({
      code: 'TARGET_FED_TWICE',
      kind: 'config',
    });
  });
});
