import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { rowKey, type ChangeEvent } from '../../src/change/change-event.ts';
import { identify } from '../../src/change/change-id.ts';
import { IdAccount } from '../../src/reconcile/delivery/id-account.ts';
import { idRangeOf } from '../../src/reconcile/delivery/window.ts';
import { openGaps } from '../../src/target/stores/gap-store.ts';
import { LedgerReader } from '../../src/target/stores/ledger-reader.ts';
import { queuedBefore } from '../../src/target/stores/queued-work.ts';
import { WindowStore, type WindowUpdate } from '../../src/target/stores/window-store.ts';
import { column, openDoorRig, scalar, tableOf, type DoorRig } from '../support/door-rig.ts';

const SCHEMA = 'delivery';
const table = tableOf('deliveries', [
  column('id', 'partition', scalar('int'), 'integer'),
  column('v', 'regular', scalar('text'), 'text'),
]);
const other = tableOf('others', [
  column('id', 'partition', scalar('int'), 'integer'),
  column('v', 'regular', scalar('text'), 'text'),
]);

let rig: DoorRig;
beforeAll(async () => {
  rig = await openDoorRig(inject('postgresUrl'), [table, other], { schema: SCHEMA, partitions: 2 });
});
afterAll(() => rig.close());
beforeEach(async () => {
  for (const name of ['ledger', 'windows', 'queue']) await rig.pool.query(`TRUNCATE ${SCHEMA}._cdc_${name}`);
});

function write(of: typeof table, id: number, writeTime: bigint): ChangeEvent {
  return {
    kind: 'write',
    table: of.name,
    key: rowKey([String(id)]),
    writeTime,
    ambiguity: null,
    marker: { writeTime, expiry: null },
    cells: [{ writeTime, value: 'x', expiry: null }],
  };
}

describe('the ledger by change ID', () => {
  it('gives an account exactly the IDs of its table and window, however batches cut across windows', async () => {
    // One batch a millisecond apart and one scattered over both windows and beyond.
    const near = Array.from({ length: 40 }, (_, i) => write(table, i, BigInt(i) * 1_000n));
    const scattered = Array.from({ length: 40 }, (_, i) => write(table, 100 + i, BigInt(i) * 7_000n));
    await rig.apply(table, 0, near);
    await rig.apply(table, 1, scattered);
    await rig.apply(other, 0, [write(other, 1, 5_000n)]);

    const ledger = new LedgerReader(rig.pool, SCHEMA);
    for (const window of [
      { startMs: 0, endMs: 20 },
      { startMs: 20, endMs: 40 },
      { startMs: 200, endMs: 1_000 },
    ]) {
      const { from, to } = idRangeOf(window);
      const account = new IdAccount(1_000);
      for await (const page of ledger.segments(table.name, from, to)) {
        for (const { ids, outcomes } of page) account.noteLedger(ids, outcomes, from, to);
      }
      const expected = [...near, ...scattered]
        .map((change) => identify(change).id)
        .filter((id) => id >= from && id < to);
      for (const id of expected) account.noteChangelog(id);
      expect(account.account()).toMatchObject({ processed: expected.length, missing: 0, unexpected: 0 });
    }
  });

  it('tells which of some changes have come through, whatever else their batches hold', async () => {
    const changes = Array.from({ length: 30 }, (_, i) => write(table, i, BigInt(i) * 500n));
    await rig.apply(table, 0, changes.slice(0, 20));
    await rig.apply(other, 0, [write(other, 1, 1_000n)]);
    const ids = changes.map((change) => identify(change).id);
    const ledger = new LedgerReader(rig.pool, SCHEMA);
    expect([...(await ledger.having(table.name, ids.slice(15)))].sort()).toEqual(ids.slice(15, 20).sort());
    expect(await ledger.having(table.name, [identify(write(other, 1, 1_000n)).id])).toEqual(new Set());
    expect(await ledger.having(table.name, [])).toEqual(new Set());
  });

  it('is read page by page, each segment once', async () => {
    const times = Array.from({ length: 1_100 }, (_, i) => i);
    for (const i of times) await rig.apply(table, 0, [write(table, i, BigInt(i % 7) * 1_000n)]);
    const { from, to } = idRangeOf({ startMs: 0, endMs: 10 });
    const account = new IdAccount(10_000);
    let segments = 0;
    let pages = 0;
    for await (const page of new LedgerReader(rig.pool, SCHEMA).segments(table.name, from, to)) {
      pages += 1;
      segments += page.length;
      for (const { ids, outcomes } of page) account.noteLedger(ids, outcomes, from, to);
    }
    expect(segments).toBe(times.length);
    expect(pages).toBeGreaterThan(1);
    expect(account.size).toBe(times.length);
  });
});

