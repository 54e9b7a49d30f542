/** A whole comparison against a real PostgreSQL; the source is rows in memory. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { rowKey, type ChangeEvent } from '../../src/change/change-event.ts';
import type { Strategy } from '../../src/reconcile/end-state/comparison-plan.ts';
import {
  reconcileTable,
  type ReconcileParts,
  type ReconcileReport,
  type ReconcileRequest,
} from '../../src/reconcile/end-state/reconcile-table.ts';
import { undoRepair } from '../../src/reconcile/end-state/undo-repair.ts';
import type { ScannedRow } from '../../src/reconcile/end-state/source-slices.ts';
import { splitRing, WHOLE_RING } from '../../src/change/token-range.ts';
import { runComparison } from '../../src/operate/end-state/run-comparison.ts';
import { LockstepError } from '../../src/shared/errors.ts';
import { JobStore } from '../../src/target/stores/job-store.ts';
import { VerifiedPoints } from '../../src/target/stores/verified-points.ts';
import { comparedParts } from '../support/compared-parts.ts';
import { openDoorRig, type DoorRig } from '../support/door-rig.ts';
import { COMPARED, sourcePages } from '../support/two-sides.ts';

const SCHEMA = 'reconcile_table';
const ROWS = 60;
const SIGNAL = new AbortController().signal;

let rig: DoorRig;
let source: Map<string, ScannedRow>;
let parts: ReconcileParts;
beforeAll(async () => {
  rig = await openDoorRig(inject('postgresUrl'), [COMPARED], { schema: SCHEMA });
  parts = comparedParts(rig, SCHEMA, rig.target.tables[0]!, () => source);
});
afterAll(() => rig.close());
beforeEach(async () => {
  await rig.pool.query('TRUNCATE compared');
  for (const name of ['graveyard', 'range_tombstones', 'queue', 'ledger', 'findings', 'audit_log']) {
    await rig.pool.query(`TRUNCATE ${SCHEMA}._cdc_${name}`);
  }
  source = new Map();
  const changes: ChangeEvent[] = [];
  for (let n = 0; n < ROWS; n++) {
    const key = rowKey([String(n % 20), String(Math.floor(n / 20))]);
    const writeTime = BigInt(100 + n);
    const cells = [
      { writeTime, value: `v${n}`, expiry: null },
      { writeTime, value: String(n), expiry: null },
    ];
    source.set(key.text, { key, token: parts.table.tokenOf(key.values)!, cells });
    changes.push({
      kind: 'write',
      table: COMPARED.name,
      key,
      writeTime,
      ambiguity: null,
      marker: { writeTime, expiry: null },
      cells,
    });
  }
  await rig.apply(COMPARED, 0, changes);
});

const LIMITS = { maxRows: 1000, maxShare: 0.5 };
type More = Partial<Omit<ReconcileRequest, 'plan'>> & {
  readonly sampleRows?: number;
  readonly writtenUs?: { readonly from: bigint; readonly to: bigint };
  readonly parts?: Partial<ReconcileParts>;
};

function run(
  strategy: Strategy,
  { sampleRows = 30, writtenUs, parts: other = {}, ...more }: More = {},
): Promise<ReconcileReport> {
  let n = 0;
  return reconcileTable(
    { ...parts, ...other },
    {
      jobId: randomUUID(),
      plan: { strategy, writtenUs: writtenUs ?? null, sampleRows, estimatedRows: ROWS, random: () => (n++ * 0.37) % 1 },
      repair: null,
      dryRun: false,
      mayBeEmpty: false,
      actor: 'test',
      ...more,
    },
    SIGNAL,
  );
}

const REPAIR = { repair: { limits: LIMITS, status: 'AUTO_RESOLVED' as const } };

/** One fault of each kind, by hand or by a change that was lost. */
async function spoil(): Promise<void> {
  await rig.pool.query(`DELETE FROM compared WHERE p = 1 AND c = 0`);
  await rig.pool.query(`UPDATE compared SET a = 'spoilt' WHERE p = 2 AND c = 1`);
  await rig.pool.query(`INSERT INTO compared (p, c, a) VALUES (77, 7, 'rogue')`);
  const gone = rowKey(['3', '0']);
  source.delete(gone.text);
  const late = rowKey(['4', '2']);
  const row = source.get(late.text)!;
  source.set(late.text, { ...row, cells: [{ writeTime: 9_000n, value: 'later', expiry: null }, row.cells[1]!] });
}

