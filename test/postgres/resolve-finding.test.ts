/** Findings that a person decides about, against a real PostgreSQL; the source is rows in memory. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { rowKey, type Cell, type ChangeEvent } from '../../src/change/change-event.ts';
import { applyCorrection, applySource, type ResolveParts } from '../../src/reconcile/end-state/resolve-finding.ts';
import type { ResolveOutcome } from '../../src/reconcile/end-state/resolve-outcome.ts';
import type { Correction } from '../../src/reconcile/end-state/corrected-row.ts';
import {
  reconcileTable,
  type ReconcileParts,
  type ReconcileReport,
} from '../../src/reconcile/end-state/reconcile-table.ts';
import type { ScannedRow } from '../../src/reconcile/end-state/source-slices.ts';
import { undoRepair } from '../../src/reconcile/end-state/undo-repair.ts';
import type { LockstepError } from '../../src/shared/errors.ts';
import { FindingDecisions } from '../../src/target/stores/finding-decisions.ts';
import { FindingStore, type Finding } from '../../src/target/stores/finding-store.ts';
import type { RepairDoor } from '../../src/target/repair-door.ts';
import { comparedParts } from '../support/compared-parts.ts';
import { openDoorRig, type DoorRig } from '../support/door-rig.ts';
import { COMPARED } from '../support/two-sides.ts';

const SCHEMA = 'resolve_finding';
const ROWS = 12;
const SIGNAL = new AbortController().signal;
const HAND = { by: 'ann', why: 'agreed with billing', dryRun: false };

let rig: DoorRig;
let source: Map<string, ScannedRow>;
let parts: ReconcileParts & ResolveParts;
let findings: FindingStore;

const insertOf = (n: number): ChangeEvent => {
  const key = rowKey([String(n), '0']);
  const writeTime = BigInt(100 + n);
  const cells = [
    { writeTime, value: `v${n}`, expiry: null },
    { writeTime, value: String(n), expiry: null },
  ];
  return {
    kind: 'write',
    table: COMPARED.name,
    key,
    writeTime,
    ambiguity: null,
    marker: { writeTime, expiry: null },
    cells,
  };
};

beforeAll(async () => {
  rig = await openDoorRig(inject('postgresUrl'), [COMPARED], { schema: SCHEMA });
  findings = new FindingStore(rig.pool, SCHEMA);
  const compared = comparedParts(rig, SCHEMA, rig.target.tables[0]!, () => source);
  parts = { ...compared, findings, decisions: new FindingDecisions(rig.pool, SCHEMA) };
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
    const change = insertOf(n);
    if (change.kind !== 'write') continue;
    changes.push(change);
    source.set(change.key.text, {
      key: change.key,
      token: parts.table.tokenOf(change.key.values)!,
      cells: change.cells,
    });
  }
  await rig.apply(COMPARED, 0, changes);
});

function compare(repair = false): Promise<ReconcileReport> {
  return reconcileTable(
    parts,
    {
      jobId: randomUUID(),
      plan: { strategy: 'CHECKSUM', writtenUs: null, sampleRows: 1, estimatedRows: ROWS, random: () => 0.5 },
      repair: repair ? { limits: { maxRows: 100, maxShare: 1 }, status: 'AUTO_RESOLVED' } : null,
      dryRun: false,
      mayBeEmpty: false,
      actor: 'test',
    },
    SIGNAL,
  );
}

/** The one open finding of a comparison. */
async function found(): Promise<Finding> {
  await compare();
  const open = await findings.list({ status: 'PENDING', limit: 10, offset: 0 });
  expect(open).toHaveLength(1);
  return open[0]!;
}

async function row(p: number): Promise<unknown> {
  const { rows } = await rig.pool.query<Record<string, string>>('SELECT a, b FROM compared WHERE p = $1', [p]);
  return rows[0] ?? null;
}

const source_ = (finding: Finding, more: Partial<ResolveParts> = {}, dryRun = false): Promise<ResolveOutcome> =>
  applySource({ ...parts, ...more }, finding, { ...HAND, dryRun }, SIGNAL);
const correct = (finding: Finding, value: Correction, more: Partial<ResolveParts> = {}): Promise<ResolveOutcome> =>
  applyCorrection({ ...parts, ...more }, finding, value, HAND, SIGNAL);
