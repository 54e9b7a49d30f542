/** Counters: a copy that something else keeps is compared by keys, what drifts is a finding, and nothing is ever written. */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, expect, inject, it } from 'vitest';
import { bindCounters } from '../../src/catalog/counter-table.ts';
import { COUNTER_TABLE } from '../../src/catalog/declared-schema.ts';
import type { SourceColumn, SourceTable } from '../../src/catalog/source-table.ts';
import { rowKey, type Cell } from '../../src/change/change-event.ts';
import type { Strategy } from '../../src/reconcile/end-state/comparison-plan.ts';
import {
  reconcileTable,
  type ReconcileParts,
  type ReconcileReport,
} from '../../src/reconcile/end-state/reconcile-table.ts';
import type { ScannedRow } from '../../src/reconcile/end-state/source-slices.ts';
import { registerTables } from '../../src/target/bound-table.ts';
import { plainRepairs, PlainScan } from '../../src/target/scan/plain-scan.ts';
import { comparedParts } from '../support/compared-parts.ts';
import { openDoorRig, scalar, type DoorRig } from '../support/door-rig.ts';
import { COMPARED } from '../support/two-sides.ts';

const SCHEMA = 'reconcile_counters';
const SIGNAL = new AbortController().signal;
const PAGES = 30;

const sourceColumn = (name: string, kind: SourceColumn['kind'], type: 'text' | 'int' | 'counter', position = 0) => ({
  name,
  kind,
  position,
  descending: false,
  type: scalar(type),
  typeText: type,
});
const VISITS: SourceTable = {
  keyspace: 'shop',
  name: 'visits',
  id: null,
  columns: [
    sourceColumn('page', 'partition', 'text'),
    sourceColumn('day', 'clustering', 'int'),
    sourceColumn('seen', 'regular', 'counter'),
    sourceColumn('bought', 'regular', 'counter'),
  ],
  droppedColumns: [],
  defaultTtlSeconds: 0,
  cdc: false,
  unsupported: COUNTER_TABLE,
};
const MAPPING = { source: 'shop.visits', target: 'public.visits', columns: {} };

let rig: DoorRig;
let parts: ReconcileParts;
const source = new Map<string, ScannedRow>();
const cell = (value: number): Cell => ({ writeTime: 1n, value: String(value), expiry: null });

beforeAll(async () => {
  rig = await openDoorRig(inject('postgresUrl'), [COMPARED], { schema: SCHEMA });
  await rig.pool.query(`DROP TABLE IF EXISTS visits`);
  // As others keep it: no bookkeeping.
  await rig.pool.query(`CREATE TABLE visits (page text, day int, seen bigint, bought bigint, PRIMARY KEY (page, day))`);
  const binding = bindCounters(VISITS, MAPPING);
  if (binding.kind === 'refused') throw new AggregateError(binding.errors);
  const [table] = await registerTables(rig.pool, SCHEMA, [binding.table]);
  const target = new PlainScan(rig.pool, table!, 7);
  parts = {
    ...comparedParts(rig, SCHEMA, table!, () => source),
    target,
    nowUs: () => BigInt(Date.now()) * 1000n,
    repairs: plainRepairs(target),
    shard: { topic: 'none', incarnation: 1, partition: 0 },
    quorumReads: false,
  };
});
afterAll(() => rig.close());

beforeEach(async () => {
  source.clear();
  await rig.pool.query(`TRUNCATE visits, ${SCHEMA}._cdc_findings CASCADE`);
  for (let n = 0; n < PAGES; n++) {
    const key = rowKey([`page ${n % 10}`, String(n)]);
    source.set(key.text, {
      key,
      token: parts.table.tokenOf(key.values)!,
      cells: [cell(n), n % 2 === 0 ? null : cell(7)],
    });
    await rig.pool.query('INSERT INTO visits VALUES ($1, $2, $3, $4)', [key.values[0], n, n, n % 2 === 0 ? null : 7]);
  }
});