const causes = (report: ReconcileReport): readonly string[] =>
  report.drift
    .map(({ key, classification }) => `${key.values.join('/')} ${classification.type} ${classification.cause}`)
    .sort();

const SPOILT = [
  '1/0 MISSING_IN_POSTGRES missed-insert',
  '2/1 DATA_MISMATCH rogue-update',
  '3/0 MISSING_IN_CASSANDRA missed-delete',
  '4/2 DATA_MISMATCH missed-update',
  '77/7 MISSING_IN_CASSANDRA rogue-insert',
];

async function shownRows(): Promise<string> {
  const { rows } = await rig.pool.query<Record<string, string>>('SELECT p, c, a, b FROM compared ORDER BY p, c');
  return JSON.stringify(rows);
}

describe('a comparison', () => {
  it.each<Strategy>(['ROW_COUNT', 'CHECKSUM', 'SAMPLE'])(
    '%s of equal sides passes, with proof of what was scanned',
    async (strategy) => {
      const report = await run(strategy);
      expect(report).toMatchObject({
        verdict: 'PASS',
        reasons: [],
        coverage: 1,
        drift: [],
        sourceDigest: report.targetDigest,
      });
      if (strategy === 'SAMPLE') {
        expect(report.compared).toBeGreaterThanOrEqual(30);
        expect(report.compared).toBeLessThan(ROWS);
        expect(report.sample).toMatchObject({ drifted: 0, wilson: { low: 0 }, clopperPearson: { low: 0 } });
      } else expect(report).toMatchObject({ sourceRows: ROWS, targetRows: ROWS, compared: ROWS, sample: null });
    },
  );

  it('names every fault, and the digests of both sides differ', async () => {
    await spoil();
    const report = await run('CHECKSUM');
    expect(report).toMatchObject({ verdict: 'DRIFT', sourceRows: 59, targetRows: 60 });
    expect(causes(report)).toEqual(SPOILT);
    expect(report.sourceDigest).not.toBe(report.targetDigest);
  });

  it('of counts sees missing and extra rows only', async () => {
    await spoil();
    expect(causes(await run('ROW_COUNT'))).toEqual(SPOILT.filter((each) => each.includes('MISSING')));
  });

  it('of a span of write times sees what was written in it', async () => {
    await spoil();
    const report = await run('TIMESTAMP_RANGE', { writtenUs: { from: 9_000n, to: 9_001n } });
    expect(causes(report)).toEqual(['4/2 DATA_MISMATCH missed-update']);
    expect(report.compared).toBe(1);
    const none = await run('TIMESTAMP_RANGE', { writtenUs: { from: 20_000n, to: 20_001n }, dryRun: true });
    expect(none.reasons).toContain('no row was compared (--allow-empty where that is right)');
  });

  it('looks again at what was found, whatever its strategy, and lets go of what is equal now', async () => {
    await spoil();
    await run('CHECKSUM');
    await rig.pool.query(`UPDATE compared SET a = 'v22' WHERE p = 2 AND c = 1`);
    const report = await run('ROW_COUNT');
    expect(causes(report)).toEqual(SPOILT.filter((each) => !each.startsWith('2/1')));
    expect(report.superseded).toBe(1);
    expect(await parts.findings.count({ status: 'PENDING', limit: 1, offset: 0 })).toBe(4);
  });

  it('proves nothing of an empty table, of a range that fails, or without the barrier', async () => {
    const all = [...source.values()];
    source.clear();
    await rig.pool.query('TRUNCATE compared');
    expect(await run('CHECKSUM')).toMatchObject({ verdict: 'INCONCLUSIVE' });
    expect(await run('CHECKSUM', { mayBeEmpty: true })).toMatchObject({ verdict: 'PASS' });
    for (const row of all) source.set(row.key.text, row);
    const late = await run('CHECKSUM', { parts: { barrier: () => Promise.resolve('behind') } });
    expect(late).toMatchObject({ verdict: 'INCONCLUSIVE', drift: [], unproven: ROWS });
  });
});

