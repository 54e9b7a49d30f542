import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { rowKey } from '../../src/change/change-event.ts';
import { NEVER } from '../../src/change/write-time.ts';
import { FindingStore, type NewFinding } from '../../src/target/stores/finding-store.ts';
import { imageDocument, observationDocument, observationFrom } from '../../src/target/observation-document.ts';
import type { Observation } from '../../src/target/row-observation.ts';
import { COMPARED } from '../support/two-sides.ts';
import { openDoorRig, type DoorRig } from '../support/door-rig.ts';

const SCHEMA = 'finding_store';
let rig: DoorRig;
let store: FindingStore;
let tableId: number;
beforeAll(async () => {
  rig = await openDoorRig(inject('postgresUrl'), [COMPARED], { schema: SCHEMA });
  store = new FindingStore(rig.pool, SCHEMA);
  tableId = rig.target.tables[0]!.id;
});
afterAll(() => rig.close());
beforeEach(async () => {
  await rig.pool.query(`TRUNCATE ${SCHEMA}._cdc_findings`);
});

function finding(id: number, more: Partial<NewFinding> = {}): NewFinding {
  return {
    rowKey: rowKey([String(id), '1']).text,
    type: 'DATA_MISMATCH',
    cause: 'missed-update',
    columns: ['a'],
    sourceImage: { columns: { a: { value: 'x\0\ud800"\\u0000', write_time: '5' } } },
    targetImage: { columns: { a: { value: 'y', write_time: '4' } } },
    sourceChecksum: 's1',
    targetChecksum: 't1',
    ...more,
  };
}

async function all(): Promise<readonly (readonly unknown[])[]> {
  const rows = await store.list({ limit: 100, offset: 0 });
  return rows.map((row) => [row.rowKey, row.type, row.status, row.seen]);
}

describe('findings', () => {
  it('of one row and type are one, however often they are seen, with the images of the last time', async () => {
    const jobs = [randomUUID(), randomUUID()];
    const [first] = await store.record(tableId, jobs[0]!, [finding(1)]);
    const [again] = await store.record(tableId, jobs[1]!, [finding(1, { sourceChecksum: 's2', cause: 'corrupt' })]);
    expect(again).toEqual(first);
    expect(await store.load(first!.id)).toMatchObject({
      table: COMPARED.name,
      cause: 'corrupt',
      sourceChecksum: 's2',
      seen: 2,
      jobId: jobs[1],
      columns: ['a'],
      targetImage: { columns: { a: { value: 'y', write_time: '4' } } },
    });
  });

  it('keep values that jsonb can not hold readable', async () => {
    const [{ id } = { id: 0n }] = await store.record(tableId, randomUUID(), [finding(1)]);
    const image = (await store.load(id)).sourceImage;
    expect(image?.columns['a']?.value).toBe('x\\u0000\\ud800"\\u0000');
  });

  it('of another type supersede the open one of the row', async () => {
    await store.record(tableId, randomUUID(), [finding(1), finding(2)]);
    await store.record(tableId, randomUUID(), [finding(1, { type: 'MISSING_IN_CASSANDRA', sourceImage: null })]);
    expect(await all()).toEqual([
      [finding(1).rowKey, 'MISSING_IN_CASSANDRA', 'PENDING', 1],
      [finding(2).rowKey, 'DATA_MISMATCH', 'PENDING', 1],
      [finding(1).rowKey, 'DATA_MISMATCH', 'SUPERSEDED', 1],
    ]);
    expect([...(await store.pendingKeys(tableId, 10))].sort()).toEqual([finding(1).rowKey, finding(2).rowKey]);
  });

  it('that somebody has accepted stay accepted while they look the same', async () => {
    const [{ id } = { id: 0n }] = await store.record(tableId, randomUUID(), [finding(1)]);
    const accepted = store.resolved(rig.target.tables[0]!, id, {
      status: 'IGNORED',
      by: 'ann',
      notes: 'wanted',
      before: null,
      after: null,
    });
    await rig.pool.query(accepted.text, [...(accepted.values ?? [])]);
    expect(await store.record(tableId, randomUUID(), [finding(1)])).toEqual([{ id, status: 'IGNORED' }]);
    expect(await store.record(tableId, randomUUID(), [finding(1, { targetChecksum: 't2' })])).toEqual([
      { id, status: 'PENDING' },
    ]);
  });

  it('of rows that a later pass finds equal are superseded; seen anew they are new', async () => {
    const [first] = await store.record(tableId, randomUUID(), [finding(1)]);
    expect(await store.supersede(tableId, randomUUID(), [finding(1).rowKey, finding(2).rowKey])).toBe(1);
    const [second] = await store.record(tableId, randomUUID(), [finding(1)]);
    expect(second!.id).not.toBe(first!.id);
    expect(await store.count({ status: 'SUPERSEDED', table: COMPARED.name, limit: 1, offset: 0 })).toBe(1);
  });

  it('keep what an undo compares with, to the last field', () => {
    const bound = rig.target.tables[0]!;
    const key = rowKey(['1', '1']);
    const cells = [
      { value: 'x', writeTime: 2n ** 62n, expiry: 9n, sequence: 3n },
      { value: null, writeTime: -5n, expiry: null },
    ];
    const state = { deletedAt: NEVER, marker: { writeTime: 1n, expiry: NEVER }, cells };
    const images: Observation[] = [
      { key, row: { state, values: ['x', null] }, memory: null, coveredAt: 7n },
      {
        key,
        row: { state: { ...state, marker: null, cells: [null, null] }, values: [null, '8'] },
        memory: state,
        coveredAt: NEVER,
      },
      { key, row: null, memory: null, coveredAt: NEVER },
    ];
    for (const image of images) {
      const document = JSON.parse(JSON.stringify(observationDocument(bound, image))) as ReturnType<
        typeof observationDocument
      >;
      expect(observationFrom(bound, key, document)).toEqual(image);
    }
    expect(imageDocument(bound, { cells: [null, null] })).toEqual({ columns: {} });
  });
});
