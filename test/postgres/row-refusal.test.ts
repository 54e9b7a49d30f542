/** What is known of a row that PostgreSQL refused: which columns, and whether it is certain which row it was. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { rowKey, type ChangeEvent } from '../../src/change/change-event.ts';
import { identify } from '../../src/change/change-id.ts';
import type { Table } from '../../src/catalog/table.ts';
import { LockstepError } from '../../src/shared/errors.ts';
import { column, openDoorRig, scalar, tableOf, type DoorRig } from '../support/door-rig.ts';

const columns = [
  column('id', 'partition', scalar('int'), 'integer'),
  column('v', 'regular', scalar('text'), 'text', { target: 'shown' }),
  column('n', 'regular', scalar('int'), 'integer'),
];
const table = tableOf('refusing', columns);
/** The same, made by somebody who put the key behind the others. */
const behind = tableOf('refusing_behind', columns);
const triggered = tableOf('refusing_triggered', columns);

let rig: DoorRig;
beforeAll(async () => {
  rig = await openDoorRig(inject('postgresUrl'), [table, behind, triggered], { schema: 'row_refusal' });
  const { pool } = rig;
  await pool.query('DROP TABLE refusing_behind');
  await pool.query(`CREATE TABLE refusing_behind (n integer, id integer PRIMARY KEY, shown text,
    _cdc_versions bigint[] NOT NULL DEFAULT '{}', _cdc_expiries bigint[], _cdc_token bigint)`);
  await pool.query('CREATE TABLE refusing_parents (n integer PRIMARY KEY)');
  await pool.query('INSERT INTO refusing_parents SELECT generate_series(0, 99)');
  await pool.query('ALTER TABLE refusing ADD CONSTRAINT has_parent FOREIGN KEY (n) REFERENCES refusing_parents');
  await pool.query('ALTER TABLE refusing ADD CONSTRAINT pair CHECK (n <> 13 OR shown IS NULL)');
  await pool.query('CREATE UNIQUE INDEX refusing_one ON refusing (shown)');
  for (const { targetTable } of [table, behind, triggered]) {
    await pool.query(`ALTER TABLE ${targetTable} ADD CONSTRAINT short CHECK (length(shown) < 6)`);
  }
  await pool.query(`CREATE FUNCTION refusing_changes() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN NEW.id = NEW.id + 1; RETURN NEW; END $$`);
  await pool.query(
    'CREATE TRIGGER changes BEFORE INSERT ON refusing_triggered FOR EACH ROW EXECUTE FUNCTION refusing_changes()',
  );
});
afterAll(async () => {
  await rig.pool.query('DROP TABLE IF EXISTS refusing, refusing_behind, refusing_triggered, refusing_parents');
  await rig.pool.query('DROP FUNCTION IF EXISTS refusing_changes()');
  await rig.close();
});

function write(of: Table, id: number, v: string | null, n: number | null): ChangeEvent {
  const cell = (value: string | null) => (value === null ? null : { writeTime: 1n, value, expiry: null });
  return {
    kind: 'write',
    table: of.name,
    key: rowKey([String(id)]),
    writeTime: 1n,
    marker: { writeTime: 1n, expiry: null },
    cells: [cell(v), cell(n === null ? null : String(n))],
    ambiguity: null,
  };
}

async function refusal(of: Table, changes: readonly ChangeEvent[]): Promise<LockstepError> {
  const error: unknown = await rig.apply(of, 0, changes).catch((thrown: unknown) => thrown);
  if (!(error instanceof LockstepError)) throw new Error('it was not refused', { cause: error });
  return error;
}

describe('the columns of a refusal', () => {
  it.each([
    ['a CHECK of one column', write(table, 1, 'too long', null), 'PG_23514', ['v'], 'refusing.short: shown'],
    ['a CHECK of two', write(table, 1, 'x', 13), 'PG_23514', ['n', 'v'], 'refusing.pair: n, shown'],
    ['a foreign key', write(table, 1, null, 100), 'PG_23503', ['n'], 'refusing.has_parent: n'],
  ])('of %s are those that its constraint names, as the source calls them', async (_, change, code, names, words) => {
    const error = await refusal(table, [change]);
    expect([error.code, error.columns.toSorted()]).toEqual([code, names]);
    expect(error.message).toContain(words);
  });

  it('of a unique index that is no constraint are its own, through the other door too', async () => {
    await rig.pool.query(`INSERT INTO refusing (id, shown) VALUES (-1, 'taken')`);
    const change = write(table, 1, 'taken', null);
    expect((await refusal(table, [change])).columns).toEqual(['v']);
    const outside = rig.target.outside.apply({
      shard: { topic: table.topic, incarnation: 1, partition: 0 },
      table: table.name,
      origin: 'redrive',
      changes: [{ offset: 0n, change, id: identify(change).id }],
      also: () => [],
      dryRun: true,
    });
    await expect(outside).rejects.toMatchObject({ code: 'PG_23505', columns: ['v'] });
  });
});

describe('the row of a refusal', () => {
  const guilty = (of: Table) => [write(of, 1, 'good', 2), write(of, 2, 'too long', 1), write(of, 3, 'fine', 3)];

  it('is certain where the row that PostgreSQL shows begins with the key and no trigger has a hand in it', async () => {
    expect(await refusal(table, guilty(table))).toMatchObject({ suspect: '["2"]', isSuspectProven: true });
  });

  it('is a guess where the key stands behind other columns: here it is the wrong one', async () => {
    expect(await refusal(behind, guilty(behind))).toMatchObject({ suspect: '["1"]', isSuspectProven: false });
  });

  it('is a guess where a trigger may have changed the key: here it is the wrong one', async () => {
    expect(await refusal(triggered, guilty(triggered))).toMatchObject({ suspect: '["3"]', isSuspectProven: false });
  });

  it('is a guess where two rows are in conflict', async () => {
    const error = await refusal(table, [write(table, 4, 'same', 1), write(table, 5, 'same', 1)]);
    expect(error).toMatchObject({ code: 'PG_23505', isSuspectProven: false });
  });
});
