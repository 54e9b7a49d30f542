import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { changeIdOf } from '../../change/changelog-entry.ts';
import type { BarrierVerdict } from './barrier.ts';
import {
  beside,
  changeSince,
  dueWindows,
  idRangeOf,
  isBalanced,
  verdictOf,
  windowStart,
  type StoredWindow,
  type WindowAccount,
} from './window.ts';

const PROVEN: BarrierVerdict = { unproven: null, silent: null };
const BEHIND: BarrierVerdict = { unproven: 'behind', silent: null };
const SILENT: BarrierVerdict = { unproven: 'node a is silent', silent: 'node a is silent' };
const schedule = { sizeMs: 60_000, horizonsMs: [300_000, 3_600_000] };
const account = (more: Partial<WindowAccount> = {}): WindowAccount => {
  const counts = { changelog: 0, processed: 0, filtered: 0, deadLettered: 0, missing: 0, unexpected: 0, ...more };
  return { ...counts, changelog: counts.processed + counts.filtered + counts.deadLettered + counts.missing };
};
const stored = (
  startMs: number,
  rounds: number,
  verdict: StoredWindow['verdict'] = 'PASS',
  more: Partial<StoredWindow> = {},
): [number, StoredWindow] => [
  startMs,
  {
    window: { startMs, endMs: startMs + schedule.sizeMs },
    rounds,
    account: account(),
    verdict,
    verifiedMs: 0,
    ...more,
  },
];

describe('the change IDs of a window', () => {
  it('are exactly those of the changes written in it', () => {
    const ms = fc.integer({ min: 0, max: 2 ** 46 });
    fc.assert(
      fc.property(ms, ms, fc.integer({ min: 0, max: 999 }), (at, other, us) => {
        const window = { startMs: windowStart(at, 60_000), endMs: windowStart(at, 60_000) + 60_000 };
        const { from, to } = idRangeOf(window);
        const id = changeIdOf({
          table: 'k.t',
          kind: 'write',
          key: ['1'],
          bounds: null,
          writeTime: BigInt(other) * 1000n + BigInt(us),
        });
        expect(id >= from && id < to).toBe(other >= window.startMs && other < window.endMs);
      }),
    );
  });
});

describe('what is due', () => {
  it('is a window at each horizon once, oldest first, and never one that is younger than the first', () => {
    const now = 600_000;
    expect(dueWindows(schedule, 0, new Map(), now, 10).map(({ window }) => window.startMs)).toEqual([
      0, 60_000, 120_000, 180_000, 240_000,
    ]);
    const once = new Map([0, 60_000, 120_000, 180_000, 240_000].map((start) => stored(start, 1)));
    expect(dueWindows(schedule, 0, once, now, 10)).toEqual([]);
    const later = 60_000 + 3_600_000;
    expect(dueWindows(schedule, 0, once, later, 1)).toEqual([{ window: { startMs: 0, endMs: 60_000 }, horizon: 1 }]);
  });

  it('is a window again and again until it passes', () => {
    const now = 360_000;
    expect(dueWindows(schedule, 0, new Map([stored(0, 1, 'DRIFT')]), now, 10)).toHaveLength(1);
    expect(dueWindows(schedule, 0, new Map([stored(0, 1, 'INCONCLUSIVE')]), now, 10)).toHaveLength(1);
  });

  it('is a window that drifts after a share of its age, so that what waits for a person is not proven all the time', () => {
    const now = 60_000 + 3_600_000;
    const isDue = (verdict: StoredWindow['verdict'], verifiedMs: number, at = now): boolean =>
      dueWindows(schedule, 0, new Map([stored(0, 0, verdict, { verifiedMs })]), at, 1)[0]?.window.startMs === 0;
    expect(isDue('DRIFT', now - 170_000)).toBe(false);
    expect(isDue('DRIFT', now - 190_000)).toBe(true);
    // An old one within ten minutes, one that was not proven at once, and no clock that is ahead holds it back.
    expect(isDue('DRIFT', now * 100 - 610_000, now * 100)).toBe(true);
    expect(isDue('INCONCLUSIVE', now - 1)).toBe(true);
    expect(isDue('DRIFT', now + 300_000)).toBe(true);
  });

  it('begins with the window in which the table was registered', () => {
    expect(dueWindows(schedule, 130_000, new Map(), 600_000, 10)[0]?.window.startMs).toBe(120_000);
  });
});