const audit = async (): Promise<readonly Record<string, unknown>[]> => {
  const { rows } = await rig.pool.query<Record<string, string | null>>(
    `SELECT actor, action, row_key, reason, before::text, after::text FROM ${SCHEMA}._cdc_audit_log ORDER BY id`,
  );
  return rows;
};

describe('APPLY_SOURCE', () => {
  it('puts the source’s row in place of what was observed, says who and why, and can be taken back', async () => {
    await rig.pool.query(`UPDATE compared SET a = 'spoilt' WHERE p = 2`);
    const finding = await found();
    expect(await source_(finding, {}, true)).toMatchObject({
      kind: 'applied',
      after: { columns: { a: { value: 'v2' } } },
    });
    expect(await row(2)).toEqual({ a: 'spoilt', b: '2' });
    expect((await findings.load(finding.id)).status).toBe('PENDING');
    expect(await source_(finding)).toMatchObject({
      kind: 'applied',
      before: { columns: { a: { value: 'spoilt' } } },
      after: { columns: { a: { value: 'v2' } } },
    });
    expect(await row(2)).toEqual({ a: 'v2', b: '2' });
    expect(await findings.load(finding.id)).toMatchObject({
      status: 'MANUAL_RESOLVED',
      resolvedBy: 'ann',
      notes: 'agreed with billing',
    });
    expect(await audit()).toMatchObject([
      { actor: 'ann', action: 'APPLY_SOURCE', row_key: '["2","0"]', reason: HAND.why },
    ]);
    expect((await compare()).verdict).toBe('PASS');
    await expect(source_(finding)).rejects.toMatchObject({ code: 'FINDING_RESOLVED', kind: 'usage' });

    expect(await undoRepair({ ...parts, by: 'ann', reason: 'wrong row' }, finding.id)).toEqual({ kind: 'applied' });
    expect(await row(2)).toEqual({ a: 'spoilt', b: '2' });
    expect(await compare()).toMatchObject({ verdict: 'PASS', ignored: 1 });
    // Minds may be changed more than once.
    expect(await source_(await findings.load(finding.id))).toMatchObject({ kind: 'applied' });
    expect(await undoRepair({ ...parts, by: 'ann', reason: 'again' }, finding.id)).toEqual({ kind: 'applied' });
    expect((await findings.load(finding.id)).status).toBe('IGNORED');
  });

  it('reads the row again: what the source has now is written, not what the finding remembers', async () => {
    await rig.pool.query(`DELETE FROM compared WHERE p = 3`);
    const finding = await found();
    const key = rowKey(['3', '0']);
    const cells = [{ writeTime: 900n, value: 'newer', expiry: null }, null];
    source.set(key.text, { ...source.get(key.text)!, cells });
    expect(await source_(finding)).toMatchObject({ kind: 'applied', before: null });
    expect(await row(3)).toEqual({ a: 'newer', b: null });
    // The change itself, late: it is the same write.
    await rig.apply(COMPARED, 0, [{ ...insertOf(3), writeTime: 900n, marker: null, cells } as ChangeEvent]);
    expect(await row(3)).toEqual({ a: 'newer', b: null });
  });

  it('writes nothing over a row that changes between the look and the write', async () => {
    await rig.pool.query(`UPDATE compared SET a = 'spoilt' WHERE p = 2`);
    const finding = await found();
    const racing: Pick<RepairDoor, 'session'> = {
      session: (work) =>
        rig.target.repairs.session((session) =>
          work({
            observe: session.observe,
            repair: async (batch) => {
              await rig.apply(COMPARED, 0, [
                {
                  ...insertOf(2),
                  writeTime: 5_000n,
                  marker: null,
                  cells: [{ writeTime: 5_000n, value: 'live', expiry: null }, null],
                } as ChangeEvent,
              ]);
              return session.repair(batch);
            },
          }),
        ),
    };
    expect(await source_(finding, { repairs: racing })).toMatchObject({ kind: 'stale' });
    expect(await correct(finding, { a: 'mine' }, { repairs: racing })).toMatchObject({ kind: 'stale' });
    expect(await row(2)).toEqual({ a: 'live', b: '2' });
    expect((await findings.load(finding.id)).status).toBe('PENDING');
    expect(await audit()).toEqual([]);
  });

  it('writes nothing while the row moves, or where the stream has not passed', async () => {
    await rig.pool.query(`UPDATE compared SET a = 'spoilt' WHERE p = 2`);
    const finding = await found();
    let n = 10_000n;
    const moving = {
      readSource: () =>
        Promise.resolve([
          {
            cells: [
              { writeTime: n++, value: `moved ${n}`, expiry: null },
              { writeTime: 102n, value: '2', expiry: null },
            ],
          },
        ]),
    };
    expect(await source_(finding, moving)).toMatchObject({
      kind: 'stale',
      reason: expect.stringContaining('moved') as string,
    });
    const late = { barrier: () => Promise.resolve('3 records are not applied yet') };
    for (const outcome of [await source_(finding, late), await correct(finding, { a: 'x' }, late)]) {
      expect(outcome).toMatchObject({ kind: 'stale', reason: '3 records are not applied yet' });
    }
    expect(await row(2)).toEqual({ a: 'spoilt', b: '2' });
  });

  it('removes a row only where the absence is certain', async () => {
    source.delete(rowKey(['4', '0']).text);
    const finding = await found();
    expect(await source_(finding, { quorumReads: false })).toMatchObject({
      kind: 'refused',
      reason: expect.stringContaining('consistency') as string,
    });
    expect(await row(4)).toEqual({ a: 'v4', b: '4' });
    expect(await source_(finding)).toMatchObject({ kind: 'applied', after: null });
    expect(await row(4)).toBeNull();
    // Its insert once more does not bring it back.
    await rig.apply(COMPARED, 0, [insertOf(4)]);
    expect(await row(4)).toBeNull();
  });

  it('closes the finding where the row shows already what the source has', async () => {
    await rig.pool.query(`UPDATE compared SET a = 'spoilt' WHERE p = 2`);
    const finding = await found();
    await rig.pool.query(`UPDATE compared SET a = 'v2' WHERE p = 2`);
    expect(await source_(finding)).toEqual({ kind: 'equal' });
    expect(await findings.load(finding.id)).toMatchObject({
      status: 'MANUAL_RESOLVED',
      resolvedBy: 'ann',
      after: null,
    });
  });

  it('is for one row', async () => {
    const [noted] = await findings.record(parts.table.id, randomUUID(), [
      {
        rowKey: rowKey(['5']).text,
        type: 'MISSING_IN_CASSANDRA',
        cause: 'missed-change',
        columns: [],
        sourceImage: null,
        targetImage: null,
        sourceChecksum: null,
        targetChecksum: null,
      },
    ]);
    const finding = await findings.load(noted!.id);
    for (const outcome of [await source_(finding), await correct(finding, { a: 'x' })]) {
      expect(outcome).toMatchObject({ kind: 'refused', remedy: expect.stringContaining('reconcile run') as string });
    }
  });
});

