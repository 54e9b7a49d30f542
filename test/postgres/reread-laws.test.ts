/** The laws of re-reads that a generated history seldom meets, each against the obvious version that breaks it. */
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { rowKey, type Cell, type ChangeEvent, type RowKey } from '../../src/change/change-event.ts';
import { hinted, type SourceRow } from '../../src/change/hint.ts';
import type { CqlType } from '../../src/change/source-type.ts';
import { rereadPolicy } from '../../src/catalog/reread-policy.ts';
import type { Table } from '../../src/catalog/table.ts';
import { LockstepError } from '../../src/shared/errors.ts';
import { column, openDoorRig, scalar, tableOf, type DoorRig } from '../support/door-rig.ts';

const SCHEMA = 'reread_laws';
const setOfText: CqlType = { kind: 'set', element: scalar('text'), frozen: false };
const rereads = { mode: 'apply', existenceChecks: true } as const;
const regular = [column('a', 'regular', scalar('text'), 'text'), column('s', 'regular', setOfText, 'jsonb')];
const plain = tableOf('l_plain', [column('k', 'partition', scalar('int'), 'integer'), ...regular], {
  rereads,
  usesTtl: true,
});
const clustered = tableOf(
  'l_clustered',
  [column('k', 'partition', scalar('int'), 'integer'), column('c', 'clustering', scalar('int'), 'integer'), ...regular],
  { rereads },
);
const strict = tableOf(
  'l_strict',
  [
    column('k', 'partition', scalar('int'), 'integer'),
    column('a', 'regular', scalar('text'), 'text', { notNull: true }),
    column('b', 'regular', scalar('text'), 'text'),
  ],
  { rereads },
);

let rig: DoorRig;
const START_MS = 1_000_000_000_000;
beforeAll(async () => {
  rig = await openDoorRig(inject('postgresUrl'), [plain, clustered, strict], { schema: SCHEMA });
});
afterAll(() => rig.close());
beforeEach(async () => {
  rig.clock.set(START_MS);
  for (const bound of rig.target.tables) await rig.pool.query(`TRUNCATE ${bound.target}`);
  for (const control of ['graveyard', 'range_tombstones', 'queue']) {
    await rig.pool.query(`TRUNCATE ${SCHEMA}._cdc_${control}`);
  }
});

const one = rowKey(['1']);
const live = (writeTime: bigint, value: string): Cell => ({ writeTime, value, expiry: null });
const set = (...elements: string[]): string => JSON.stringify(elements);

function hint(table: Table, change: ChangeEvent): ChangeEvent {
  const policy = rereadPolicy(table);
  if (policy === null) throw new Error('no policy');
  return hinted(change, policy);
}

function write(
  table: Table,
  key: RowKey,
  at: bigint,
  cells: readonly (string | null | undefined)[],
  insert = false,
): ChangeEvent {
  return hint(table, {
    kind: 'write',
    table: table.name,
    key,
    writeTime: at,
    ambiguity: null,
    marker: insert ? { writeTime: at, expiry: null } : null,
    cells: cells.map((value) => (value === undefined ? null : { writeTime: at, value, expiry: null })),
  });
}

const rowDelete = (table: Table, key: RowKey, at: bigint): ChangeEvent =>
  hint(table, { kind: 'row-delete', table: table.name, key, writeTime: at, ambiguity: null });

const apply = (table: Table, ...changes: ChangeEvent[]) => rig.apply(table, 0, changes);

type Answer = SourceRow | ((key: RowKey) => SourceRow);

/** One turn of the owner; the source answers every row the same, or by its key. */
function serve(table: Table, answer: Answer, during: () => Promise<unknown> = () => Promise.resolve()) {
  return rig.target.rereads.serve(
    table.name,
    { topic: table.topic, incarnation: 1, partition: 0 },
    async (_, keys) => {
      const rows = keys.map((key) => (typeof answer === 'function' ? answer(key) : answer));
      await during();
      return rows;
    },
    AbortSignal.timeout(60_000),
  );
}

async function rows(table: Table): Promise<readonly unknown[]> {
  const names = [...table.partitionKey, ...table.clustering, ...table.regular].map(({ target }) => target);
  const found = await rig.pool.query<Record<string, unknown>>(
    `SELECT ${names.join(', ')} FROM ${table.targetTable} ORDER BY 1, 2`,
  );
  return found.rows;
}

const queued = async (): Promise<number> =>
  Number((await rig.pool.query<{ count: string }>(`SELECT count(*) FROM ${SCHEMA}._cdc_queue`)).rows[0]?.count);