describe('the verdict', () => {
  it('is PASS where nothing is missing, whatever is still under way', () => {
    expect(verdictOf(account({ processed: 3, deadLettered: 1 }), BEHIND)).toEqual({ verdict: 'PASS', reason: null });
  });

  it('is DRIFT only behind the barrier: before it, what is missing may be on its way', () => {
    expect(verdictOf(account({ missing: 1 }), PROVEN).verdict).toBe('DRIFT');
    expect(verdictOf(account({ missing: 1 }), BEHIND)).toEqual({ verdict: 'INCONCLUSIVE', reason: 'behind' });
  });

  it('is never PASS while the capture of a node is silent: its changes may be in no account yet', () => {
    for (const counts of [account(), account({ processed: 3 }), account({ missing: 1 })]) {
      expect(verdictOf(counts, SILENT)).toEqual({ verdict: 'INCONCLUSIVE', reason: 'node a is silent' });
    }
  });

  it('is never PASS for a changelog that nobody keeps', () => {
    expect(verdictOf(account({ unexpected: 5 }), PROVEN).verdict).toBe('INCONCLUSIVE');
    expect(verdictOf(account(), PROVEN).verdict).toBe('PASS');
  });

  it('is never PASS for an account that does not add up', () => {
    const wrong = { ...account({ processed: 2 }), changelog: 3 };
    expect(isBalanced(wrong)).toBe(false);
    expect(verdictOf(wrong, PROVEN).verdict).toBe('INCONCLUSIVE');
  });
});

describe('an account that has lost a part of itself', () => {
  const found = (verdict: StoredWindow['verdict']) => ({
    window: { startMs: 60_000, endMs: 120_000 },
    account: account(),
    verdict,
    reason: null,
  });
  it.each<[string, number | null, number, StoredWindow['verdict']]>([
    ['ends before the window', 0, 59_999, 'PASS'],
    ['begins after it', 120_000, 130_000, 'PASS'],
    ['reaches into it', 0, 60_000, 'INCONCLUSIVE'],
    ['lies in it', 70_000, 80_000, 'INCONCLUSIVE'],
    ['has no known beginning', null, 70_000, 'INCONCLUSIVE'],
  ])('keeps a window from passing where the lost stretch %s', (_, fromMs, toMs, verdict) => {
    expect(beside(found('PASS'), [{ what: 'gone', fromMs, toMs }]).verdict).toBe(verdict);
    expect(beside(found('DRIFT'), [{ what: 'gone', fromMs, toMs }]).verdict).toBe('DRIFT');
  });
});

describe('a window that was verified before', () => {
  const finding = (counts: WindowAccount, replayed = 0) => ({
    window: { startMs: 0, endMs: 60_000 },
    account: counts,
    replayed,
    ...verdictOf(counts, PROVEN),
  });

  it('counts what came late, and is open again when it had passed', () => {
    const [, before] = stored(0, 1);
    expect(changeSince(before, finding(account({ processed: 2 })))).toMatchObject({ late: 2, reopened: true });
    expect(changeSince(before, finding(account()))).toMatchObject({ late: 0, reopened: false });
    expect(changeSince(undefined, finding(account({ processed: 2 })))).toMatchObject({ late: 0, reopened: false });
  });

  it('counts each missing change once, however often it is found and whether it is replayed', () => {
    const newly = (before: StoredWindow | undefined, missing: number, replayed = 0) =>
      changeSince(before, finding(account({ missing }), replayed)).newlyMissing;
    expect(newly(undefined, 3)).toBe(3);
    expect(newly(undefined, 1, 2)).toBe(3);
    const [, drifting] = stored(0, 0, 'DRIFT', { account: account({ missing: 3 }) });
    expect(newly(drifting, 3)).toBe(0);
    expect(newly(drifting, 1, 2)).toBe(0);
    expect(newly(drifting, 4)).toBe(1);
    // What was not proven then was not counted.
    const [, unproven] = stored(0, 0, 'INCONCLUSIVE', { account: account({ missing: 3 }) });
    expect(newly(unproven, 3)).toBe(3);
  });
});