function run(strategy: Strategy = 'CHECKSUM', repair = false, other: Partial<ReconcileParts> = {}) {
  return reconcileTable(
    { ...parts, ...other },
    {
      jobId: randomUUID(),
      plan: { strategy, writtenUs: null, sampleRows: 1, estimatedRows: PAGES, random: () => 0.5 },
      repair: repair ? { limits: { maxRows: 100, maxShare: 1 }, status: 'AUTO_RESOLVED' } : null,
      dryRun: false,
      mayBeEmpty: false,
      actor: 'test',
    },
    SIGNAL,
  );
}

const found = ({ drift }: ReconcileReport): readonly string[] =>
  drift
    .map(({ key, classification: { type, cause, columns } }) =>
      [key.values.join('/'), type, cause, ...columns].join(' '),
    )
    .sort();

it.each<Strategy>(['ROW_COUNT', 'CHECKSUM'])(
  '%s of equal sides passes, whatever their tokens are',
  async (strategy) => {
    const report = await run(strategy);
    expect(report).toMatchObject({
      verdict: 'PASS',
      coverage: 1,
      compared: PAGES,
      sourceRows: PAGES,
      targetRows: PAGES,
    });
    expect(report.sourceDigest).toBe(report.targetDigest);
  },
);

it('finds a counter that differs, one that is missing and one too many, and repairs none', async () => {
  await rig.pool.query(`UPDATE visits SET seen = seen + 1 WHERE day = 3`);
  await rig.pool.query(`DELETE FROM visits WHERE day = 4`);
  await rig.pool.query(`INSERT INTO visits VALUES ('nowhere', 1, 1, 1)`);
  const { rows: before } = await rig.pool.query<Record<string, string>>('SELECT * FROM visits ORDER BY page, day');
  const report = await run('CHECKSUM', true);
  expect(found(report)).toEqual([
    'nowhere/1 MISSING_IN_CASSANDRA uncaptured',
    'page 3/3 DATA_MISMATCH uncaptured seen',
    'page 4/4 MISSING_IN_POSTGRES uncaptured',
  ]);
  expect(report).toMatchObject({ verdict: 'DRIFT', repaired: { applied: 0 } });
  expect(report.repairRefused).toContain('no value is written over it');
  expect((await rig.pool.query('SELECT * FROM visits ORDER BY page, day')).rows).toEqual(before);
  expect(await parts.findings.count({ status: 'PENDING', limit: 1, offset: 0 })).toBe(3);
  expect(found(await run('ROW_COUNT'))).toHaveLength(3);
});

it('is no drift while it moves, nor where the copy comes within the time that it may take', async () => {
  await rig.pool.query(`UPDATE visits SET seen = 0 WHERE day = 3`);
  const key = [...source.values()].find((row) => row.key.values[1] === '3')!;
  const count = (n: number): void => void source.set(key.key.text, { ...key, cells: [cell(n), cell(7)] });
  let n = 100;
  const moving = await run('CHECKSUM', false, {
    readSource: (keys) => {
      count(n++);
      return Promise.resolve(keys.map(({ text }) => source.get(text) ?? null));
    },
  });
  expect(moving).toMatchObject({ verdict: 'INCONCLUSIVE', drift: [], inFlight: 1 });
  count(200);
  const late = await run('CHECKSUM', false, {
    captured: async () => {
      await delay(1);
      await rig.pool.query(`UPDATE visits SET seen = 200 WHERE day = 3`);
      return null;
    },
  });
  expect(late).toMatchObject({ verdict: 'PASS', drift: [] });
});

it('is refused where a copy can not be asked, and where it is no table of counters', async () => {
  await expect(run('SAMPLE')).rejects.toMatchObject({ code: 'COUNTER_STRATEGY', kind: 'usage' });
  const ordinary = bindCounters({ ...VISITS, unsupported: null }, MAPPING);
  expect(ordinary).toMatchObject({ kind: 'refused', errors: [{ code: 'COUNTER_TABLE' }] });
  await rig.pool.query('ALTER TABLE visits RENAME seen TO elsewhere');
  const unread = await run();
  expect(unread.verdict).toBe('INCONCLUSIVE');
  expect(unread.reasons.join()).toContain('lacks what shop.visits is compared by');
  await rig.pool.query('ALTER TABLE visits RENAME elsewhere TO seen');
});
