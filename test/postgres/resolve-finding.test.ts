/** Findings that a person decides about: the source's row, a decision of somebody else, an accepted difference. */
import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { rowKey } from '../../src/change/change-event.ts';
import type { ResolveParts } from '../../src/reconcile/end-state/resolve-finding.ts';
import type { ResolveOutcome } from '../../src/reconcile/end-state/resolve-outcome.ts';
import { undoRepair } from '../../src/reconcile/end-state/undo-repair.ts';
import type { LockstepError } from '../../src/shared/errors.ts';
import type { RepairDoor } from '../../src/target/repair-door.ts';
import { HAND, insertOf, resolvingStage } from '../support/resolving.ts';
import { COMPARED } from '../support/two-sides.ts';

const stage = resolvingStage('resolve_finding');

describe('APPLY_SOURCE', () => {
  it('puts the source’s row in place of what was observed, says who and why, and can be taken back', async () => {
    await stage.rig.pool.query(`UPDATE compared SET a = 'spoilt' WHERE p = 2`);
    const finding = await stage.found();
    expect(await stage.applySource(finding, {}, true)).toMatchObject({
      kind: 'applied',
      after: { columns: { a: { value: 'v2' } } },
    });
    expect(await stage.row(2)).toEqual({ a: 'spoilt', b: '2' });
    expect((await stage.findings.load(finding.id)).status).toBe('PENDING');
    expect(await stage.applySource(finding)).toMatchObject({
      kind: 'applied',
      before: { columns: { a: { value: 'spoilt' } } },
      after: { columns: { a: { value: 'v2' } } },
    });
    expect(await stage.row(2)).toEqual({ a: 'v2', b: '2' });
    expect(await stage.findings.load(finding.id)).toMatchObject({
      status: 'MANUAL_RESOLVED',
      resolvedBy: 'ann',
      notes: 'agreed with billing',
    });
    expect(await stage.audit()).toMatchObject([
      { actor: 'ann', action: 'APPLY_SOURCE', row_key: '["2","0"]', reason: HAND.why },
    ]);
    expect((await stage.compare()).verdict).toBe('PASS');
    await expect(stage.applySource(finding)).rejects.toMatchObject({ code: 'FINDING_RESOLVED', kind: 'usage' });

    expect(await undoRepair({ ...stage.parts, by: 'ann', reason: 'wrong row' }, finding.id)).toEqual({
      kind: 'applied',
    });
    expect(await stage.row(2)).toEqual({ a: 'spoilt', b: '2' });
    expect(await stage.compare()).toMatchObject({ verdict: 'PASS', ignored: 1 });
    // Minds may be changed more than once.
    expect(await stage.applySource(await stage.findings.load(finding.id))).toMatchObject({ kind: 'applied' });
    expect(await undoRepair({ ...stage.parts, by: 'ann', reason: 'again' }, finding.id)).toEqual({ kind: 'applied' });
    expect((await stage.findings.load(finding.id)).status).toBe('IGNORED');
  });

  it('reads the row again: what the source has now is written, not what the finding remembers', async () => {
    await stage.rig.pool.query(`DELETE FROM compared WHERE p = 3`);
    const finding = await stage.found();
    const key = rowKey(['3', '0']);
    const cells = [{ writeTime: 900n, value: 'newer', expiry: null }, null];
    stage.source.set(key.text, { ...stage.source.get(key.text)!, cells });
    expect(await stage.applySource(finding)).toMatchObject({ kind: 'applied', before: null });
    expect(await stage.row(3)).toEqual({ a: 'newer', b: null });
    // The change itself, late: it is the same write.
    await stage.rig.apply(COMPARED, 0, [{ ...insertOf(3), writeTime: 900n, marker: null, cells }]);
    expect(await stage.row(3)).toEqual({ a: 'newer', b: null });
  });

  it('writes nothing over a row that changes between the look and the write', async () => {
    await stage.rig.pool.query(`UPDATE compared SET a = 'spoilt' WHERE p = 2`);
    const finding = await stage.found();
    const racing: Pick<RepairDoor, 'session'> = {
      session: (work) =>
        stage.rig.target.repairs.session((session) =>
          work({
            observe: session.observe,
            repair: async (batch) => {
              await stage.rig.apply(COMPARED, 0, [
                {
                  ...insertOf(2),
                  writeTime: 5_000n,
                  marker: null,
                  cells: [{ writeTime: 5_000n, value: 'live', expiry: null }, null],
                },
              ]);
              return session.repair(batch);
            },
          }),
        ),
    };
    expect(await stage.applySource(finding, { repairs: racing })).toMatchObject({ kind: 'stale' });
    expect(await stage.correct(finding, { a: 'mine' }, { repairs: racing })).toMatchObject({ kind: 'stale' });
    expect(await stage.row(2)).toEqual({ a: 'live', b: '2' });
    expect((await stage.findings.load(finding.id)).status).toBe('PENDING');
    expect(await stage.audit()).toEqual([]);
  });

  it('writes nothing while the row moves, or where the stream has not passed', async () => {
    await stage.rig.pool.query(`UPDATE compared SET a = 'spoilt' WHERE p = 2`);
    const finding = await stage.found();
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
    expect(await stage.applySource(finding, moving)).toMatchObject({
      kind: 'stale',
      reason: expect.stringContaining('moved') as string,
    });
    const late = { barrier: () => Promise.resolve('3 records are not applied yet') };
    for (const outcome of [await stage.applySource(finding, late), await stage.correct(finding, { a: 'x' }, late)]) {
      expect(outcome).toMatchObject({ kind: 'stale', reason: '3 records are not applied yet' });
    }
    expect(await stage.row(2)).toEqual({ a: 'spoilt', b: '2' });
  });

  it('removes a row only where the absence is certain', async () => {
    stage.source.delete(rowKey(['4', '0']).text);
    const finding = await stage.found();
    expect(await stage.applySource(finding, { quorumReads: false })).toMatchObject({
      kind: 'refused',
      reason: expect.stringContaining('consistency') as string,
    });
    expect(await stage.row(4)).toEqual({ a: 'v4', b: '4' });
    expect(await stage.applySource(finding)).toMatchObject({ kind: 'applied', after: null });
    expect(await stage.row(4)).toBeNull();
    // Its insert once more does not bring it back.
    await stage.rig.apply(COMPARED, 0, [insertOf(4)]);
    expect(await stage.row(4)).toBeNull();
  });

  it('closes the finding where the row shows already what the source has', async () => {
    await stage.rig.pool.query(`UPDATE compared SET a = 'spoilt' WHERE p = 2`);
    const finding = await stage.found();
    await stage.rig.pool.query(`UPDATE compared SET a = 'v2' WHERE p = 2`);
    expect(await stage.applySource(finding)).toEqual({ kind: 'equal' });
    expect(await stage.findings.load(finding.id)).toMatchObject({
      status: 'MANUAL_RESOLVED',
      resolvedBy: 'ann',
      after: null,
    });
  });

  it('is for one row', async () => {
    const [noted] = await stage.findings.record(stage.parts.table.id, randomUUID(), [
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
    const finding = await stage.findings.load(noted!.id);
    for (const outcome of [await stage.applySource(finding), await stage.correct(finding, { a: 'x' })]) {
      expect(outcome).toMatchObject({ kind: 'refused', remedy: expect.stringContaining('reconcile run') as string });
    }
  });
});

describe('two people at once', () => {
  it('one of them is told that the finding is resolved, and nothing is written twice', async () => {
    await stage.rig.pool.query(`UPDATE compared SET a = 'spoilt' WHERE p = 2`);
    const finding = await stage.found();
    const settled = await Promise.allSettled([
      stage.correct(finding, { b: '71' }),
      stage.correct(finding, { b: '72' }),
      stage.applySource(finding),
    ]);
    const applied = settled.filter(
      ({ status, ...rest }) => status === 'fulfilled' && (rest as { value: ResolveOutcome }).value.kind === 'applied',
    );
    expect(applied).toHaveLength(1);
    for (const each of settled) {
      if (each.status === 'rejected') expect((each.reason as LockstepError).code).toBe('FINDING_RESOLVED');
    }
    expect(await stage.audit()).toHaveLength(1);
  });

  it('a finding that was closed between the look and the write keeps its row', async () => {
    await stage.rig.pool.query(`UPDATE compared SET a = 'spoilt' WHERE p = 2`);
    const finding = await stage.found();
    const closing: Partial<ResolveParts> = {
      barrier: async () => {
        await stage.parts.decisions.close(finding.id, {
          status: 'IGNORED',
          action: 'KEEP_TARGET',
          by: 'bob',
          notes: 'stays',
        });
        await stage.parts.decisions.close(finding.id, {
          status: 'MANUAL_RESOLVED',
          action: 'MANUAL_RESOLVED',
          by: 'bob',
          notes: 'done',
        });
        return null;
      },
    };
    await expect(stage.applySource(finding, closing)).rejects.toMatchObject({ code: 'FINDING_RESOLVED' });
    await expect(stage.correct(finding, { a: 'x' }, closing)).rejects.toMatchObject({ code: 'FINDING_RESOLVED' });
    expect(await stage.row(2)).toEqual({ a: 'spoilt', b: '2' });
    expect((await stage.audit()).map(({ action }) => action)).toEqual(['KEEP_TARGET', 'MANUAL_RESOLVED']);
  });
});

describe('an accepted difference', () => {
  it('is not opened again while both sides look the same, and is when either changes', async () => {
    await stage.rig.pool.query(`UPDATE compared SET a = 'kept' WHERE p = 2`);
    const finding = await stage.found();
    const keep = { status: 'IGNORED', action: 'KEEP_TARGET', by: 'ann', notes: 'wanted' } as const;
    expect(await stage.parts.decisions.close(finding.id, keep)).toBe(true);
    expect(await stage.parts.decisions.close(finding.id, keep)).toBe(false);
    expect(await stage.compare(true)).toMatchObject({ verdict: 'PASS', ignored: 1, repaired: { applied: 0 } });
    expect(await stage.row(2)).toEqual({ a: 'kept', b: '2' });

    await stage.rig.pool.query(`UPDATE compared SET a = 'other' WHERE p = 2`);
    expect((await stage.compare()).verdict).toBe('DRIFT');
    expect(await stage.parts.decisions.close(finding.id, keep)).toBe(true);
    expect((await stage.compare()).verdict).toBe('PASS');

    const key = rowKey(['2', '0']).text;
    const { cells, ...rest } = stage.source.get(key)!;
    stage.source.set(key, { ...rest, cells: [{ writeTime: 800n, value: 'moved on', expiry: null }, cells[1]!] });
    expect((await stage.compare()).verdict).toBe('DRIFT');
  });

  it('that somebody has dealt with by hand is a new finding when it is seen again', async () => {
    await stage.rig.pool.query(`UPDATE compared SET a = 'spoilt' WHERE p = 2`);
    const finding = await stage.found();
    const done = { status: 'MANUAL_RESOLVED', action: 'MANUAL_RESOLVED', by: 'ann', notes: 'corrected there' } as const;
    expect(await stage.parts.decisions.close(finding.id, done)).toBe(true);
    expect((await stage.found()).id).not.toBe(finding.id);
  });
});