describe('two people at once', () => {
  it('one of them is told that the finding is resolved, and nothing is written twice', async () => {
    await rig.pool.query(`UPDATE compared SET a = 'spoilt' WHERE p = 2`);
    const finding = await found();
    const settled = await Promise.allSettled([
      correct(finding, { b: '71' }),
      correct(finding, { b: '72' }),
      source_(finding),
    ]);
    const applied = settled.filter(
      ({ status, ...rest }) => status === 'fulfilled' && (rest as { value: ResolveOutcome }).value.kind === 'applied',
    );
    expect(applied).toHaveLength(1);
    for (const each of settled) {
      if (each.status === 'rejected') expect((each.reason as LockstepError).code).toBe('FINDING_RESOLVED');
    }
    expect(await audit()).toHaveLength(1);
  });

  it('a finding that was closed between the look and the write keeps its row', async () => {
    await rig.pool.query(`UPDATE compared SET a = 'spoilt' WHERE p = 2`);
    const finding = await found();
    const closing: Partial<ResolveParts> = {
      barrier: async () => {
        await parts.decisions.close(finding.id, {
          status: 'IGNORED',
          action: 'KEEP_TARGET',
          by: 'bob',
          notes: 'stays',
        });
        await parts.decisions.close(finding.id, {
          status: 'MANUAL_RESOLVED',
          action: 'MANUAL_RESOLVED',
          by: 'bob',
          notes: 'done',
        });
        return null;
      },
    };
    await expect(source_(finding, closing)).rejects.toMatchObject({ code: 'FINDING_RESOLVED' });
    await expect(correct(finding, { a: 'x' }, closing)).rejects.toMatchObject({ code: 'FINDING_RESOLVED' });
    expect(await row(2)).toEqual({ a: 'spoilt', b: '2' });
    expect((await audit()).map(({ action }) => action)).toEqual(['KEEP_TARGET', 'MANUAL_RESOLVED']);
  });
});

