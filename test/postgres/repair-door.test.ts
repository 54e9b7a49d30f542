/** Repair as a compare-and-set on the observed image (DESIGN §7), against a real PostgreSQL. */
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { rowKey, type Cells, type ChangeEvent, type RowKey } from '../../src/change/change-event.ts';
import { INT64_MAX } from '../../src/change/write-time.ts';
import type { Table } from '../../src/catalog/table.ts';
import { LockstepError } from '../../src/shared/errors.ts';
import { REPAIR_ROWS, type RepairOf, type RepairOutcome, type RepairSession } from '../../src/target/repair-door.ts';
import type { Observation } from '../../src/target/row-observation.ts';
import { column, openDoorRig, scalar, tableOf, type DoorRig } from '../support/door-rig.ts';

const SCHEMA = 'repair_door';
/** Repairs that race with a live write of the same row. */
const RACES = Number(process.env['LOCKSTEP_REPAIR_RACES'] ?? 10_000);
const rereads = { mode: 'apply', existenceChecks: true } as const;
const plain = tableOf(
  'repaired',
  [
    column('id', 'partition', scalar('int'), 'integer'),
    column('c', 'clustering', scalar('int'), 'integer'),
    column('v', 'regular', scalar('text'), 'text'),
    column('n', 'regular', scalar('int'), 'integer'),
    column('tags', 'regular', { kind: 'set', element: scalar('text'), frozen: false }, 'jsonb'),
  ],
  { rereads, usesTtl: true },
);

let rig: DoorRig;
beforeAll(async () => {
  rig = await openDoorRig(inject('postgresUrl'), [plain], { schema: SCHEMA, partitions: 2 });
});
afterAll(() => rig.close());
beforeEach(async () => {
  await rig.pool.query(`TRUNCATE ${plain.targetTable}`);
  for (const name of ['graveyard', 'range_tombstones', 'queue', 'ledger']) {
    await rig.pool.query(`TRUNCATE ${SCHEMA}._cdc_${name}`);
  }
});

const keyOf = (id: number): RowKey => rowKey([String(id), '1']);

function write(id: number, writeTime: bigint, v: string | null, n: string | null = null): ChangeEvent {
  return {
    kind: 'write',
    table: plain.name,
    key: keyOf(id),
    writeTime,
    ambiguity: null,
    marker: { writeTime, expiry: null },
    cells: [{ writeTime, value: v, expiry: null }, n === null ? null : { writeTime, value: n, expiry: null }, null],
  };
}

function remove(id: number, writeTime: bigint): ChangeEvent {
  return { kind: 'row-delete', table: plain.name, key: keyOf(id), writeTime, ambiguity: null };
}

const shown = (writeTime: bigint, v: string | null, n: string | null = null): { cells: Cells } => ({
  cells: [
    v === null ? null : { writeTime, value: v, expiry: null },
    n === null ? null : { writeTime, value: n, expiry: null },
    null,
  ],
});

/** What a comparison would say: which columns do not show what is wanted. */
function repairOf(observed: Observation, wanted: { cells: Cells } | null, sequence: bigint): RepairOf {
  const differs = [0, 1, 2].map((i) => (observed.row?.values[i] ?? null) !== (wanted?.cells[i]?.value ?? null));
  return { observed, wanted, differs, sequence };
}

async function repair(
  session: RepairSession,
  repairs: readonly RepairOf[],
  dryRun = false,
): Promise<readonly RepairOutcome[]> {
  const shard = { topic: plain.topic, incarnation: 1, partition: 0 };
  for (;;) {
    try {
      return await session.repair({ table: plain.name, shard, repairs, also: () => [], dryRun });
    } catch (error) {
      if (!(error instanceof LockstepError) || error.code !== 'GATE_BUSY') throw error;
    }
  }
}

/** Observes, lets something happen, and repairs. */
async function repaired(
  id: number,
  wanted: { cells: Cells } | null,
  between: () => Promise<unknown> = () => Promise.resolve(),
  dryRun = false,
): Promise<RepairOutcome> {
  return rig.target.repairs.session(async (session) => {
    const { rows, sequence } = await session.observe(plain.name, [keyOf(id)]);
    await between();
    const [outcome] = await repair(session, [repairOf(rows[0]!, wanted, sequence)], dryRun);
    return outcome!;
  });
}

async function rows(): Promise<readonly Record<string, string | null>[]> {
  return (await rig.pool.query<Record<string, string | null>>(`SELECT id, v, n, tags FROM repaired ORDER BY id`)).rows;
}

