/** The report as a page: one file with everything in it, no script, nothing loaded from anywhere. Pure. */
import { html } from 'ghtml';
import { driftChart } from './drift-chart.ts';
import type { ReconciliationReport, TableReport } from './reconciliation-report.ts';
import { findingsTable, rulesSection, runsTable, windowsBlock } from './report-tables.ts';
import { REPORT_STYLE } from './report-style.ts';
import { count, day, moment, percent, verdictBadge } from './report-text.ts';

function summaryRow(table: TableReport): string {
  const newest = table.runs.find(({ verdict }) => verdict !== null);
  const { windows } = table;
  const proven =
    windows.verified > 0
      ? `${count(windows.by_verdict.PASS)} of ${count(windows.verified)} pass`
      : windows.configured
        ? 'none yet'
        : 'off';
  return html`<tr>
    <td><a href="#${anchor(table)}">${table.table_name}</a></td>
    <td>!${verdictBadge(table.verdict)}</td>
    <td>${table.proven_until === null ? 'never' : moment(table.proven_until)}</td>
    <td class="n">${percent(newest?.drift_percentage ?? null)}</td>
    <td class="n">${newest?.coverage == null ? '–' : percent(newest.coverage * 100)}</td>
    <td class="n">${count(table.open_findings)}</td>
    <td>${proven}</td>
    <td class="n">${count(table.dead_letters_pending)}</td>
  </tr>`;
}

const anchor = (table: TableReport): string => `t-${table.table_name.replaceAll(/[^\w-]/g, '-')}`;

function tableSection(table: TableReport, report: ReconciliationReport): string {
  const chart = driftChart(table.runs, report, report);
  return html`<section id="${anchor(table)}">
    <h2>${table.table_name} <small>→ ${table.target}</small> !${verdictBadge(table.verdict)}</h2>
    <p class="lead">${lead(table)}</p>
    <h3>What was not checked, and why</h3>
    !${
      table.not_checked.length === 0
        ? html`<p>Nothing was left out: every range was scanned, and every window has passed.</p>`
        : html`<dl class="gaps">
            !${table.not_checked.map(
              ({ what, why }) =>
                html`<div>
                  <dt>${what}</dt>
                  <dd>${why}</dd>
                </div>`,
            )}
          </dl>`
    }
    <h3>Drift over time</h3>
    !${chart === '' ? html`<p class="none">No comparison of this span has a figure.</p>` : chart}
    !${chart === '' ? '' : html`<p class="legend"><span class="key pass"></span> PASS <span class="key drift"></span> DRIFT <span class="key inconclusive"></span> INCONCLUSIVE; the share of compared rows that differ. Dashed: the thresholds, where they are in reach.</p>`}
    <h3>Findings by cause</h3>
    !${findingsTable(table)}
    <h3>Delivery windows</h3>
    !${windowsBlock(table.windows)}
    <h3>Comparisons</h3>
    !${runsTable(table.runs)}
  </section>`;
}

function lead(table: TableReport): string {
  const proven =
    table.proven_until === null
      ? 'No comparison of every value has passed yet.'
      : `The comparison of ${moment(table.proven_until)} found every value equal.`;
  return table.verdict === 'PASS' ? proven : `${sentence(table.reasons)} ${proven}`;
}

const sentence = (parts: readonly string[]): string => {
  const text = parts.join('; ');
  return text === '' ? '' : `${text.slice(0, 1).toUpperCase()}${text.slice(1)}.`;
};

const MEANING = {
  PASS: 'Every table was compared value by value and was equal, and nothing stands against it.',
  DRIFT: 'Something was proven to differ, or never to have arrived.',
  INCONCLUSIVE: 'Nothing is known to differ, but not everything was checked.',
};

/** The page, UTF-8. */
export function reportPage(report: ReconciliationReport): string {
  const { verdict, tables } = report;
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${verdict} · Lockstep reconciliation ${day(report.to)}</title>
        <style>
          !${REPORT_STYLE}
        </style>
      </head>
      <body>
        <header>
          <p class="product">Lockstep · reconciliation</p>
          <h1>!${verdictBadge(verdict)} ${MEANING[verdict]}</h1>
          <p class="span">${moment(report.from)} – ${moment(report.to)} · made ${moment(report.generated_at)}</p>
        </header>
        <main>
          <table class="summary">
            <thead>
              <tr>
                <th>table</th>
                <th>verdict</th>
                <th>proven until</th>
                <th class="n">drift</th>
                <th class="n">coverage</th>
                <th class="n">open findings</th>
                <th>windows</th>
                <th class="n">dead letters</th>
              </tr>
            </thead>
            <tbody>
              !${tables.map(summaryRow)}
            </tbody>
          </table>
          !${tables.length === 0 ? html`<p class="none">The configuration has no such table.</p>` : ''}
          !${tables.map((table) => tableSection(table, report))} !${rulesSection(report.rules)}
        </main>
        <footer>
          <p>
            <b>PASS</b> is proven: the newest comparison of every value (CHECKSUM) passed within the span, nothing was
            repaired since, and no delivery window is open. <b>DRIFT</b>: a finding is open, or a change never arrived.
            <b>INCONCLUSIVE</b>: everything else. Drift and coverage in the list are those of the newest comparison,
            whatever its strategy. All times are UTC.
          </p>
        </footer>
      </body>
    </html> `;
}
