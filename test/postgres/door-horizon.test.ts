/** The horizon: what is purged and when, and what a change that comes after it may still do. */
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest';
import { rowKey, type ChangeEvent } from '../../src/change/change-event.ts';
import { PURGE_START, type PurgeCursor } from '../../src/target/index.ts';
import { column, openDoorRig, scalar, tableOf, type DoorRig } from '../support/door-rig.ts';

const SCHEMA = 'door_horizon';
const HORIZON_MS = 10 * 86_400_000;
const visits = tableOf('horizon_visits', [
  column('k', 'partition', scalar('text'), 'text'),
  column('c', 'clustering', scalar('int'), 'integer'),
  column('v', 'regular', scalar('text'), 'text'),
  column('w', 'regular', scalar('text'), 'text'),
]);

let rig: DoorRig;
/** µs, some days ago, as the database's own clock has it. */
let past: bigint;
const day = 86_400_000;
beforeEach(async () => {
  rig = await openDoorRig(inject('postgresUrl'), [visits], { schema: SCHEMA });
  rig.clock.set(Date.now());
  past = BigInt(Date.now() - 2 * day) * 1000n;
});
afterEach(() => rig.close());

function write(c: number, writeTime: bigint, cells: (string | null | undefined)[], insert = true): ChangeEvent {
  return {
    kind: 'write',
    table: visits.name,
    key: rowKey(['p', String(c)]),
    writeTime,
    marker: insert ? { writeTime, expiry: null } : null,
    cells: cells.map((value) => (value === undefined ? null : { writeTime, value, expiry: null })),
    ambiguity: null,
  };
}
const remove = (c: number, writeTime: bigint): ChangeEvent => ({
  kind: 'row-delete',
  table: visits.name,
  key: rowKey(['p', String(c)]),
  writeTime,
  ambiguity: null,
});
const removePartition = (writeTime: bigint): ChangeEvent => ({
  kind: 'partition-delete',
  table: visits.name,
  partition: rowKey(['p']),
  writeTime,
  ambiguity: null,
});

const apply = (...changes: ChangeEvent[]) => rig.apply(visits, 0, changes);
async function rows(sql: string): Promise<(string | null)[][]> {
  return (await rig.pool.query<(string | null)[]>({ text: sql, rowMode: 'array' })).rows;
}
const shown = () => rows('SELECT c, v, w FROM horizon_visits ORDER BY c');
const memory = async () => [
  (await rows(`SELECT row_key FROM ${SCHEMA}._cdc_graveyard ORDER BY 1`)).map(([key]) => key),
  (await rows(`SELECT count(*) FROM ${SCHEMA}._cdc_range_tombstones`))[0]?.[0],
];

async function purge(afterMs: number): Promise<number> {
  rig.clock.set(Date.now() + afterMs);
  let purged = 0;
  for (let cursor: PurgeCursor | null = PURGE_START; cursor !== null;) {
    const step = await rig.target.purge(visits.name, cursor, HORIZON_MS);
    purged += step.purged;
    cursor = step.next;
  }
  return purged;
}

describe('the purge', () => {
  it('takes tombstones and graves H after they were processed, and notes how far it went', async () => {
    await apply(remove(1, past), write(2, past - 5n, ['a', undefined], false), removePartition(past - 9n));
    await apply(write(2, past + 7n, [null, undefined], false));
    expect(await memory()).toEqual([['["p","1"]', '["p","2"]'], '1']);
    expect(await purge(HORIZON_MS - 3 * day)).toBe(0);
    expect(await purge(HORIZON_MS + day)).toBe(3);
    expect(await memory()).toEqual([[], '0']);
    expect(await rows(`SELECT purged_until FROM ${SCHEMA}._cdc_tables`)).toEqual([[String(past + 7n)]]);
  });

  it('counts H from processing, not from the date: a tombstone of long ago that came today stays ⚠', async () => {
    await apply(remove(1, 5n));
    expect(await purge(day)).toBe(0);
    expect(await memory()).toEqual([['["p","1"]'], '0']);
  });

  it('leaves tombstones from the future alone, however long ago they came', async () => {
    const future = 2n ** 63n - 1n;
    await apply(remove(1, future), removePartition(future - 1n));
    expect(await purge(400 * day)).toBe(0);
    await apply(write(1, past, ['late', 'late']));
    expect(await shown()).toEqual([]);
  });

  it('goes on over pages, in chunks', async () => {
    await rig.pool.query(
      `INSERT INTO ${SCHEMA}._cdc_graveyard (table_id, row_key, deleted_at, processed_at)
       SELECT id, 'k' || n, n, now() - interval '1 year' FROM ${SCHEMA}._cdc_tables, generate_series(1, 12000) AS n`,
    );
    expect(await purge(0)).toBe(12_000);
    expect(await rows(`SELECT purged_until FROM ${SCHEMA}._cdc_tables`)).toEqual([['12000']]);
  });
});