describe('a repair', () => {
  it('brings back a row that was deleted by hand, at the source’s write times', async () => {
    await rig.apply(plain, 0, [write(1, 10n, 'a', '7')]);
    await rig.pool.query('DELETE FROM repaired');
    expect(await repaired(1, shown(10n, 'a', '7'))).toMatchObject({ kind: 'applied' });
    expect(await rows()).toEqual([{ id: '1', v: 'a', n: '7', tags: null }]);
    // A duplicate of the insert changes nothing, a newer write wins.
    await rig.apply(plain, 0, [write(1, 10n, 'a', '7'), write(1, 11n, 'b')]);
    expect(await rows()).toMatchObject([{ v: 'b', n: '7' }]);
  });

  it('corrects a value that was written past the door, and duplicates do not bring it back', async () => {
    await rig.apply(plain, 0, [write(1, 10n, 'a')]);
    await rig.pool.query(`UPDATE repaired SET v = 'zzz'`);
    await repaired(1, shown(10n, 'a'));
    await rig.apply(plain, 0, [write(1, 10n, 'a')]);
    expect(await rows()).toMatchObject([{ v: 'a' }]);
  });

  it('of a row under a tombstone that the source has not stays: neither tombstone nor duplicate undoes it', async () => {
    await rig.apply(plain, 0, [write(1, 10n, 'a'), remove(1, 20n)]);
    await repaired(1, shown(10n, 'a'));
    await rig.apply(plain, 0, [remove(1, 20n), write(1, 10n, 'a')]);
    expect(await rows()).toMatchObject([{ v: 'a' }]);
    await rig.apply(plain, 0, [remove(1, 30n)]);
    expect(await rows()).toEqual([]);
  });

  it('removes a row that the source has not, for good', async () => {
    await rig.apply(plain, 0, [write(1, 10n, 'a')]);
    await repaired(1, null);
    await rig.apply(plain, 0, [write(1, 10n, 'a')]);
    expect(await rows()).toEqual([]);
    await rig.apply(plain, 0, [write(1, 11n, 'b')]);
    expect(await rows()).toMatchObject([{ v: 'b' }]);
  });

  it('removes what was inserted past the door without leaving a tombstone', async () => {
    await rig.pool.query(`INSERT INTO repaired (id, c, v) VALUES (1, 1, 'rogue')`);
    expect(await repaired(1, null)).toMatchObject({ kind: 'applied', after: { row: null, memory: null } });
    expect(await rows()).toEqual([]);
    expect((await rig.pool.query(`SELECT 1 FROM ${SCHEMA}._cdc_graveyard`)).rowCount).toBe(0);
  });

  it('gives a row of key columns only a marker', async () => {
    expect(await repaired(1, shown(10n, null))).toMatchObject({ kind: 'applied' });
    expect(await rows()).toMatchObject([{ id: '1', v: null }]);
  });

  it('writes a collection by the order of reads, not by its write time', async () => {
    await rig.apply(plain, 0, [write(1, 10n, 'a')]);
    const tags = { writeTime: 3n, value: '["x"]', expiry: null };
    await repaired(1, { cells: [shown(10n, 'a').cells[0]!, null, tags] });
    expect(await rows()).toMatchObject([{ tags: '["x"]' }]);
    const less = { writeTime: 2n, value: '["y"]', expiry: null };
    await repaired(1, { cells: [shown(10n, 'a').cells[0]!, null, less] });
    expect(await rows()).toMatchObject([{ tags: '["y"]' }]);
  });

  it.each<[string, { cells: Cells }]>([
    ['has no value', shown(10n, null)],
    ['had only one that has expired since', { cells: [{ writeTime: 10n, value: 'a', expiry: 1n }, null, null] }],
  ])('of a row that %s has it looked at again: its marker may expire', async (_, wanted) => {
    await repaired(1, wanted);
    expect(await rows()).toMatchObject([{ id: '1', v: null }]);
    const { rowCount } = await rig.pool.query(`SELECT 1 FROM ${SCHEMA}._cdc_queue WHERE kind = 'existence'`);
    expect(rowCount).toBe(1);
  });

  it('that needs a write time above the last of all goes to a person, and writes nothing', async () => {
    await rig.apply(plain, 0, [write(1, INT64_MAX, 'a')]);
    expect(await repaired(1, shown(10n, 'b'))).toMatchObject({ kind: 'review' });
    expect(await rows()).toMatchObject([{ v: 'a' }]);
  });

  it('as a dry run says what it would do and does nothing', async () => {
    await rig.apply(plain, 0, [write(1, 10n, 'a')]);
    expect(await repaired(1, null, undefined, true)).toMatchObject({ kind: 'applied', after: { row: null } });
    expect(await rows()).toMatchObject([{ v: 'a' }]);
  });

  it('queues what expires to be read again then, whichever shard carries the row', async () => {
    const expiry = BigInt(rig.clock.nowMs()) * 1000n + 60_000_000n;
    await repaired(1, { cells: [{ writeTime: 5n, value: 'a', expiry }, null, null] });
    const { rows: queue } = await rig.pool.query<Record<string, string>>(
      `SELECT kind, due_us, trigger FROM ${SCHEMA}._cdc_queue`,
    );
    expect(queue).toMatchObject([{ kind: 'existence', due_us: String(expiry) }]);
    expect(queue[0]?.['trigger']).toContain('"foreign": true');
  });
});