describe('a comparison that can not see everything', () => {
  const failing = (code: string, kind: 'transient' | 'config'): LockstepError =>
    new LockstepError(`${code} it says`, { code, kind });
  /** The source's rows of a range, unless it lies at or behind the given one, counted from 0; 16 ranges are scanned. */
  const upTo = (first: number, error: LockstepError): ReconcileParts['scanSource'] =>
    async function* (range) {
      const at = splitRing(16).findIndex(({ after }) => after === range.after);
      yield* sourcePages([...source.values()], range, [{ rows: 5, saysWhole: true }]);
      if (at >= first) throw error;
    };

  it('of a source that is away for a while names the tokens, and the others count', async () => {
    let tries = 0;
    const scanSource: ReconcileParts['scanSource'] = async function* (range) {
      if (range.after === splitRing(16)[3]?.after && ++tries < 3) throw failing('SOURCE_UNREACHABLE', 'transient');
      if (range.after === splitRing(16)[5]?.after) throw failing('SOURCE_UNREACHABLE', 'transient');
      yield* sourcePages([...source.values()], range, [{ rows: 5, saysWhole: true }]);
    };
    const report = await run('CHECKSUM', { parts: { scanSource } });
    const { after, upTo: end } = splitRing(16)[5]!;
    expect(report).toMatchObject({
      verdict: 'INCONCLUSIVE',
      rangesDue: 16,
      rangesScanned: 15,
      coverage: 15 / 16,
      drift: [],
    });
    expect(report.notChecked).toEqual([
      { where: `tokens behind ${after} up to ${end}`, reason: 'SOURCE_UNREACHABLE it says' },
    ]);
    expect(report.reasons.join()).toContain(`not checked: tokens behind ${after} up to ${end}`);
  });

  it('of a source that stays away does not try every range, and says all that is left', async () => {
    let scans = 0;
    const scanSource = upTo(4, failing('SOURCE_UNREACHABLE', 'transient'));
    const counted: ReconcileParts['scanSource'] = (range, signal) => {
      scans += 1;
      return scanSource(range, signal);
    };
    const report = await run('CHECKSUM', { parts: { scanSource: counted, rangesAtOnce: 1 } });
    expect(report).toMatchObject({ verdict: 'INCONCLUSIVE', rangesScanned: 4, drift: [] });
    expect(report.notChecked.map(({ where }) => where)).toEqual([
      `tokens behind ${splitRing(16)[4]!.after} up to ${WHOLE_RING.upTo}`,
    ]);
    expect(scans).toBe(4 + 3 * 3);
  });

  it('whose ranges fail together at one moment goes on with the others', async () => {
    let scans = 0;
    const scanSource: ReconcileParts['scanSource'] = async function* (range) {
      // Three ranges at once, three attempts each.
      if (++scans <= 9) throw failing('SOURCE_UNREACHABLE', 'transient');
      yield* sourcePages([...source.values()], range, [{ rows: 5, saysWhole: true }]);
    };
    const report = await run('CHECKSUM', { parts: { scanSource } });
    expect(report).toMatchObject({ verdict: 'INCONCLUSIVE', rangesDue: 16, rangesScanned: 13, drift: [] });
  });

  it('of a table that was dropped meanwhile ends at once, and what differs stays unproven', async () => {
    await spoil();
    const gone = failing('SOURCE_QUERY', 'config');
    const report = await run('CHECKSUM', {
      parts: {
        rangesAtOnce: 1,
        scanSource: upTo(8, gone),
        readSource: () => Promise.reject(failing('SOURCE_UNREACHABLE', 'transient')),
      },
    });
    expect(report).toMatchObject({ verdict: 'INCONCLUSIVE', rangesScanned: 8, drift: [] });
    expect(report.unproven).toBeGreaterThan(0);
    expect(report.reasons.join()).toContain('SOURCE_UNREACHABLE it says');
  });

  it('whose schema changed between two ranges proves nothing', async () => {
    const report = await run('CHECKSUM', {
      parts: { schemaChange: () => Promise.resolve('column new was added') },
    });
    expect(report).toMatchObject({ verdict: 'INCONCLUSIVE', coverage: 1, drift: [] });
    expect(report.reasons.join()).toContain('column new was added');
  });

  it('of a part that is passed over for its tombstones names it, and calls none of its rows missing', async () => {
    const hidden = rowKey(['3', '0']);
    const scanSource: ReconcileParts['scanSource'] = async function* (range) {
      const rows = [...source.values()].filter(({ key }) => key.text !== hidden.text);
      for await (const page of sourcePages(rows, range, [{ rows: 5, saysWhole: true }])) yield page;
      if (range.after === splitRing(16)[2]?.after) {
        const error = failing('SOURCE_TOMBSTONES', 'transient');
        const { upTo: token } = range;
        yield {
          rows: [],
          unreadable: [],
          unread: [{ where: 'partition (3), c behind 9', error }],
          upTo: token,
          whole: true,
        };
      }
    };
    const report = await run('CHECKSUM', { parts: { scanSource } });
    expect(report).toMatchObject({
      verdict: 'INCONCLUSIVE',
      drift: [],
      unproven: 0,
      rangesScanned: 15,
      sourceRows: ROWS - 1,
    });
    expect(report.notChecked).toEqual([{ where: 'partition (3), c behind 9', reason: 'SOURCE_TOMBSTONES it says' }]);
  });
});