describe('a multi-cell column', () => {
  it('takes the later read though its write time fell', async () => {
    await apply(plain, write(plain, one, 5000n, [undefined, set('x')], true));
    await serve(plain, { cells: [null, live(5000n, set('a', 'b'))] });
    await apply(plain, write(plain, one, 4000n, [undefined, set('x')]));
    await serve(plain, { cells: [null, live(3000n, set('b'))] });
    expect(await rows(plain)).toEqual([{ k: '1', a: null, s: '["b"]' }]);
  });

  it('keeps its value while a newer change waits for its read', async () => {
    await apply(plain, write(plain, one, 10n, ['x', set('x')], true));
    await serve(plain, { cells: [live(10n, 'x'), live(10n, set('a'))] });
    await apply(plain, write(plain, one, 20n, ['y', set('x')], true));
    expect(await rows(plain)).toEqual([{ k: '1', a: 'y', s: '["a"]' }]);
  });

  it('is emptied by a null, because the change wrote it', async () => {
    await apply(plain, write(plain, one, 10n, ['x', set('x')], true));
    await serve(plain, { cells: [live(10n, 'x'), live(10n, set('a'))] });
    await apply(plain, write(plain, one, 20n, [undefined, set('x')]));
    await serve(plain, { cells: [live(10n, 'x'), null] });
    expect(await rows(plain)).toEqual([{ k: '1', a: 'x', s: null }]);
  });

  it.each(['a row delete', 'a range delete'])(
    'is read once more when %s below its newest time has come',
    async (what) => {
      const table = what === 'a row delete' ? plain : clustered;
      const key = what === 'a row delete' ? one : rowKey(['1', '1']);
      await apply(table, write(table, key, 30n, [undefined, set('x')]));
      await serve(table, { cells: [null, live(30n, set('old', 'new'))] });
      await apply(
        table,
        what === 'a row delete'
          ? rowDelete(table, key, 20n)
          : {
              kind: 'range-delete',
              table: table.name,
              writeTime: 20n,
              ambiguity: null,
              partition: one,
              start: { values: ['0'], inclusive: true },
              end: { values: [], inclusive: true },
            },
      );
      expect(await queued()).toBe(1);
      // A range delete finds its rows first.
      const answer: SourceRow = { cells: [null, live(30n, set('new'))] };
      await serve(table, answer);
      await serve(table, answer);
      expect(await rows(table)).toMatchObject([{ s: '["new"]' }]);
      expect(await queued()).toBe(0);
    },
  );
});