describe('stored windows', () => {
  const update = (more: Partial<WindowUpdate> = {}): WindowUpdate => ({
    table: table.name,
    startMs: 60_000,
    endMs: 120_000,
    rounds: 1,
    changelog: 3,
    processed: 2,
    filtered: 0,
    deadLettered: 0,
    missing: 1,
    unexpected: 0,
    late: 0,
    replayed: 0,
    reopened: false,
    verdict: 'DRIFT',
    reason: null,
    ...more,
  });

  it('keep the last account, add up what came late, was replayed or reopened, and never count a horizon back', async () => {
    const store = new WindowStore(rig.pool, SCHEMA);
    await store.save(update({ rounds: 2 }));
    await store.save(
      update({ processed: 4, changelog: 4, missing: 0, late: 1, replayed: 1, reopened: true, verdict: 'PASS' }),
    );
    await store.save(update({ processed: 5, changelog: 5, missing: 0, late: 1, reopened: true, verdict: 'PASS' }));
    expect(await store.list({ limit: 10, offset: 0 })).toMatchObject([
      { processed: 5, missing: 0, late: 2, replayed: 1, reopened: 2, rounds: 2, verdict: 'PASS' },
    ]);
  });

  it('can not be stored with an account that does not add up', async () => {
    await expect(new WindowStore(rig.pool, SCHEMA).save(update({ missing: 5 }))).rejects.toThrow();
  });

  it('are found by table, time and verdict', async () => {
    const store = new WindowStore(rig.pool, SCHEMA);
    await store.save(update());
    await store.save(update({ startMs: 120_000, endMs: 180_000, missing: 0, processed: 3, verdict: 'PASS' }));
    const find = async (more: Partial<Parameters<WindowStore['list']>[0]>) =>
      (await store.list({ limit: 10, offset: 0, ...more })).map(({ startMs }) => startMs);
    expect(await find({})).toEqual([120_000, 60_000]);
    expect(await find({ verdict: 'DRIFT' })).toEqual([60_000]);
    expect(await find({ toMs: 120_000 })).toEqual([60_000]);
    expect(await find({ fromMs: 120_000 })).toEqual([120_000]);
    expect(await find({ table: other.name })).toEqual([]);
    expect(await store.count({ limit: 1, offset: 0 })).toBe(2);
  });
});

describe('gaps', () => {
  it('are open until every row was compared after they were found, and passed', async () => {
    await rig.pool.query(`TRUNCATE ${SCHEMA}._cdc_gaps`);
    await rig.pool.query(
      `INSERT INTO ${SCHEMA}._cdc_gaps (topic, incarnation, partition, from_offset, to_offset, after_ms, found_at)
       VALUES ($1, 1, 0, 5, 9, 1000, to_timestamp(2000)), ($1, 1, 1, 0, 2, NULL, to_timestamp(3000))`,
      [table.topic],
    );
    const compared = (strategy: string, verdict: string, seconds: number, of = table.name) =>
      rig.pool.query(
        `INSERT INTO ${SCHEMA}._cdc_jobs (id, kind, parameters, status, total, requested_by, started_at, verdict)
         VALUES (gen_random_uuid(), 'compare', $1, 'COMPLETED', 0, 'test', to_timestamp($2), $3)`,
        [JSON.stringify({ table: of, strategy }), seconds, verdict],
      );
    const open = async () => (await openGaps(rig.pool, SCHEMA, table.name, 'compare')).map(({ from }) => Number(from));
    // Too early, in part, not passed, of another table.
    await compared('CHECKSUM', 'PASS', 1_999);
    await compared('SAMPLE', 'PASS', 4_000);
    await compared('CHECKSUM', 'INCONCLUSIVE', 4_000);
    await compared('CHECKSUM', 'PASS', 4_000, other.name);
    expect((await open()).sort()).toEqual([0, 5]);
    expect(await openGaps(rig.pool, SCHEMA, table.name, 'compare')).toContainEqual({
      topic: table.topic,
      partition: 0,
      from: 5n,
      to: 9n,
      afterMs: 1_000,
      foundMs: 2_000_000,
    });
    expect(await openGaps(rig.pool, SCHEMA, other.name, 'compare')).toEqual([]);
    await compared('CHECKSUM', 'PASS', 2_500);
    expect(await open()).toEqual([0]);
  });
});

describe('queued work', () => {
  it('counts what was queued by the moment, expiries aside', async () => {
    const insert = (kind: string, due: number) =>
      rig.pool.query(
        `INSERT INTO ${SCHEMA}._cdc_queue (topic, incarnation, partition, kind, due_us, table_id, row_key)
         SELECT topic, 1, 0, $1, $2, id, '[]' FROM ${SCHEMA}._cdc_tables WHERE source = $3`,
        [kind, due, table.name],
      );
    await insert('expiry', 1);
    await insert('re-read', 2);
    await insert('existence', 3);
    expect(await queuedBefore(rig.pool, SCHEMA, table.name, Date.now() + 60_000)).toBe(2);
    expect(await queuedBefore(rig.pool, SCHEMA, table.name, Date.now() - 60_000)).toBe(0);
    expect(await queuedBefore(rig.pool, SCHEMA, other.name, Date.now() + 60_000)).toBe(0);
  });
});
