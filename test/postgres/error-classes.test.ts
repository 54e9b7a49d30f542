/**
 * Every SQLSTATE of the table of errors, raised by a real PostgreSQL inside the door's own statements, and what the door
 * makes of it: the kind alone decides whether a shard retries, stops, or sets a record aside.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { rowKey, type ChangeEvent } from '../../src/change/change-event.ts';
import { BY_CLASS, BY_STATE } from '../../src/target/postgres-errors.ts';
import { column, openDoorRig, scalar, tableOf, type DoorRig } from '../support/door-rig.ts';

const table = tableOf('classified', [
  column('id', 'partition', scalar('int'), 'integer'),
  column('v', 'regular', scalar('text'), 'text'),
]);

let rig: DoorRig;
beforeAll(async () => {
  rig = await openDoorRig(inject('postgresUrl'), [table], { schema: 'error_classes' });
  // The value names the state that its row is refused with.
  await rig.pool.query(`CREATE OR REPLACE FUNCTION raise_state() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF NEW.v <> 'good' THEN RAISE EXCEPTION 'made to fail' USING ERRCODE = NEW.v; END IF;
      RETURN NEW;
    END $$`);
  await rig.pool.query(
    'CREATE TRIGGER raise_state BEFORE INSERT OR UPDATE ON classified FOR EACH ROW EXECUTE FUNCTION raise_state()',
  );
});
afterAll(async () => {
  await rig.pool.query('DROP TABLE classified');
  await rig.pool.query('DROP FUNCTION raise_state()');
  await rig.close();
});
beforeEach(() => rig.pool.query('TRUNCATE classified'));

function write(id: number, time: bigint, v: string): ChangeEvent {
  return {
    kind: 'write',
    table: table.name,
    key: rowKey([String(id)]),
    writeTime: time,
    marker: { writeTime: time, expiry: null },
    cells: [{ writeTime: time, value: v, expiry: null }],
    ambiguity: null,
  };
}

/** One that is listed nowhere, of each class: states of a class have its kind, and what is in no class is `batch`. */
const OTHERS: readonly (readonly [string, string])[] = [
  ...Object.entries(BY_CLASS).map(([name, kind]) => [`${name}ZZ8`.slice(0, 5), kind] as const),
  ['0A000', 'batch'],
  ['XX000', 'batch'],
  ['42P01', 'batch'],
  ['42703', 'batch'],
];

describe('a state of PostgreSQL inside the door', () => {
  it.each([...Object.entries(BY_STATE), ...OTHERS])(
    '%s is %s, and nothing of the batch is written',
    async (state, kind) => {
      const before = await rig.target.shards.load(table.topic, 0);
      await expect(rig.apply(table, 0, [write(1, 1n, 'good'), write(2, 2n, state)])).rejects.toMatchObject({
        kind,
        code: state === '57014' ? 'STATEMENT_TIMEOUT' : `PG_${state}`,
      });
      expect((await rig.pool.query('SELECT 1 FROM classified')).rowCount).toBe(0);
      expect((await rig.target.shards.load(table.topic, 0))?.next).toBe(before?.next);
      expect(await rig.apply(table, 0, [write(1, 1n, 'good')])).toMatchObject({ kind: 'committed' });
    },
  );
});

describe('a trial', () => {
  const batch = async (change: ChangeEvent) => {
    const from = (await rig.target.shards.load(table.topic, 0))?.next ?? 0n;
    return {
      shard: { topic: table.topic, incarnation: 1, partition: 0 },
      table: table.name,
      from,
      next: from + 1n,
      lastRecord: null,
      changes: [{ offset: from, change, id: '0'.repeat(32) }],
      deadLetters: [],
      duplicates: [],
      skipped: 0,
    };
  };

  it('fails as the batch would, and leaves nothing where it would not', async () => {
    await expect(rig.target.door.apply(await batch(write(1, 1n, '23514')), { trial: true })).rejects.toMatchObject({
      kind: 'row',
    });
    const good = await batch(write(1, 1n, 'good'));
    expect(await rig.target.door.apply(good, { trial: true })).toMatchObject({ kind: 'committed' });
    expect((await rig.pool.query('SELECT 1 FROM classified')).rowCount).toBe(0);
    expect((await rig.target.shards.load(table.topic, 0))?.next).toBe(good.from);
  });

  it('hears deferred constraints', async () => {
    await rig.pool.query('CREATE TABLE owners (name text PRIMARY KEY)');
    await rig.pool.query(
      'ALTER TABLE classified ADD CONSTRAINT owned FOREIGN KEY (v) REFERENCES owners DEFERRABLE INITIALLY DEFERRED',
    );
    try {
      await expect(rig.target.door.apply(await batch(write(1, 1n, 'good')), { trial: true })).rejects.toMatchObject({
        code: 'PG_23503',
      });
    } finally {
      await rig.pool.query('ALTER TABLE classified DROP CONSTRAINT owned');
      await rig.pool.query('DROP TABLE owners');
    }
  });
});

describe('alone', () => {
  it('a batch waits for the exclusive gate of its table', async () => {
    const holder = await rig.pool.connect();
    try {
      await holder.query('BEGIN');
      const id = (await rig.pool.query<{ id: number }>('SELECT id FROM error_classes._cdc_tables')).rows[0]?.id;
      await holder.query('SELECT pg_advisory_xact_lock_shared($1, $2)', [0x4c535450, id]);
      const from = (await rig.target.shards.load(table.topic, 0))?.next ?? 0n;
      const applied = rig.target.door.apply(
        {
          shard: { topic: table.topic, incarnation: 1, partition: 0 },
          table: table.name,
          from,
          next: from + 1n,
          lastRecord: null,
          changes: [{ offset: from, change: write(7, 1n, 'good'), id: '0'.repeat(32) }],
          deadLetters: [],
          duplicates: [],
          skipped: 0,
        },
        { alone: true },
      );
      await expect
        .poll(async () => {
          const { rows } = await rig.pool.query("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted");
          return rows.length;
        })
        .toBe(1);
      await holder.query('COMMIT');
      expect(await applied).toMatchObject({ kind: 'committed' });
    } finally {
      holder.release();
    }
  });
});