describe('an accepted difference', () => {
  it('is not opened again while both sides look the same, and is when either changes', async () => {
    await rig.pool.query(`UPDATE compared SET a = 'kept' WHERE p = 2`);
    const finding = await found();
    const keep = { status: 'IGNORED', action: 'KEEP_TARGET', by: 'ann', notes: 'wanted' } as const;
    expect(await parts.decisions.close(finding.id, keep)).toBe(true);
    expect(await parts.decisions.close(finding.id, keep)).toBe(false);
    expect(await compare(true)).toMatchObject({ verdict: 'PASS', ignored: 1, repaired: { applied: 0 } });
    expect(await row(2)).toEqual({ a: 'kept', b: '2' });

    await rig.pool.query(`UPDATE compared SET a = 'other' WHERE p = 2`);
    expect((await compare()).verdict).toBe('DRIFT');
    expect(await parts.decisions.close(finding.id, keep)).toBe(true);
    expect((await compare()).verdict).toBe('PASS');

    const key = rowKey(['2', '0']).text;
    const { cells, ...rest } = source.get(key)!;
    source.set(key, { ...rest, cells: [{ writeTime: 800n, value: 'moved on', expiry: null }, cells[1]!] });
    expect((await compare()).verdict).toBe('DRIFT');
  });

  it('that somebody has dealt with by hand is a new finding when it is seen again', async () => {
    await rig.pool.query(`UPDATE compared SET a = 'spoilt' WHERE p = 2`);
    const finding = await found();
    const done = { status: 'MANUAL_RESOLVED', action: 'MANUAL_RESOLVED', by: 'ann', notes: 'corrected there' } as const;
    expect(await parts.decisions.close(finding.id, done)).toBe(true);
    expect((await found()).id).not.toBe(finding.id);
  });
});

