import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { END_MS, facts, findings, HOUR_MS, run, TABLE, windows } from '../../../test/support/report-facts.ts';
import { reconciliationReport, type ReportFacts } from './reconciliation-report.ts';
import { together } from './table-standing.ts';

function standing(more: Partial<ReportFacts> = {}) {
  const [table] = reconciliationReport(facts(more)).tables;
  return table!;
}
const gaps = (more: Partial<ReportFacts>): string[] =>
  standing(more).not_checked.map(({ what, why }) => `${what}: ${why}`);

describe('a table stands at PASS', () => {
  it('where every value was compared within the span and passed, and says until when', () => {
    expect(standing()).toMatchObject({
      verdict: 'PASS',
      reasons: [],
      not_checked: [],
      proven_until: new Date(END_MS - 4 * HOUR_MS).toISOString(),
    });
  });

  it.each<[string, Partial<ReportFacts>, string]>([
    ['nothing ran', { runs: [] }, 'no comparison of every value has ended with a verdict'],
    [
      'rows were only counted',
      { runs: [run(4, { strategy: 'ROW_COUNT' })] },
      'no comparison of every value has ended with a verdict',
    ],
    [
      'a part was compared',
      { runs: [run(1, { strategy: 'SAMPLE' })] },
      'no comparison of every value has ended with a verdict',
    ],
    ['the comparison is older than the span', { runs: [run(8 * 24)] }, 'no comparison of every value in this span'],
    [
      'the newest comparison of every value is open',
      { runs: [run(1, { verdict: 'INCONCLUSIVE' }), run(4)] },
      'the newest comparison of every value is INCONCLUSIVE',
    ],
    [
      'a newer, lesser one is open',
      { runs: [run(1, { strategy: 'SAMPLE', verdict: 'INCONCLUSIVE' }), run(4)] },
      'the newest comparison (SAMPLE) is INCONCLUSIVE',
    ],
    [
      'rows were repaired since',
      { lastRepairs: new Map([[TABLE, END_MS - HOUR_MS]]) },
      'rows were repaired since the last comparison that passed',
    ],
    ['windows are open', { windows: [windows('PASS'), windows('INCONCLUSIVE')] }, 'delivery windows are open'],
  ])('but not where %s', (_what, more, reason) => {
    const table = standing(more);
    expect([table.verdict, table.reasons]).toEqual(['INCONCLUSIVE', [reason]]);
    expect(table.not_checked.length).toBeGreaterThan(0);
  });

  it('with a repair that a later comparison has looked at', () => {
    expect(standing({ lastRepairs: new Map([[TABLE, END_MS - 5 * HOUR_MS]]) }).verdict).toBe('PASS');
  });
});

describe('a table stands at DRIFT', () => {
  it.each<[string, Partial<ReportFacts>, string]>([
    ['a finding is open, whatever passed since', { findings: [findings('PENDING', 2)] }, '2 findings open'],
    [
      'a dry run has found drift, which notes no findings',
      { runs: [run(1, { verdict: 'DRIFT', drift: 3, dryRun: true }), run(4)] },
      'the dry run of 2026-11-29 19:00 UTC found drift',
    ],
    [
      'a change never arrived',
      { windows: [windows('PASS'), windows('DRIFT', { windows: 1, missing: 7 })] },
      '7 changes of 1 window never arrived',
    ],
  ])('where %s', (_what, more, reason) => {
    expect(standing(more)).toMatchObject({ verdict: 'DRIFT', reasons: [reason] });
  });

  it('but not for what was accepted, repaired or superseded', () => {
    const settled = ['IGNORED', 'AUTO_RESOLVED', 'MANUAL_RESOLVED', 'SUPERSEDED'].map((status) => findings(status, 1));
    expect(standing({ findings: settled }).verdict).toBe('PASS');
  });
});

describe('what was not checked', () => {
  it('names runs that failed or are under way since the newest verdict, and none from before it', () => {
    const failed = { status: 'FAILED', verdict: null, error: 'Cassandra does not answer' };
    const under = { status: 'RUNNING', verdict: null, completedMs: null, strategy: 'ROW_COUNT' };
    expect(gaps({ runs: [run(1, under), run(2, failed), run(4), run(6, failed)] })).toEqual([
      'ROW_COUNT of 2026-11-29 19:00 UTC: it is under way',
      'CHECKSUM of 2026-11-29 18:00 UTC: FAILED: Cassandra does not answer',
    ]);
  });

  it('repeats the reasons of a run that did not pass, but for the drift itself', () => {
    const open = run(1, { verdict: 'DRIFT', drift: 3, reasons: ['1 of 16 ranges could not be scanned'] });
    expect(gaps({ runs: [open], findings: [findings('PENDING', 3)] })).toEqual([
      'CHECKSUM of 2026-11-29 19:00 UTC: 1 of 16 ranges could not be scanned',
    ]);
  });

  it('says what lesser strategies leave out, that windows are off, and what is set aside', () => {
    expect(
      gaps({
        runs: [run(1, { strategy: 'ROW_COUNT' })],
        windowsOn: false,
        windows: [],
        pendingLetters: new Map([[TABLE, 3]]),
      }),
    ).toEqual([
      'every value of every row: only ROW_COUNT ran: ROW_COUNT looks at no values',
      'delivery of every change: reconciliation.windows.changelog is off',
      '3 dead letters: set aside and not redriven; their rows may be behind the source',
    ]);
  });
});

describe('verdicts together', () => {
  it('are PASS only where there are some and all pass; one drift is drift', () => {
    const verdict = fc.constantFrom('PASS' as const, 'DRIFT' as const, 'INCONCLUSIVE' as const);
    fc.assert(
      fc.property(fc.array(verdict), (verdicts) => {
        const all = together(verdicts);
        expect(all === 'DRIFT').toBe(verdicts.includes('DRIFT'));
        expect(all === 'PASS').toBe(verdicts.length > 0 && verdicts.every((each) => each === 'PASS'));
      }),
    );
  });
});
