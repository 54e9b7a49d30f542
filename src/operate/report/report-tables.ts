/** The tables of a table's section in the report. Pure. */
import { html } from 'ghtml';
import type { RuleEntry, RunEntry, TableReport, WindowAccount } from './reconciliation-report.ts';
import { count, duration, moment, percent, verdictBadge } from './report-text.ts';
import { windowStrip } from './window-strip.ts';

/** Comparisons that are listed; all of them are in the JSON. */
const LISTED_RUNS = 25;

const CAUSES: Readonly<Record<string, string>> = {
  'missed-insert': 'the target has nothing of the row',
  covered: 'a tombstone in the target lies over everything that the source shows',
  'missed-delete': 'the source has no such row; changes wrote it once',
  expired: 'everything in the target’s row expires, at a time that has passed',
  'rogue-insert': 'no change wrote the target’s row',
  'missed-update': 'the source’s write is newer, or its cell is gone',
  'rogue-update': 'a value that no change wrote',
  'target-ahead': 'the target’s write time is newer than anything the source shows',
  expiry: 'the same write with another expiry',
  corrupt: 'what the target holds is no value of the column’s type',
  uncaptured: 'a static column, which the capture never holds, was written since the last repair',
  'not-representable': 'the target can’t hold the source’s value exactly',
};

const STATUSES = ['PENDING', 'AUTO_RESOLVED', 'MANUAL_RESOLVED', 'IGNORED', 'SUPERSEDED'] as const;
const STATUS_WORDS: Readonly<Record<(typeof STATUSES)[number], string>> = {
  PENDING: 'open',
  AUTO_RESOLVED: 'repaired',
  MANUAL_RESOLVED: 'resolved by hand',
  IGNORED: 'accepted',
  SUPERSEDED: 'superseded',
};

export function findingsTable({ findings }: TableReport): string {
  if (findings.length === 0)
    return html`<p class="none">None: no comparison of this span has proven a row to differ, and none is open.</p>`;
  return html`<table>
    <thead>
      <tr>
        <th>type</th>
        <th>cause</th>
        <th class="n">rows</th>
        !${STATUSES.map((status) => html`<th class="n">${STATUS_WORDS[status]}</th>`)}
        <th>first seen</th>
      </tr>
    </thead>
    <tbody>
      !${findings.map(
        (finding) =>
          html`<tr>
            <td class="mono">${finding.mismatch_type}</td>
            <td><span class="mono">${finding.cause}</span><br /><small>${CAUSES[finding.cause] ?? ''}</small></td>
            <td class="n">${count(finding.total)}</td>
            !${STATUSES.map((status) => {
              const n = finding.by_status[status] ?? 0;
              return html`<td class="n ${status === 'PENDING' && n > 0 ? 'bad' : ''}">${n === 0 ? '·' : count(n)}</td>`;
            })}
            <td class="when">${moment(finding.first_seen_at)}</td>
          </tr>`,
      )}
    </tbody>
  </table>`;
}

const term = (n: number, word: string, kind = ''): string =>
  html`<span class="term ${kind}"><b>${count(n)}</b><small>${word}</small></span>`;
const sign = (text: string): string => html`<span class="sign">${text}</span>`;

/** The accounting identity, the windows over time, and what else was counted. */
export function windowsBlock(windows: WindowAccount): string {
  if (!windows.configured && windows.verified === 0) {
    return html`<p class="none">
      Off: set <code>reconciliation.windows.changelog</code> to have every change accounted for.
    </p>`;
  }
  if (windows.verified === 0) return html`<p class="none">No window of this span was verified yet.</p>`;
  const { by_verdict: by } = windows;
  return html`<div class="identity">
      !${term(windows.changelog, 'in the changelog')}!${sign(windows.identity_holds ? '=' : '≠')}
      !${term(windows.processed, 'processed')}!${sign('+')}!${term(windows.filtered, 'filtered')}!${sign('+')}
      !${term(windows.dead_lettered, 'dead-lettered', windows.dead_lettered > 0 ? 'doubt' : '')}!${sign('+')}
      !${term(windows.missing, 'missing', windows.missing > 0 ? 'bad' : '')}
      <span class="holds ${windows.identity_holds ? 'pass' : 'drift'}"
        >${windows.identity_holds ? '✓ the account is even' : '◆ the account is not even'}</span
      >
    </div>
    !${windowStrip(windows)}
    <p class="legend">
      ${count(windows.verified)} windows from ${moment(windows.from ?? '')} to ${moment(windows.to ?? '')}:
      ${count(by.PASS)} PASS, ${count(by.DRIFT)} DRIFT, ${count(by.INCONCLUSIVE)} INCONCLUSIVE. Beside the account:
      ${count(windows.unexpected)} in the ledger only, ${count(windows.late)} came late, ${count(windows.replayed)}
      replayed, ${count(windows.reopened)} windows reopened.
    </p>`;
}