describe('a row that a read found', () => {
  it('goes when its last cell goes and the source has no row any more', async () => {
    await apply(plain, write(plain, one, 10n, ['x', set('x')]));
    await serve(plain, { cells: [live(10n, 'x'), null] });
    await apply(plain, write(plain, one, 20n, [null, undefined]));
    expect(await rows(plain)).toHaveLength(1);
    expect(await queued()).toBe(1);
    await serve(plain, null);
    expect(await rows(plain)).toEqual([]);
  });

  it('stays without a cell while the source has the row', async () => {
    await apply(plain, write(plain, one, 10n, ['x', set('x')]));
    await serve(plain, { cells: [live(10n, 'x'), null] });
    await apply(plain, write(plain, one, 20n, [null, undefined]));
    await serve(plain, { cells: [null, null] });
    expect(await rows(plain)).toEqual([{ k: '1', a: null, s: null }]);
    // The table uses TTLs: the row is looked at again, but not at once.
    expect(await serve(plain, null)).toMatchObject({ rows: 0, more: false });
    expect(await queued()).toBe(1);
  });

  it('is not brought back by a read that began before its delete', async () => {
    await apply(plain, write(plain, one, 10n, ['x', set('x')], true));
    await serve(plain, { cells: [live(10n, 'x'), live(10n, set('a'))] }, () =>
      apply(plain, rowDelete(plain, one, 20n)),
    );
    expect(await rows(plain)).toEqual([]);
  });

  it('is not brought back by a read that missed a delete which the target knows, where deletes hide no inserts', async () => {
    await apply(plain, rowDelete(plain, one, 20n), write(plain, one, 10n, [undefined, set('x')]));
    await serve(plain, { cells: [live(10n, 'x'), live(10n, set('a'))] });
    expect(await rows(plain)).toEqual([]);
  });

  it('is shown where a delete has swallowed its insert, also without any cell', async () => {
    const key = rowKey(['1', '1']);
    await apply(clustered, write(clustered, key, 10n, ['x'], true));
    await apply(clustered, rowDelete(clustered, key, 20n));
    expect(await rows(clustered)).toEqual([]);
    await serve(clustered, { cells: [null, null] });
    expect(await rows(clustered)).toEqual([{ k: '1', c: '1', a: null, s: null }]);
    // The next delete is above the marker that was found.
    await apply(clustered, rowDelete(clustered, key, 30n));
    await serve(clustered, null);
    expect(await rows(clustered)).toEqual([]);
  });

  it('whose marker expires at an unknown time is looked at again, and goes', async () => {
    const touch = hint(plain, {
      kind: 'write',
      table: plain.name,
      key: one,
      writeTime: BigInt(START_MS) * 1000n,
      ambiguity: 'marker-expiry-unknown',
      marker: { writeTime: BigInt(START_MS) * 1000n, expiry: null },
      cells: [null, null],
    });
    await apply(plain, touch);
    expect(await rows(plain)).toEqual([]);
    await serve(plain, { cells: [null, null] });
    expect(await rows(plain)).toHaveLength(1);
    rig.clock.set(START_MS + 5_000);
    expect(await serve(plain, null)).toMatchObject({ rows: 1 });
    expect(await rows(plain)).toEqual([]);
    expect(await queued()).toBe(0);
  });

  it.each([
    ['before the read is merged', 'y'],
    ['and is swept before the read is merged', 'x'],
  ])('goes with its last value, which expires %s', async (_, value) => {
    const expiry = BigInt(START_MS + 1_000) * 1000n;
    const expiring = (text: string): Cell => ({ writeTime: 10n, value: text, expiry });
    const swept: ChangeEvent = {
      kind: 'write',
      table: plain.name,
      key: one,
      writeTime: 10n,
      ambiguity: null,
      marker: null,
      cells: [expiring(value), null],
    };
    await apply(plain, write(plain, one, 5n, [undefined, set('x')]));
    await serve(plain, { cells: [expiring('y'), null] }, async () => {
      if (value === 'x') await apply(plain, swept);
      rig.clock.set(START_MS + 1_100);
      if (value === 'x') await apply(plain, swept);
    });
    rig.clock.set(START_MS + 3_000);
    await serve(plain, null);
    expect(await rows(plain)).toEqual([]);
  });

  const touch = (at: bigint): ChangeEvent =>
    hint(plain, {
      kind: 'write',
      table: plain.name,
      key: one,
      writeTime: at,
      ambiguity: 'marker-expiry-unknown',
      marker: { writeTime: at, expiry: null },
      cells: [null, null],
    });
  const later = (seconds: number): void => {
    rig.clock.set(START_MS + seconds * 1000);
  };

  it.each([
    ['the far past', 862n],
    ['the far future', 9_000_000_000_000_000_000n],
  ])('is looked at again as its marker ages, though that was written in %s', async (_, at) => {
    await apply(plain, touch(at));
    const looks: number[] = [];
    for (let seconds = 0; seconds <= 64; seconds += 1) {
      later(seconds);
      const { rows: read } = await serve(plain, { cells: [null, null] });
      if (read > 0) looks.push(seconds);
    }
    expect(looks).toEqual([0, 1, 2, 4, 8, 16, 32, 64]);
  });

  it('goes when its marker expires, though a cell kept it when it was read', async () => {
    await apply(plain, touch(10n), write(plain, one, 5n, ['x', undefined]));
    await serve(plain, { cells: [live(5n, 'x'), null] });
    await apply(plain, write(plain, one, 20n, [null, undefined]));
    await serve(plain, { cells: [null, null] });
    expect(await rows(plain)).toHaveLength(1);
    later(5);
    expect(await serve(plain, null)).toMatchObject({ rows: 1 });
    expect(await rows(plain)).toEqual([]);
    expect(await queued()).toBe(0);
  });

  it.each(['before', 'after'])(
    'is not kept by an older insert that came %s its marker was found gone',
    async (when) => {
      const older = write(plain, one, 5n, ['x', undefined], true);
      if (when === 'before') await apply(plain, older);
      await apply(plain, touch(10n), write(plain, one, 7n, [null, undefined]));
      await serve(plain, when === 'before' ? null : { cells: [null, null] });
      later(5);
      await serve(plain, null);
      if (when === 'after') await apply(plain, older);
      expect(await rows(plain)).toEqual([]);
    },
  );

  it('comes back when its marker was written again at the very same time', async () => {
    await apply(plain, touch(10n));
    await serve(plain, null);
    expect(await rows(plain)).toEqual([]);
    later(5);
    await apply(plain, touch(10n));
    await serve(plain, { cells: [null, null] });
    expect(await rows(plain)).toHaveLength(1);
    await apply(plain, write(plain, one, 10n, ['x', undefined]));
    expect(await rows(plain)).toEqual([{ k: '1', a: 'x', s: null }]);
  });
});

