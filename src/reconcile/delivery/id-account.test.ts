import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Outcome } from '../../target/batch.ts';
import { IdAccount, TOO_MANY_IDS } from './id-account.ts';

const OUTCOMES: readonly Outcome[] = ['processed', 'filtered', 'dead_lettered'];
// Few distinct bits, so that IDs share lanes and slots.
const id = fc
  .array(fc.constantFrom('00000000', '00000001', 'ffffffff'), { minLength: 4, maxLength: 4 })
  .map((parts) => parts.join(''));
const ledger = fc.array(fc.tuple(id, fc.integer({ min: 0, max: 2 })), { maxLength: 60 });

/** One segment as the door packs it: sorted distinct IDs, one outcome byte each. */
function packed(entries: readonly (readonly [string, number])[]): { ids: Buffer; outcomes: Buffer } {
  const best = new Map<string, number>();
  for (const [each, outcome] of entries) best.set(each, Math.min(outcome, best.get(each) ?? outcome));
  const sorted = [...best].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    ids: Buffer.from(sorted.map(([each]) => each).join(''), 'hex'),
    outcomes: Buffer.from(sorted.map(([, outcome]) => outcome)),
  };
}

describe('an account of change IDs', () => {
  it('is what sets of strings say, whatever the order and duplication', () => {
    fc.assert(
      fc.property(fc.array(id, { maxLength: 80 }), ledger, ledger, id, id, (changelog, one, two, a, b) => {
        const [from, to] = a < b ? [a, b] : [b, a];
        const account = new IdAccount(10_000);
        for (const segment of [packed(one), packed(two)]) account.noteLedger(segment.ids, segment.outcomes, from, to);
        const inRange = changelog.filter((each) => each >= from && each < to);
        for (const each of inRange) account.noteChangelog(each);

        const best = new Map<string, number>();
        for (const [each, outcome] of [...one, ...two]) {
          if (each >= from && each < to) best.set(each, Math.min(outcome, best.get(each) ?? outcome));
        }
        const distinct = new Set(inRange);
        const withOutcome = (outcome: Outcome) =>
          [...distinct].filter((each) => best.get(each) === OUTCOMES.indexOf(outcome)).length;
        expect(account.account()).toEqual({
          changelog: distinct.size,
          processed: withOutcome('processed'),
          filtered: withOutcome('filtered'),
          deadLettered: withOutcome('dead_lettered'),
          missing: [...distinct].filter((each) => !best.has(each)).length,
          unexpected: [...best.keys()].filter((each) => !distinct.has(each)).length,
        });
        for (const each of distinct) expect(account.isInLedger(each)).toBe(best.has(each));
      }),
    );
  });

  it('keeps growing tables right', () => {
    const account = new IdAccount(100_000);
    const ids = Array.from({ length: 50_000 }, (_, i) => (i * 2_654_435_761).toString(16).padStart(32, '0'));
    for (const each of ids) expect(account.noteChangelog(each)).toBe(true);
    expect(account.noteChangelog(ids[7] ?? '')).toBe(false);
    expect(account.size).toBe(50_000);
    expect(account.account().missing).toBe(50_000);
  });

  it('refuses more than it may hold', () => {
    const account = new IdAccount(2);
    account.noteChangelog('0'.repeat(32));
    account.noteChangelog('1'.repeat(32));
    account.noteChangelog('1'.repeat(32));
    expect(() => account.noteChangelog('2'.repeat(32))).toThrow(expect.objectContaining({ code: TOO_MANY_IDS }));
  });
});
