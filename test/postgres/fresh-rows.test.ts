/** Rows that a backfill inserts without merging them: only such of which the target knows nothing, and as a merge would. */
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { rowKey, type Cell, type ChangeEvent } from '../../src/change/change-event.ts';
import type { CqlType } from '../../src/change/source-type.ts';
import type { Table } from '../../src/catalog/table.ts';
import type { FoundRow, InsertedRows, ReadMark } from '../../src/target/rereads/source-rows.ts';
import { column, openDoorRig, scalar, tableOf, type DoorRig } from '../support/door-rig.ts';
import { storedRows } from '../support/stored-rows.ts';

const SCHEMA = 'fresh_rows';
const setOfText: CqlType = { kind: 'set', element: scalar('text'), frozen: false };
const columns = [
  column('k', 'partition', scalar('text'), 'text'),
  column('c', 'clustering', scalar('int'), 'integer'),
  column('a', 'regular', scalar('text'), 'text'),
  column('n', 'regular', scalar('decimal'), 'numeric'),
  column('s', 'regular', setOfText, 'jsonb'),
];
// Nothing is looked at again by itself: what is wrong stays wrong.
const more = { usesTtl: true, rereads: { mode: 'apply', existenceChecks: false } } as const;
const inserted = tableOf('fresh_inserted', columns, more);
const merged = tableOf('fresh_merged', columns, more);
const narrow = tableOf('fresh_narrow', columns.slice(0, 1).concat(columns.slice(2, 3)), more);

let rig: DoorRig;
beforeAll(async () => {
  rig = await openDoorRig(inject('postgresUrl'), [inserted, merged, narrow], { schema: SCHEMA });
});
afterAll(() => rig.close());
beforeEach(async () => {
  for (const { target } of rig.target.tables) await rig.pool.query(`TRUNCATE ${target}`);
  for (const name of ['graveyard', 'range_tombstones', 'queue'])
    await rig.pool.query(`TRUNCATE ${SCHEMA}._cdc_${name}`);
});

const nowUs = (): bigint => BigInt(rig.clock.nowMs()) * 1000n;
const cell = (writeTime: bigint, value: string, expiry: bigint | null = null): Cell => ({ writeTime, value, expiry });
const found = (c: number, cells: FoundRow['cells'], k = 'p'): FoundRow => ({ key: rowKey([k, String(c)]), cells });
const keysOf = (rows: ReadonlyMap<string, unknown>): string[] => [...rows.keys()].sort();
const boundOf = (table: Table) => rig.target.boundOf(table.name);

async function session<T>(
  work: (door: {
    mark: ReadMark;
    insert: (table: Table, rows: readonly FoundRow[]) => Promise<InsertedRows>;
    merge: (table: Table, rows: readonly FoundRow[]) => Promise<unknown>;
  }) => Promise<T>,
): Promise<T> {
  const opened = await rig.target.sourceRows.open();
  try {
    const mark = await opened.begin();
    const all = (table: Table, rows: readonly FoundRow[]) => ({
      table: table.name,
      shard: { topic: table.topic, incarnation: 1, partition: 0 },
      mark,
      rows,
      gateWaitMs: 5_000,
    });
    return await work({
      mark,
      insert: (table, rows) => opened.insert(all(table, rows)),
      merge: (table, rows) => opened.merge(all(table, rows)),
    });
  } finally {
    opened.close();
  }
}

const deletion = (c: number, writeTime: bigint): ChangeEvent => ({
  kind: 'row-delete',
  table: inserted.name,
  key: rowKey(['p', String(c)]),
  writeTime,
  ambiguity: null,
});

const queue = async (): Promise<unknown[]> => {
  const { rows } = await rig.pool.query<Record<string, unknown>>(
    `SELECT kind, due_us, row_key, queued_at < '1971-01-01' AS old, trigger FROM ${SCHEMA}._cdc_queue ORDER BY row_key, kind`,
  );
  return rows;
};