describe('the queue', () => {
  it('lets reads of one row coalesce', async () => {
    await apply(plain, write(plain, one, 10n, [undefined, set('x')]));
    rig.clock.set(START_MS + 1);
    await apply(plain, write(plain, one, 20n, [undefined, set('x')]));
    expect(await queued()).toBe(2);
    expect(await serve(plain, { cells: [null, live(20n, set('a'))] })).toMatchObject({ rows: 1, more: false });
    expect(await queued()).toBe(0);
  });

  it('keeps an entry that was extended while its read was under way', async () => {
    await apply(plain, write(plain, one, 10n, [undefined, set('x')]));
    // The clock stands still: the second change falls into the same entry.
    const during = () => apply(plain, write(plain, one, 20n, [undefined, set('x')]));
    await serve(plain, { cells: [null, live(10n, set('a'))] }, during);
    expect(await queued()).toBe(1);
    await serve(plain, { cells: [null, live(20n, set('a', 'b'))] });
    expect(await rows(plain)).toMatchObject([{ s: '["a", "b"]' }]);
    expect(await queued()).toBe(0);
  });

  it('fences a stale owner: an older read that found no row does not withdraw what a newer one found', async () => {
    await apply(plain, write(plain, one, 10n, [undefined, set('x')]));
    await serve(plain, null, () => serve(plain, { cells: [null, null] }));
    expect(await rows(plain)).toEqual([{ k: '1', a: null, s: null }]);
  });

  it('is left as it was by a source that is down, and the stream goes on', async () => {
    await apply(plain, write(plain, one, 10n, [undefined, set('x')]));
    const down = new LockstepError('no host', { code: 'SOURCE_UNREACHABLE', kind: 'transient' });
    await expect(serve(plain, null, () => Promise.reject(down))).rejects.toThrow('no host');
    expect(await queued()).toBe(1);
    expect(await apply(plain, write(plain, rowKey(['2']), 10n, ['y', undefined], true))).toMatchObject({
      kind: 'committed',
    });
  });

  it('puts off a row that can not be read and serves the others', async () => {
    const keys = Array.from({ length: 9 }, (_, i) => rowKey([String(i)]));
    await apply(plain, ...keys.map((key) => write(plain, key, 10n, [undefined, set('x')])));
    const bad = new LockstepError('no value of its type', { code: 'SOURCE_VALUE', kind: 'row' });
    const answer = (key: RowKey): SourceRow => {
      if (key.text === keys[4]?.text) throw bad;
      return { cells: [null, live(10n, set('a'))] };
    };
    let refused = 0;
    for (let turn = 0; turn < 40; turn += 1) await serve(plain, answer).catch(() => (refused += 1));
    expect(refused).toBe(1);
    expect(await rows(plain)).toHaveLength(8);
    expect(await queued()).toBe(1);
  });

  it('tells of a row that the source itself has no value for where the target wants one, and delays no other', async () => {
    await apply(strict, write(strict, one, 10n, [undefined, 'b'], true));
    await apply(strict, write(strict, rowKey(['2']), 10n, [undefined, 'b']));
    const source = (key: RowKey): SourceRow => ({
      cells: [key.text === one.text ? null : live(5n, 'a'), live(10n, 'b')],
    });
    const told: unknown[] = [];
    for (let turn = 0; turn < 20; turn += 1) {
      await serve(strict, source).catch((error: unknown) => told.push(error));
    }
    expect(told).toEqual([
      expect.objectContaining({
        code: 'INCOMPLETE_IN_SOURCE',
        message: 'row ["1"] of shop.l_strict has no value in the source for NOT NULL a',
      }),
    ]);
    expect(await rows(strict)).toEqual([{ k: '2', a: 'a', b: 'b' }]);
    expect(await queued()).toBe(1);
    rig.clock.set(START_MS + 120_000);
    await serve(strict, { cells: [live(20n, 'at last'), live(10n, 'b')] });
    expect(await rows(strict)).toEqual([
      { k: '1', a: 'at last', b: 'b' },
      { k: '2', a: 'a', b: 'b' },
    ]);
    expect(await queued()).toBe(0);
  });

  it('takes a row that the target can not hold yet to the source', async () => {
    await apply(strict, write(strict, one, 10n, [undefined, 'b']));
    expect(await rows(strict)).toEqual([]);
    await serve(strict, { cells: [live(5n, 'a'), live(10n, 'b')] });
    expect(await rows(strict)).toEqual([{ k: '1', a: 'a', b: 'b' }]);
    expect(await queued()).toBe(0);
  });
});