describe('a comparison of the command line', () => {
  const begin = (strategy: Strategy, span: { fromUs: bigint | null; toUs: bigint | null }, dryRun = false) =>
    runComparison(
      {
        parts,
        jobs: new JobStore(rig.pool, SCHEMA),
        estimatedRows: () => Promise.resolve(ROWS),
        statics: null,
        verified: new VerifiedPoints(rig.pool, SCHEMA),
        skewUs: 5n,
      },
      { strategy, span, sampleRows: 10, repair: null, dryRun, mayBeEmpty: false, actor: 'ann' },
      SIGNAL,
    );
  const OPEN = { fromUs: null, toUs: null };

  it('TIMESTAMP_RANGE goes on where the last run that covered the table ended, as scheduled ones do', async () => {
    await rig.pool.query(`TRUNCATE ${SCHEMA}._cdc_verified`);
    const first = await begin('TIMESTAMP_RANGE', OPEN);
    expect(first).toMatchObject({ verifiedUs: null, report: { verdict: 'PASS', compared: ROWS } });
    expect(first.document).toMatchObject({ written_from: null, written_to: expect.any(String) as string });
    const untilUs = first.writtenUs!.to;

    rig.clock.set(rig.clock.nowMs() + 1_000);
    const second = await begin('TIMESTAMP_RANGE', OPEN);
    expect(second).toMatchObject({ verifiedUs: untilUs, writtenUs: { from: untilUs - 5n } });
    // No row was written since, and that is no reason against it.
    expect(second.report).toMatchObject({ verdict: 'PASS', compared: 0 });

    // Neither a dry run nor one that looks at less moves the point on; a whole one does.
    rig.clock.set(rig.clock.nowMs() + 1_000);
    await begin('TIMESTAMP_RANGE', OPEN, true);
    await begin('ROW_COUNT', OPEN);
    const third = await begin('CHECKSUM', OPEN);
    expect(third).toMatchObject({ verifiedUs: second.writtenUs!.to, writtenUs: null, document: { written_to: null } });
    expect((await begin('TIMESTAMP_RANGE', OPEN)).verifiedUs).toBe(BigInt(rig.clock.nowMs()) * 1000n);
    expect(
      await new JobStore(rig.pool, SCHEMA).newest('reconcile', { jobType: 'MANUAL' }, { limit: 1, offset: 0 }),
    ).toMatchObject({
      jobs: [{ parameters: { strategy: 'TIMESTAMP_RANGE', job_type: 'MANUAL' } }],
    });
  });

  it('a span that ends before what is verified is wrong usage, with the point in the message', async () => {
    await begin('CHECKSUM', OPEN);
    await expect(begin('TIMESTAMP_RANGE', { fromUs: null, toUs: 1_000n })).rejects.toMatchObject({
      code: 'RECONCILE_SPAN',
      kind: 'usage',
      message: expect.stringContaining('is verified until 20') as string,
    });
    expect((await begin('TIMESTAMP_RANGE', { fromUs: 0n, toUs: 1_000n })).report.compared).toBe(ROWS);
  });
});

