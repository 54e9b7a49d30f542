/** Static columns stand in a table of their own, of which no event tells: compared, repaired and taken back like rows. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, expect, inject, it } from 'vitest';
import { staticTable } from '../../src/catalog/static-table.ts';
import { rowKey, type Cell, type ChangeEvent } from '../../src/change/change-event.ts';
import type { ReconcileParts } from '../../src/reconcile/end-state/reconcile-table.ts';
import { reconcileWithStatics, type TableReport } from '../../src/reconcile/end-state/reconcile-with-statics.ts';
import type { ScannedRow } from '../../src/reconcile/end-state/source-slices.ts';
import { undoRepair } from '../../src/reconcile/end-state/undo-repair.ts';
import { comparedParts } from '../support/compared-parts.ts';
import { column, createTableSql, openDoorRig, scalar, tableOf, type DoorRig } from '../support/door-rig.ts';

const SCHEMA = 'reconcile_statics';
const TABLE = tableOf(
  'shared',
  [
    column('p', 'partition', scalar('int'), 'integer'),
    column('c', 'clustering', scalar('int'), 'integer'),
    column('note', 'static', scalar('text'), 'text', { notNull: false }),
    column('rank', 'static', scalar('int'), 'integer', { notNull: false }),
    column('v', 'regular', scalar('text'), 'text'),
  ],
  { rereads: { mode: 'apply', existenceChecks: true } },
);
const STATICS = staticTable(TABLE)!;
const SIGNAL = new AbortController().signal;
const PARTITIONS = 20;

let rig: DoorRig;
const rows = new Map<string, ScannedRow>();
const statics = new Map<string, ScannedRow>();
let parts: ReconcileParts;
let ofStatics: ReconcileParts;

const cell = (writeTime: bigint, value: string): Cell => ({ writeTime, value, expiry: null });

function partsOf(name: string, side: ReadonlyMap<string, ScannedRow>): ReconcileParts {
  const compared = comparedParts(rig, SCHEMA, rig.target.boundOf(name), () => side);
  return { ...compared, shard: { topic: TABLE.topic, incarnation: 1, partition: 0 } };
}

function run(repair = false): Promise<TableReport> {
  return reconcileWithStatics(
    parts,
    { parts: ofStatics, estimatedRows: PARTITIONS },
    {
      jobId: randomUUID(),
      plan: { strategy: 'CHECKSUM', writtenUs: null, sampleRows: 1, estimatedRows: PARTITIONS, random: () => 0.5 },
      repair: repair ? { limits: { maxRows: 100, maxShare: 1 }, status: 'AUTO_RESOLVED' } : null,
      dryRun: false,
      mayBeEmpty: false,
      actor: 'test',
    },
    SIGNAL,
  );
}

const shown = async (): Promise<readonly string[]> =>
  (
    await rig.pool.query<{ p: string; note: string; rank: string }>(
      'SELECT p, note, rank FROM shared__static ORDER BY p',
    )
  ).rows.map(({ p, note, rank }) => [p, note, rank].join(' '));

const found = ({ drift }: TableReport): readonly string[] =>
  drift
    .map(({ table, key, classification }) =>
      [table, key.values.join('/'), classification.type, classification.cause, ...classification.columns].join(' '),
    )
    .sort();

beforeAll(async () => {
  rig = await openDoorRig(inject('postgresUrl'), [TABLE], { schema: SCHEMA });
  for (const statement of createTableSql(STATICS).split(';')) await rig.pool.query(statement);
  parts = partsOf(TABLE.name, rows);
  ofStatics = partsOf(STATICS.name, statics);
});
afterAll(() => rig.close());

beforeEach(async () => {
  rows.clear();
  statics.clear();
  await rig.pool.query('TRUNCATE shared, shared__static');
  for (const name of ['graveyard', 'range_tombstones', 'queue', 'ledger', 'findings', 'audit_log']) {
    await rig.pool.query(`TRUNCATE ${SCHEMA}._cdc_${name}`);
  }
  const changes: ChangeEvent[] = [];
  const { tokenOf } = parts.table;
  for (let p = 0; p < PARTITIONS; p++) {
    const key = rowKey([String(p), '1']);
    rows.set(key.text, { key, token: tokenOf(key.values)!, cells: [cell(10n, `v${p}`)] });
    const marker = { writeTime: 10n, expiry: null };
    changes.push({
      kind: 'write',
      table: TABLE.name,
      key,
      writeTime: 10n,
      ambiguity: null,
      marker,
      cells: [cell(10n, `v${p}`)],
    });
    const partition = rowKey([String(p)]);
    // Every other partition has static values, and some have one of the two.
    if (p % 2 === 1) continue;
    const cells = [cell(20n, `n${p}`), p % 4 === 0 ? null : cell(21n, String(p))];
    statics.set(partition.text, { key: partition, token: tokenOf(partition.values)!, cells });
  }
  await rig.apply(TABLE, 0, changes);
});

it('no event tells of static columns: what only the source has is found, filled in and equal then', async () => {
  const before = await run();
  expect(before).toMatchObject({ verdict: 'DRIFT', compared: 30, statics: { sourceRows: 10, targetRows: 0 } });
  expect(before.reasons).toEqual(['static columns: 10 rows drift']);
  expect(new Set(found(before).map((each) => each.replace(/#static \d+/, '')))).toEqual(
    new Set(['shop.shared MISSING_IN_POSTGRES uncaptured']),
  );
  expect(await run(true)).toMatchObject({ repaired: { applied: 10 } });
  expect(await shown()).toContain('0 n0 ');
  expect(await shown()).toContain('2 n2 2');
  const after = await run();
  expect(after).toMatchObject({ verdict: 'PASS', coverage: 1, statics: { verdict: 'PASS', targetRows: 10 } });
  expect(after.statics?.sourceDigest).toBe(after.statics?.targetDigest);
});

it('a later write, a value by hand and a partition that is gone are told apart, repaired and can be taken back', async () => {
  await run(true);
  const key = (p: number) => rowKey([String(p)]);
  statics.set(key(2).text, { ...statics.get(key(2).text)!, cells: [cell(30n, 'newer'), cell(21n, '2')] });
  statics.delete(key(4).text);
  await rig.pool.query(`UPDATE shared__static SET note = 'by hand' WHERE p = 6`);
  await rig.pool.query(`INSERT INTO shared__static (p, note) VALUES (77, 'rogue')`);
  const spoilt = await shown();
  const report = await run();
  expect(found(report)).toEqual([
    'shop.shared#static 2 DATA_MISMATCH uncaptured note',
    'shop.shared#static 4 MISSING_IN_CASSANDRA uncaptured',
    'shop.shared#static 6 DATA_MISMATCH rogue-update note',
    'shop.shared#static 77 MISSING_IN_CASSANDRA rogue-insert',
  ]);
  await run(true);
  expect(await run()).toMatchObject({ verdict: 'PASS' });

  // The findings of a table are those of its static columns, too.
  const resolved = await parts.findings.list({
    table: TABLE.name,
    status: 'AUTO_RESOLVED',
    jobId: (await latestRepair())!,
    limit: 100,
    offset: 0,
  });
  expect(resolved).toHaveLength(4);
  for (const { id } of resolved) {
    expect(await undoRepair({ ...ofStatics, by: 'ann', reason: 'wanted' }, id)).toEqual({ kind: 'applied' });
  }
  expect(await shown()).toEqual(spoilt);
  expect(await run()).toMatchObject({ verdict: 'PASS', ignored: 4 });
});

async function latestRepair(): Promise<string | undefined> {
  const { rows: jobs } = await rig.pool.query<{ job_id: string }>(
    `SELECT job_id FROM ${SCHEMA}._cdc_findings WHERE cause = 'rogue-insert'`,
  );
  return jobs[0]?.job_id;
}

it('a table without any static value passes, one whose static columns drift does not', async () => {
  statics.clear();
  expect(await run()).toMatchObject({ verdict: 'PASS', statics: { verdict: 'PASS', compared: 0 } });
  await rig.pool.query(`INSERT INTO shared__static (p, note) VALUES (1, 'rogue')`);
  expect(await run()).toMatchObject({ verdict: 'DRIFT', statics: { targetRows: 1 } });
});