describe('after the purge', () => {
  beforeEach(async () => {
    await apply(write(3, past - 20n, ['old', 'old']), write(3, past + 20n, ['new', undefined], false));
    await apply(remove(1, past), removePartition(past - 100n));
    await purge(HORIZON_MS + day);
  });

  it('an event does not resurrect: it is refused as TOO_OLD, and nothing of it is written ⚠', async () => {
    await expect(apply(write(1, past - 1n, ['ghost', 'ghost']))).rejects.toMatchObject({
      code: 'TOO_OLD',
      kind: 'row',
    });
    await expect(apply(write(9, past, ['never seen', undefined], false))).rejects.toMatchObject({ code: 'TOO_OLD' });
    expect(await shown()).toEqual([['3', 'new', 'old']]);
  });

  it('an event that is newer applies as always', async () => {
    expect(await apply(write(1, past + 1n, ['new', undefined]))).toMatchObject({ kind: 'committed' });
    expect(await shown()).toEqual([
      ['1', 'new', null],
      ['3', 'new', 'old'],
    ]);
  });

  it('a copy of what stands there, what loses against something newer, and what removes apply as always', async () => {
    expect(await apply(write(3, past - 20n, ['old', 'old']))).toMatchObject({ kind: 'committed' });
    expect(await apply(write(3, past - 10n, ['lost', undefined], false))).toMatchObject({ kind: 'committed' });
    expect(await apply(remove(7, past - 50n))).toMatchObject({ kind: 'committed' });
    expect(await shown()).toEqual([['3', 'new', 'old']]);
    expect(await apply(write(3, past - 15n, [undefined, null], false))).toMatchObject({ kind: 'committed' });
    expect(await shown()).toEqual([['3', 'new', null]]);
  });

  it('an old cell of a row that lives is refused as well, because a tombstone may have covered it', async () => {
    await apply(write(4, past + 1n, ['v', undefined]));
    await expect(apply(write(4, past - 1n, [undefined, 'ghost'], false))).rejects.toMatchObject({ code: 'TOO_OLD' });
    expect(await shown()).toEqual([
      ['3', 'new', 'old'],
      ['4', 'v', null],
    ]);
  });
});

describe('the ledger', () => {
  it('loses the partitions that are older than the retention, and old rows of the default one', async () => {
    const start = Date.now() - 40 * day;
    rig.clock.set(start);
    await rig.target.upkeep({ ledgerMs: 30 * day });
    const partitions = async () =>
      (
        await rows(
          `SELECT relname FROM pg_class WHERE relname ~ '^_cdc_ledger_[0-9]{8}$' AND relnamespace = '${SCHEMA}'::regnamespace ORDER BY 1`,
        )
      ).map(([name]) => name?.slice(-8));
    const nameOf = (ms: number) => new Date(ms).toISOString().slice(0, 10).replaceAll('-', '');
    expect(await partitions()).toContain(nameOf(start));
    rig.clock.set(Date.now());
    await rig.target.upkeep({ ledgerMs: 30 * day });
    const left = await partitions();
    expect(left).not.toContain(nameOf(start));
    expect(left).toContain(nameOf(Date.now()));
    expect(left).toContain(nameOf(Date.now() + 7 * day));
  });
});