function runRow(run: RunEntry): string {
  const notes = [
    ...run.reasons,
    ...(run.error === null ? [] : [run.error]),
    ...(run.smallest_seen === null
      ? []
      : [`drift of less than ${percent(run.smallest_seen * 100)} of the partitions may have been missed`]),
  ];
  const rows = `${count(run.cassandra_row_count)} / ${count(run.postgres_row_count)}`;
  return html`<tr>
      <td class="when">${moment(run.started_at)}</td>
      <td class="mono">${run.validation_strategy}${run.dry_run ? ' (dry run)' : ''}</td>
      <td>
        !${run.verdict === null ? html`<span class="badge other">${run.status}</span>` : verdictBadge(run.verdict)}
      </td>
      <td class="n">${rows}</td>
      <td class="n">${count(run.compared)}</td>
      <td class="n">${run.coverage === null ? '–' : percent(run.coverage * 100)}</td>
      <td class="n">${count(run.mismatch_count)}</td>
      <td class="n">${percent(run.drift_percentage)}</td>
      <td class="n">${count(run.repaired)}</td>
      <td class="n">${duration(run.started_at, run.completed_at)}</td>
      <td>${run.requested_by}</td>
    </tr>
    !${
      notes.length === 0
        ? ''
        : html`<tr class="notes">
            <td></td>
            <td colspan="10">${notes.join('; ')}</td>
          </tr>`
    }`;
}

export function runsTable(runs: readonly RunEntry[]): string {
  if (runs.length === 0) return html`<p class="none">None. lockstep reconcile run compares the table.</p>`;
  const more = runs.length - LISTED_RUNS;
  return html`<div class="wide">
      <table class="runs">
        <thead>
          <tr>
            <th>began</th>
            <th>strategy</th>
            <th>verdict</th>
            <th class="n">rows source / target</th>
            <th class="n">compared</th>
            <th class="n">coverage</th>
            <th class="n">differ</th>
            <th class="n">drift</th>
            <th class="n">repaired</th>
            <th class="n">took</th>
            <th>asked by</th>
          </tr>
        </thead>
        <tbody>
          !${runs.slice(0, LISTED_RUNS).map(runRow)}
        </tbody>
      </table>
    </div>
    !${more > 0 ? html`<p class="legend">${count(more)} older ones are in the JSON.</p>` : ''}`;
}

/** Business rules; nothing where none are configured. */
export function rulesSection(rules: readonly RuleEntry[]): string {
  if (rules.length === 0) return '';
  const row = (rule: RuleEntry): string =>
    html`<tr>
        <td>${rule.rule}${rule.severity === 'critical' ? ' (critical)' : ''}</td>
        <td>!${verdictBadge(rule.verdict)}</td>
        <td class="n">${count(rule.cassandra_keys)} / ${count(rule.postgres_keys)}</td>
        <td class="n ${rule.open_findings > 0 ? 'bad' : ''}">${count(rule.open_findings)}</td>
        <td class="n">${count(rule.accepted_findings)}</td>
        <td class="when">${rule.last_run_at === null ? 'never' : moment(rule.last_run_at)}</td>
        <td class="when">${rule.last_pass_at === null ? 'never' : moment(rule.last_pass_at)}</td>
        <td class="mono">${rule.schedule ?? 'on demand'}</td>
      </tr>
      !${
        rule.reasons.length === 0
          ? ''
          : html`<tr class="notes">
              <td></td>
              <td colspan="7">${rule.reasons.join('; ')}</td>
            </tr>`
      }`;
  return html`<section id="rules">
    <h2>Business rules</h2>
    <p class="lead">Aggregates that source and target must agree on, compared key by key.</p>
    <div class="wide">
      <table class="runs">
        <thead>
          <tr>
            <th>rule</th>
            <th>verdict</th>
            <th class="n">keys source / target</th>
            <th class="n">open</th>
            <th class="n">accepted</th>
            <th>last run</th>
            <th>last pass</th>
            <th>schedule</th>
          </tr>
        </thead>
        <tbody>
          !${rules.map(row)}
        </tbody>
      </table>
    </div>
  </section>`;
}
