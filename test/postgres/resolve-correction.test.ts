/** A row that a person corrects: its values are written over what the finding has seen, and accepted. */
import { describe, expect, it } from 'vitest';
import { rowKey, type Cell } from '../../src/change/change-event.ts';
import type { Correction } from '../../src/reconcile/end-state/corrected-row.ts';
import { undoRepair } from '../../src/reconcile/end-state/undo-repair.ts';
import { HAND, insertOf, resolvingStage } from '../support/resolving.ts';
import { COMPARED } from '../support/two-sides.ts';

const stage = resolvingStage('resolve_correction');

describe('CUSTOM_FIX', () => {
  it('writes corrected values; what still differs is accepted, and all of it can be taken back', async () => {
    await stage.rig.pool.query(`UPDATE compared SET b = 99 WHERE p = 2`);
    const finding = await stage.found();
    expect(await stage.correct(finding, { b: 7 })).toMatchObject({ kind: 'applied' });
    expect(await stage.row(2)).toEqual({ a: 'v2', b: '7' });
    expect(await stage.audit()).toMatchObject([{ actor: 'ann', action: 'CUSTOM_FIX', reason: HAND.why }]);
    expect((await stage.audit())[0]!['before']).toContain('99');
    expect(await stage.compare(true)).toMatchObject({ verdict: 'PASS', ignored: 1, repaired: { applied: 0 } });
    // Neither a duplicate of the source's write undoes it …
    await stage.rig.apply(COMPARED, 0, [insertOf(2)]);
    expect(await stage.row(2)).toEqual({ a: 'v2', b: '7' });

    expect(await undoRepair({ ...stage.parts, by: 'ann', reason: 'no' }, finding.id)).toEqual({ kind: 'applied' });
    expect(await stage.row(2)).toEqual({ a: 'v2', b: '99' });
    expect(await stage.compare()).toMatchObject({ verdict: 'PASS', ignored: 1 });
    const all = await stage.findings.list({ limit: 10, offset: 0 });
    expect(all.map(({ status }) => status).sort()).toEqual(['IGNORED', 'SUPERSEDED']);
  });

  it('survives a duplicate of a newer write of the source, and gives way to the next one', async () => {
    const key = rowKey(['2', '0']).text;
    const newer: Cell = { writeTime: 600n, value: 'newest', expiry: null };
    stage.source.set(key, { ...stage.source.get(key)!, cells: [newer, stage.source.get(key)!.cells[1]!] });
    const finding = await stage.found();
    const late = (cell: Cell): Promise<unknown> =>
      stage.rig.apply(COMPARED, 0, [{ ...insertOf(2), writeTime: cell.writeTime, marker: null, cells: [cell, null] }]);
    expect(await stage.correct(finding, { a: 'by hand' })).toMatchObject({ kind: 'applied' });
    await late(newer);
    expect(await stage.row(2)).toEqual({ a: 'by hand', b: '2' });
    await late({ ...newer, writeTime: 700n, value: 'later' });
    expect(await stage.row(2)).toEqual({ a: 'later', b: '2' });
  });

  it('an emptied column stays empty when the source’s write comes after all', async () => {
    const key = rowKey(['2', '0']).text;
    const newer: Cell = { writeTime: 600n, value: 'unwanted', expiry: null };
    stage.source.set(key, { ...stage.source.get(key)!, cells: [newer, stage.source.get(key)!.cells[1]!] });
    expect(await stage.correct(await stage.found(), { a: null })).toMatchObject({ kind: 'applied' });
    await stage.rig.apply(COMPARED, 0, [{ ...insertOf(2), writeTime: 600n, marker: null, cells: [newer, null] }]);
    expect(await stage.row(2)).toEqual({ a: null, b: '2' });
  });

  it('that is what the source has leaves nothing to accept', async () => {
    await stage.rig.pool.query(`UPDATE compared SET a = 'spoilt' WHERE p = 2`);
    expect(await stage.correct(await stage.found(), { a: 'v2' })).toMatchObject({ kind: 'applied' });
    expect(await stage.compare()).toMatchObject({ verdict: 'PASS', ignored: 0 });
  });

  it('makes a row that is missing, and removes one that the source does not have', async () => {
    await stage.rig.pool.query(`DELETE FROM compared WHERE p = 3`);
    const missing = await stage.found();
    expect(await stage.correct(missing, { a: 'made', b: '12' })).toMatchObject({ kind: 'applied', before: null });
    expect(await stage.row(3)).toEqual({ a: 'made', b: '12' });
    await stage.rig.pool.query(`INSERT INTO compared (p, c, a) VALUES (77, 0, 'rogue')`);
    const rogue = await stage.found();
    expect(await stage.correct(rogue, null, { quorumReads: false })).toMatchObject({ kind: 'applied', after: null });
    expect(await stage.row(77)).toBeNull();
    expect((await stage.compare()).verdict).toBe('PASS');
  });

  it('is refused where the row does not look as the finding has it any more', async () => {
    await stage.rig.pool.query(`UPDATE compared SET a = 'spoilt' WHERE p = 2`);
    const finding = await stage.found();
    await stage.rig.pool.query(`UPDATE compared SET a = 'spoilt again' WHERE p = 2`);
    expect(await stage.correct(finding, { b: '5' })).toMatchObject({
      kind: 'stale',
      remedy: expect.stringContaining('compare') as string,
    });
    expect(await stage.row(2)).toEqual({ a: 'spoilt again', b: '2' });
    expect(await stage.correct(finding, null)).toMatchObject({ kind: 'stale' });
  });

  it.each<[string, Correction]>([
    ['an unknown column', { nonsense: '1' }],
    ['a column of the key', { c: '1' }],
    ['no column', {}],
    ['a value that is none of the type', { b: 'seven' }],
    ['a number that JSON does not keep', { b: 1.5 }],
    ['a text that PostgreSQL can not hold', { a: 'a\u0000b' }],
  ])('is refused with %s', async (_what, value) => {
    await stage.rig.pool.query(`UPDATE compared SET a = 'spoilt' WHERE p = 2`);
    await expect(stage.correct(await stage.found(), value)).rejects.toMatchObject({
      code: 'CORRECTION_INVALID',
      kind: 'usage',
    });
    expect(await stage.row(2)).toEqual({ a: 'spoilt', b: '2' });
  });

  it('is refused where it would remove a row that the source has, change nothing, or break a constraint', async () => {
    await stage.rig.pool.query(`UPDATE compared SET a = 'spoilt' WHERE p = 2`);
    const finding = await stage.found();
    expect(await stage.correct(finding, null)).toMatchObject({ kind: 'refused', reason: 'the source has the row' });
    expect(await stage.correct(finding, { a: 'spoilt' })).toMatchObject({ kind: 'refused' });
    await stage.rig.pool.query(`ALTER TABLE compared ADD CONSTRAINT small CHECK (b < 1000)`);
    const outcome = await stage.correct(finding, { b: '5000' });
    await stage.rig.pool.query(`ALTER TABLE compared DROP CONSTRAINT small`);
    expect(outcome).toMatchObject({ kind: 'refused', reason: expect.stringContaining('small') as string });
    expect((await stage.findings.load(finding.id)).status).toBe('PENDING');
  });
});