describe('rows that the target does not know', () => {
  it('stand as a merge would have them, with their expiries queued alike', async () => {
    const soon = nowUs() + 3_600_000_000n;
    const rows = [
      found(1, [cell(5n, 'x'), cell(7n, '1.50'), cell(9n, '["e"]')]),
      found(2, [cell(5n, 'with "quotes", {braces} and \\'), null, null]),
      found(3, [cell(5n, 'expires', soon), cell(6n, '2'), null]),
      found(4, [null, cell(-8n, '1E+3'), null], 'other "partition"'),
    ];
    await session(async ({ insert, merge }) => {
      expect(await insert(inserted, rows)).toMatchObject({ left: [] });
      const queued = await queue();
      await rig.pool.query(`TRUNCATE ${SCHEMA}._cdc_queue`);
      await merge(merged, rows);
      expect(queued).toEqual(await queue());
      expect(queued).toHaveLength(1);
    });
    const [one, other] = [await storedRows(rig.pool, boundOf(inserted)), await storedRows(rig.pool, boundOf(merged))];
    expect(one).toEqual(other);
    expect(one.size).toBe(4);
    const bookkeeping = async (name: string): Promise<unknown> =>
      (
        await rig.pool.query(
          `SELECT k, c, _cdc_versions::text, _cdc_expiries::text, _cdc_token FROM ${name} ORDER BY 1, 2`,
        )
      ).rows;
    expect(await bookkeeping('fresh_inserted')).toEqual(await bookkeeping('fresh_merged'));
  });

  it('are left to the merge where it would do more than insert them', async () => {
    const soon = nowUs() + 3_600_000_000n;
    const rows = [
      found(1, [null, null, null]),
      found(3, [cell(5n, 'x'), null, cell(5n, '["e"]', soon)]),
      found(4, [cell(5n, 'x'), null, null]),
      // Expired since it was read: a marker may be all that is left, or nothing.
      found(5, [cell(5n, 'gone', nowUs() - 1_000_000n), null, null]),
    ];
    await session(async ({ insert }) => {
      expect((await insert(inserted, rows)).left).toEqual([0, 1, 3]);
    });
    expect(keysOf(await storedRows(rig.pool, boundOf(inserted)))).toEqual(['["p","4"]']);
  });
});

describe('a row of which the target knows something', () => {
  it('is not inserted: it was deleted meanwhile, by itself or with its range, or is there already', async () => {
    const rows = [1, 2, 3, 4].map((c) => found(c, [cell(5n, 'read'), null, null]));
    await session(async ({ insert, merge }) => {
      // All of it after the read began, before it is written.
      await rig.apply(inserted, 0, [
        deletion(1, 6n),
        {
          kind: 'write',
          table: inserted.name,
          key: rowKey(['p', '3']),
          writeTime: 9n,
          ambiguity: null,
          marker: { writeTime: 9n, expiry: null },
          cells: [cell(9n, 'newer'), null, null],
        },
      ]);
      expect((await insert(inserted, rows)).left).toEqual([0, 2]);
      await merge(inserted, [rows[0]!, rows[2]!]);
    });
    const stored = await storedRows(rig.pool, boundOf(inserted));
    expect(keysOf(stored)).toEqual(['["p","2"]', '["p","3"]', '["p","4"]']);
    const { rows: values } = await rig.pool.query<{ a: string }>('SELECT a FROM fresh_inserted WHERE c = 3');
    expect(values).toEqual([{ a: 'newer' }]);
  });

  it('is not inserted under a range tombstone of its partition', async () => {
    await session(async ({ insert, merge }) => {
      const end = { values: [], inclusive: true };
      await rig.apply(inserted, 0, [
        {
          kind: 'range-delete',
          table: inserted.name,
          partition: rowKey(['p']),
          writeTime: 6n,
          ambiguity: null,
          start: { values: ['2'], inclusive: true },
          end,
        },
      ]);
      const rows = [found(1, [cell(5n, 'kept'), null, null]), found(2, [cell(5n, 'deleted'), null, null])];
      const other = found(2, [cell(5n, 'x'), null, null], 'q');
      expect((await insert(inserted, [...rows, other])).left).toEqual([0, 1]);
      await merge(inserted, rows);
    });
    expect(keysOf(await storedRows(rig.pool, boundOf(inserted)))).toEqual(['["p","1"]', '["q","2"]']);
  });

  it('is not inserted where the registry knows columns that this process does not', async () => {
    const rows = [found(1, [cell(5n, 'x'), null, null])];
    await rig.pool.query(`UPDATE ${SCHEMA}._cdc_tables SET next_ordinal = next_ordinal + 1 WHERE source = $1`, [
      inserted.name,
    ]);
    try {
      await session(async ({ insert }) => {
        await expect(insert(inserted, rows)).rejects.toMatchObject({ code: 'SCHEMA_BEHIND', kind: 'transient' });
      });
      expect((await storedRows(rig.pool, boundOf(inserted))).size).toBe(0);
    } finally {
      await rig.pool.query(`UPDATE ${SCHEMA}._cdc_tables SET next_ordinal = next_ordinal - 1 WHERE source = $1`, [
        inserted.name,
      ]);
    }
  });
});

it('a row that the target refuses fails its chunk as a row error, and nothing is written', async () => {
  await rig.pool.query(`ALTER TABLE fresh_narrow ADD CONSTRAINT no_bad CHECK (a <> 'bad')`);
  const row = (k: string, a: string): FoundRow => ({ key: rowKey([k]), cells: [cell(5n, a)] });
  await session(async ({ insert }) => {
    await expect(insert(narrow, [row('1', 'good'), row('2', 'bad')])).rejects.toMatchObject({ kind: 'row' });
    expect((await storedRows(rig.pool, boundOf(narrow))).size).toBe(0);
    // The session goes on.
    expect((await insert(narrow, [row('1', 'good')])).left).toEqual([]);
  });
  expect((await storedRows(rig.pool, boundOf(narrow))).size).toBe(1);
});