describe('CUSTOM_FIX', () => {
  it('writes corrected values; what still differs is accepted, and all of it can be taken back', async () => {
    await rig.pool.query(`UPDATE compared SET b = 99 WHERE p = 2`);
    const finding = await found();
    expect(await correct(finding, { b: 7 })).toMatchObject({ kind: 'applied' });
    expect(await row(2)).toEqual({ a: 'v2', b: '7' });
    expect(await audit()).toMatchObject([{ actor: 'ann', action: 'CUSTOM_FIX', reason: HAND.why }]);
    expect((await audit())[0]!['before']).toContain('99');
    expect(await compare(true)).toMatchObject({ verdict: 'PASS', ignored: 1, repaired: { applied: 0 } });
    // Neither a duplicate of the source's write undoes it …
    await rig.apply(COMPARED, 0, [insertOf(2)]);
    expect(await row(2)).toEqual({ a: 'v2', b: '7' });

    expect(await undoRepair({ ...parts, by: 'ann', reason: 'no' }, finding.id)).toEqual({ kind: 'applied' });
    expect(await row(2)).toEqual({ a: 'v2', b: '99' });
    expect(await compare()).toMatchObject({ verdict: 'PASS', ignored: 1 });
    const all = await findings.list({ limit: 10, offset: 0 });
    expect(all.map(({ status }) => status).sort()).toEqual(['IGNORED', 'SUPERSEDED']);
  });

  it('survives a duplicate of a newer write of the source, and gives way to the next one', async () => {
    const key = rowKey(['2', '0']).text;
    const newer: Cell = { writeTime: 600n, value: 'newest', expiry: null };
    source.set(key, { ...source.get(key)!, cells: [newer, source.get(key)!.cells[1]!] });
    const finding = await found();
    const late = (cell: Cell): Promise<unknown> =>
      rig.apply(COMPARED, 0, [
        { ...insertOf(2), writeTime: cell.writeTime, marker: null, cells: [cell, null] } as ChangeEvent,
      ]);
    expect(await correct(finding, { a: 'by hand' })).toMatchObject({ kind: 'applied' });
    await late(newer);
    expect(await row(2)).toEqual({ a: 'by hand', b: '2' });
    await late({ ...newer, writeTime: 700n, value: 'later' });
    expect(await row(2)).toEqual({ a: 'later', b: '2' });
  });

  it('an emptied column stays empty when the source’s write comes after all', async () => {
    const key = rowKey(['2', '0']).text;
    const newer: Cell = { writeTime: 600n, value: 'unwanted', expiry: null };
    source.set(key, { ...source.get(key)!, cells: [newer, source.get(key)!.cells[1]!] });
    expect(await correct(await found(), { a: null })).toMatchObject({ kind: 'applied' });
    await rig.apply(COMPARED, 0, [
      { ...insertOf(2), writeTime: 600n, marker: null, cells: [newer, null] } as ChangeEvent,
    ]);
    expect(await row(2)).toEqual({ a: null, b: '2' });
  });

  it('that is what the source has leaves nothing to accept', async () => {
    await rig.pool.query(`UPDATE compared SET a = 'spoilt' WHERE p = 2`);
    expect(await correct(await found(), { a: 'v2' })).toMatchObject({ kind: 'applied' });
    expect(await compare()).toMatchObject({ verdict: 'PASS', ignored: 0 });
  });

  it('makes a row that is missing, and removes one that the source does not have', async () => {
    await rig.pool.query(`DELETE FROM compared WHERE p = 3`);
    const missing = await found();
    expect(await correct(missing, { a: 'made', b: '12' })).toMatchObject({ kind: 'applied', before: null });
    expect(await row(3)).toEqual({ a: 'made', b: '12' });
    await rig.pool.query(`INSERT INTO compared (p, c, a) VALUES (77, 0, 'rogue')`);
    const rogue = await found();
    expect(await correct(rogue, null, { quorumReads: false })).toMatchObject({ kind: 'applied', after: null });
    expect(await row(77)).toBeNull();
    expect((await compare()).verdict).toBe('PASS');
  });

  it('is refused where the row does not look as the finding has it any more', async () => {
    await rig.pool.query(`UPDATE compared SET a = 'spoilt' WHERE p = 2`);
    const finding = await found();
    await rig.pool.query(`UPDATE compared SET a = 'spoilt again' WHERE p = 2`);
    expect(await correct(finding, { b: '5' })).toMatchObject({
      kind: 'stale',
      remedy: expect.stringContaining('compare') as string,
    });
    expect(await row(2)).toEqual({ a: 'spoilt again', b: '2' });
    expect(await correct(finding, null)).toMatchObject({ kind: 'stale' });
  });

  it.each<[string, Correction]>([
    ['an unknown column', { nonsense: '1' }],
    ['a column of the key', { c: '1' }],
    ['no column', {}],
    ['a value that is none of the type', { b: 'seven' }],
    ['a number that JSON does not keep', { b: 1.5 }],
    ['a text that PostgreSQL can not hold', { a: 'a\u0000b' }],
  ])('is refused with %s', async (_what, value) => {
    await rig.pool.query(`UPDATE compared SET a = 'spoilt' WHERE p = 2`);
    await expect(correct(await found(), value)).rejects.toMatchObject({ code: 'CORRECTION_INVALID', kind: 'usage' });
    expect(await row(2)).toEqual({ a: 'spoilt', b: '2' });
  });

  it('is refused where it would remove a row that the source has, change nothing, or break a constraint', async () => {
    await rig.pool.query(`UPDATE compared SET a = 'spoilt' WHERE p = 2`);
    const finding = await found();
    expect(await correct(finding, null)).toMatchObject({ kind: 'refused', reason: 'the source has the row' });
    expect(await correct(finding, { a: 'spoilt' })).toMatchObject({ kind: 'refused' });
    await rig.pool.query(`ALTER TABLE compared ADD CONSTRAINT small CHECK (b < 1000)`);
    const outcome = await correct(finding, { b: '5000' });
    await rig.pool.query(`ALTER TABLE compared DROP CONSTRAINT small`);
    expect(outcome).toMatchObject({ kind: 'refused', reason: expect.stringContaining('small') as string });
    expect((await findings.load(finding.id)).status).toBe('PENDING');
  });
});