describe('what was observed is compared before anything is set', () => {
  it.each<[string, (table: Table) => Promise<unknown>]>([
    ['a newer write', () => rig.apply(plain, 1, [write(1, 20n, 'live')])],
    ['a delete', () => rig.apply(plain, 1, [remove(1, 20n)])],
    ['an update past the door', () => rig.pool.query(`UPDATE repaired SET n = 9`)],
    ['a delete past the door', () => rig.pool.query(`DELETE FROM repaired`)],
    [
      'a tombstone over its partition that leaves it standing',
      () =>
        rig.apply(plain, 1, [
          { kind: 'partition-delete', table: plain.name, partition: rowKey(['1']), writeTime: 5n, ambiguity: null },
        ]),
    ],
  ])('%s makes it stale', async (_, between) => {
    await rig.apply(plain, 0, [write(1, 10n, 'a')]);
    let during: unknown;
    const outcome = await repaired(1, shown(10n, 'b'), async () => {
      await between(plain);
      during = await rows();
    });
    expect(outcome).toEqual({ kind: 'stale' });
    expect(await rows()).toEqual(during);
  });

  it('absence, too: a tombstone that came meanwhile makes it stale', async () => {
    expect(await repaired(1, shown(10n, 'a'), () => rig.apply(plain, 1, [remove(1, 20n)]))).toEqual({ kind: 'stale' });
    expect(await rows()).toEqual([]);
  });

  it('an undo is the same with the images exchanged, and only if nothing happened since', async () => {
    await rig.apply(plain, 0, [write(1, 10n, 'a', '1'), write(2, 10n, 'b')]);
    await rig.target.repairs.session(async (session) => {
      const keys = [keyOf(1), keyOf(2), keyOf(3)];
      const { rows: before, sequence } = await session.observe(plain.name, keys);
      const wanted = [shown(20n, 'x'), null, shown(30n, 'c')];
      const outcomes = await repair(
        session,
        before.map((each, i) => repairOf(each, wanted[i]!, sequence)),
      );
      const afterRepair = outcomes.map((each) => (each.kind === 'applied' ? each.after : null));
      expect((await session.observe(plain.name, keys)).rows).toEqual(afterRepair);
      expect(await rows()).toMatchObject([{ v: 'x', n: null }, { v: 'c' }]);
      await rig.apply(plain, 0, [write(3, 40n, 'newer')]);
      const { sequence: later } = await session.observe(plain.name, []);
      const undo = before.map((each, i) => repairOf(afterRepair[i]!, each.row === null ? null : each.row.state, later));
      const undone = await repair(session, undo);
      expect(undone.map(({ kind }) => kind)).toEqual(['applied', 'applied', 'stale']);
    });
    expect(await rows()).toMatchObject([{ v: 'a', n: '1' }, { v: 'b' }, { v: 'newer' }]);
  });
});

describe('a repair that races with live writes', () => {
  it(`loses none of ${RACES}`, { timeout: 600_000 + RACES * 10 }, async () => {
    const rounds = Math.ceil(RACES / REPAIR_ROWS);
    const ids = Array.from({ length: REPAIR_ROWS }, (_, i) => i);
    const counts = { applied: 0, stale: 0, review: 0 };
    await rig.apply(
      plain,
      0,
      ids.map((id) => write(id, 1n, 'start')),
    );
    for (let round = 0; round < rounds; round++) {
      const time = BigInt(round + 1) * 10n;
      await rig.target.repairs.session(async (session) => {
        const { rows: observed, sequence } = await session.observe(plain.name, ids.map(keyOf));
        // The source was read before the live write: a row of the wrong value, of none, or none at all.
        const repairs = observed.map((each, i) =>
          repairOf(each, i % 3 === 0 ? null : shown(time - 5n, i % 3 === 1 ? `old${round}` : null), sequence),
        );
        const live = async (): Promise<void> => {
          for (let at = 0; at < ids.length; at += 10) {
            await rig.apply(
              plain,
              1,
              ids.slice(at, at + 10).map((id) => write(id, time, `live${round}`)),
            );
          }
        };
        // Most rounds race; some are before and some behind for certain, so that both ways are gone on every machine.
        if (round % 10 === 0) await live();
        const repairing = repair(session, repairs);
        if (round % 10 === 1) await repairing;
        const [outcomes] = await Promise.all([repairing, round % 10 === 0 ? null : live()]);
        for (const { kind } of outcomes) counts[kind] += 1;
      });
      const lost = (await rows()).filter(({ v }) => v !== `live${round}`);
      expect(lost, `round ${round}`).toEqual([]);
      expect(await rows()).toHaveLength(ids.length);
    }
    // Both ways were gone: before the live write, and behind it.
    expect(counts.applied + counts.stale).toBe(rounds * REPAIR_ROWS);
    expect(counts.applied).toBeGreaterThan(0);
    expect(counts.stale).toBeGreaterThan(0);
  });
});
