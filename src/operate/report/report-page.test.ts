import { describe, expect, it } from 'vitest';
import { END_MS, facts, findings, HOUR_MS, run, slot, TABLE, windows } from '../../../test/support/report-facts.ts';
import { driftChart } from './drift-chart.ts';
import { reconciliationReport, type ReportFacts } from './reconciliation-report.ts';
import { reportPage } from './report-page.ts';
import { percent } from './report-text.ts';

const page = (more: Partial<ReportFacts> = {}): string => reportPage(reconciliationReport(facts(more)));

function chart(runs: ReportFacts['runs']): string {
  const report = reconciliationReport(facts({ runs }));
  return driftChart(report.tables[0]!.runs, report, report);
}

/** Heights of the dots of a chart, from the left. */
function heights(svg: string): number[] {
  const [, path] = /<path\s+class="drift-line"\s+d="([^"]+)"/.exec(svg)!;
  return [...path!.matchAll(/[ML][\d.]+ ([\d.]+)/g)].map(([, y]) => Number(y));
}

describe('the page', () => {
  it('shows names and reasons as text, whatever they hold', () => {
    const evil = '<script>alert(1)</script>"&';
    const text = page({
      tables: [{ source: TABLE, target: evil }],
      runs: [
        run(1, { verdict: null, status: 'FAILED', error: evil, requestedBy: evil }),
        run(4, { verdict: 'INCONCLUSIVE', reasons: [evil] }),
      ],
      findings: [findings('PENDING', 1, { cause: evil })],
    });
    expect(text).not.toContain('<script');
    expect(text.match(/&(lt|#60|#x3c);script&/gi)!.length).toBeGreaterThanOrEqual(4);
  });

  it('loads nothing and runs nothing', () => {
    const text = page({
      runs: [run(1), run(4, { verdict: 'DRIFT', drift: 4_000 })],
      slots: [slot(1), slot(2, { drift: 1 })],
    });
    expect(text).not.toMatch(/<script|<link|<img|@import|url\(|https?:|\son\w+=/i);
  });

  it('says the verdict in words, what was not checked, causes and the account', () => {
    const text = page({
      runs: [run(1, { verdict: 'INCONCLUSIVE', reasons: ['1 of 16 ranges could not be scanned'] })],
      findings: [findings('PENDING', 1_234, { cause: 'rogue-update' })],
      windows: [windows('DRIFT', { changelog: 1_007, missing: 7 })],
    }).replaceAll(/\s+/g, ' ');
    expect(text).toContain('◆ DRIFT');
    expect(text).toContain('1 of 16 ranges could not be scanned');
    expect(text).toContain('a value that no change wrote');
    expect(text).toContain('1,234');
    expect(text).toContain('✓ the account is even');
    expect(page({ windows: [windows('PASS', { processed: 989 })] })).toContain('◆ the account is not even');
  });
});

describe('business rules', () => {
  const rule = {
    name: 'revenue',
    severity: 'critical',
    schedule: null,
    runs: [run(2, { subject: 'revenue' })],
    open: 0,
    accepted: 0,
  };
  const of = (more: Partial<typeof rule>) => reconciliationReport(facts({ rules: [{ ...rule, ...more }] }));

  it('count towards the verdict, and stand on the page', () => {
    expect(of({})).toMatchObject({ verdict: 'PASS', rules: [{ verdict: 'PASS', reasons: [] }] });
    expect(of({ open: 1 })).toMatchObject({ verdict: 'DRIFT', rules: [{ verdict: 'DRIFT' }] });
    expect(of({ runs: [] })).toMatchObject({ verdict: 'INCONCLUSIVE', rules: [{ reasons: ['it has not run yet'] }] });
    const failed = run(1, { subject: 'revenue', verdict: null, status: 'FAILED', error: 'no such table' });
    expect(of({ runs: [failed, ...rule.runs] })).toMatchObject({
      verdict: 'INCONCLUSIVE',
      rules: [
        {
          reasons: ['the newest run ended without a verdict: no such table'],
          last_pass_at: '2026-11-29T18:00:00.000Z',
        },
      ],
    });
    expect(reportPage(of({}))).toContain('revenue (critical)');
  });
});

describe('the chart of drift', () => {
  it('stands higher for more drift, and at the bottom for none', () => {
    const none = run(10, { drift: 0 });
    const some = run(6, { verdict: 'DRIFT', drift: 1_000 });
    const more = run(2, { verdict: 'DRIFT', drift: 3_000 });
    const [first, second, third] = heights(chart([more, some, none]));
    expect(second).toBeLessThan(first!);
    expect(third).toBeLessThan(second!);
    const bottom = heights(chart([none]))[0]!;
    expect(first).toBe(bottom);
  });

  it('has a dot for each comparison of the span with a figure, and none for others', () => {
    const svg = chart([
      run(1),
      run(2, { verdict: null, status: 'FAILED' }),
      run(3, { verdict: 'DRIFT', drift: 9 }),
      run(5, { verdict: 'INCONCLUSIVE' }),
      run(9 * 24),
    ]);
    expect(svg.match(/<title>2026/g)).toHaveLength(3);
    expect(svg).toContain('class="drift"');
    expect(svg).toContain('class="inconclusive"');
    expect(chart([run(9 * 24)])).toBe('');
  });

  it('draws the thresholds that are in reach', () => {
    expect(chart([run(1)])).not.toContain('limit');
    expect(chart([run(1, { verdict: 'DRIFT', drift: 4_000 })])).toMatch(/limit\s+warning/);
    expect(chart([run(1, { verdict: 'DRIFT', drift: 14_000 })])).toMatch(/limit\s+critical/);
  });
});

describe('figures', () => {
  it('call nothing 0 or 100 % that is not', () => {
    expect([0, 0.00042, 0.5, 2.345, 99.99999, 100].map(percent)).toEqual([
      '0 %',
      '0.00042 %',
      '0.50 %',
      '2.35 %',
      '99.9999 %',
      '100 %',
    ]);
  });
});

describe('the report', () => {
  it('sums findings of one cause over their statuses, the most first', () => {
    const [table] = reconciliationReport(
      facts({
        findings: [
          findings('SUPERSEDED', 3),
          findings('PENDING', 1, { firstSeenMs: END_MS - 60 * HOUR_MS }),
          findings('AUTO_RESOLVED', 9, { cause: 'rogue-update' }),
          findings('PENDING', 99, { table: 'shop.other' }),
        ],
      }),
    ).tables;
    expect(table!.findings).toMatchObject([
      { cause: 'rogue-update', total: 9, by_status: { AUTO_RESOLVED: 9 } },
      {
        cause: 'missed-update',
        total: 4,
        by_status: { SUPERSEDED: 3, PENDING: 1 },
        first_seen_at: '2026-11-27T08:00:00.000Z',
      },
    ]);
  });
});