describe('a repair', () => {
  it('makes the next comparison pass, leaves audit rows, and is no verification itself', async () => {
    await spoil();
    const report = await run('CHECKSUM', REPAIR);
    expect(report).toMatchObject({ verdict: 'DRIFT', repaired: { applied: 5, stale: 0, review: 0, failed: 0 } });
    expect(await run('CHECKSUM')).toMatchObject({ verdict: 'PASS', sourceRows: 59, targetRows: 59 });
    expect(await parts.findings.count({ status: 'AUTO_RESOLVED', limit: 1, offset: 0 })).toBe(5);
    const { rows } = await rig.pool.query<Record<string, string>>(
      `SELECT actor, action, outcome FROM ${SCHEMA}._cdc_audit_log`,
    );
    expect(rows).toHaveLength(5);
    expect(rows[0]).toEqual({ actor: 'test', action: 'APPLY_SOURCE', outcome: 'applied' });
  });

  it('as a dry run says what it would repair, and neither notes nor writes anything', async () => {
    await spoil();
    const before = await shownRows();
    expect(await run('CHECKSUM', { ...REPAIR, dryRun: true })).toMatchObject({ repaired: { applied: 5 } });
    expect(await shownRows()).toBe(before);
    expect(await parts.findings.count({ limit: 1, offset: 0 })).toBe(0);
  });

  it('of too much is refused: that is for a person', async () => {
    await rig.pool.query('DELETE FROM compared WHERE c < 2');
    const before = await shownRows();
    const limits = { maxRows: 1000, maxShare: 0.1 };
    const report = await run('CHECKSUM', { repair: { limits, status: 'AUTO_RESOLVED' } });
    expect(report).toMatchObject({ verdict: 'DRIFT', repaired: { applied: 0 } });
    expect(report.repairRefused).toContain('66.67 %');
    const few = await run('CHECKSUM', { repair: { limits: { maxRows: 5, maxShare: 1 }, status: 'AUTO_RESOLVED' } });
    expect(few.repairRefused).toContain('more than the 5');
    expect(await shownRows()).toBe(before);
  });

  it('removes no row for being absent where reads may miss rows', async () => {
    await spoil();
    const left: string[] = [];
    const report = await run('CHECKSUM', {
      ...REPAIR,
      parts: { quorumReads: false, onLeft: ({ key }) => left.push(key.values.join('/')) },
    });
    expect(report.repaired).toMatchObject({ applied: 4, review: 1 });
    expect(left).toEqual(['3/0']);
  });

  it('can be taken back, once, and what was taken back is accepted', async () => {
    await spoil();
    const before = await shownRows();
    await run('CHECKSUM', REPAIR);
    const repaired = await parts.findings.list({ status: 'AUTO_RESOLVED', limit: 10, offset: 0 });
    const undo = { ...parts, by: 'ann', reason: 'wanted' };
    for (const { id } of repaired) expect(await undoRepair(undo, id)).toEqual({ kind: 'applied' });
    expect(await shownRows()).toBe(before);
    await expect(undoRepair(undo, repaired[0]!.id)).rejects.toMatchObject({
      code: 'FINDING_NOT_REPAIRED',
      kind: 'usage',
    });
    expect(await run('CHECKSUM')).toMatchObject({ verdict: 'PASS', ignored: 5 });
    const sampled = await run('SAMPLE', { sampleRows: ROWS });
    expect(sampled).toMatchObject({ verdict: 'PASS', sample: { drifted: 0 } });
    expect(sampled.ignored).toBeGreaterThanOrEqual(4);
  });

  it('is not taken back where the row has changed since', async () => {
    await spoil();
    await run('CHECKSUM', REPAIR);
    const [finding] = (await parts.findings.list({ type: 'DATA_MISMATCH', limit: 10, offset: 0 })).filter(
      ({ rowKey: key }) => key.startsWith('["2"'),
    );
    await rig.pool.query(`UPDATE compared SET b = 1 WHERE p = 2 AND c = 1`);
    expect(await undoRepair({ ...parts, by: 'ann', reason: 'x' }, finding!.id)).toEqual({
      kind: 'stale',
    });
    expect((await parts.findings.load(finding!.id)).status).toBe('AUTO_RESOLVED');
  });
});
