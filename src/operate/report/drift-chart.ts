/** Drift over time as a small SVG: one dot a comparison, its shape and colour the verdict. Pure. */
import { scaleLinear, scaleUtc } from 'd3-scale';
import { html } from 'ghtml';
import type { ReconciliationReport, RunEntry } from './reconciliation-report.ts';

const WIDTH = 880;
const HEIGHT = 190;
const LEFT = 58;
const RIGHT = 12;
const TOP = 12;
const BOTTOM = 26;
/** Where nothing drifts the axis still needs a length, percent. */
const LEAST_TOP = 0.1;
const DOT = 4.5;

type Thresholds = Pick<ReconciliationReport, 'drift_warning_threshold' | 'drift_critical_threshold'>;

function mark(run: RunEntry, x: number, y: number): string {
  const drift = `${run.drift_percentage ?? 0} % drift, ${run.mismatch_count ?? 0} of ${run.compared ?? 0} rows`;
  const title = html`<title>${run.started_at} ${run.validation_strategy}: ${run.verdict}, ${drift}</title>`;
  const kind = (run.verdict ?? '').toLowerCase();
  switch (run.verdict) {
    case 'DRIFT':
      return html`<path
        class="${kind}"
        d="M${x} ${y - DOT - 1}l${DOT + 1} ${DOT + 1}l${-DOT - 1} ${DOT + 1}l${-DOT - 1} ${-DOT - 1}z"
        >!${title}</path
      >`;
    case 'INCONCLUSIVE':
      return html`<circle class="${kind}" cx="${x}" cy="${y}" r="${DOT - 1}">!${title}</circle>`;
    case 'PASS':
    case null:
      return html`<circle class="${kind}" cx="${x}" cy="${y}" r="${DOT - 0.5}">!${title}</circle>`;
  }
}

/** Empty text where no comparison of the span has a figure. */
export function driftChart(runs: readonly RunEntry[], span: { from: string; to: string }, limits: Thresholds): string {
  const [fromMs, toMs] = [Date.parse(span.from), Date.parse(span.to)];
  const shown = runs
    .filter((run) => run.drift_percentage !== null && Date.parse(run.started_at) >= fromMs)
    .map((run) => ({ run, at: Date.parse(run.started_at), drift: run.drift_percentage ?? 0 }))
    .sort((left, right) => left.at - right.at);
  if (shown.length === 0) return '';
  const most = Math.max(LEAST_TOP, ...shown.map(({ drift }) => drift * 1.15));
  const x = scaleUtc([fromMs, toMs], [LEFT, WIDTH - RIGHT]);
  const y = scaleLinear([0, most], [HEIGHT - BOTTOM, TOP]).nice(4);
  const [, top = most] = y.domain();
  const round = (value: number): number => Math.round(value * 10) / 10;
  const percent = y.tickFormat(4);
  const time = x.tickFormat(8);
  const grid = y
    .ticks(4)
    .map(
      (tick) =>
        html`<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${round(y(tick))}" y2="${round(y(tick))}" />
          <text x="${LEFT - 8}" y="${round(y(tick) + 4)}" text-anchor="end">${percent(tick)} %</text>`,
    );
  const times = x
    .ticks(8)
    .map(
      (tick) =>
        html`<line
            class="tick"
            x1="${round(x(tick))}"
            x2="${round(x(tick))}"
            y1="${HEIGHT - BOTTOM}"
            y2="${HEIGHT - BOTTOM + 4}"
          />
          <text x="${round(x(tick))}" y="${HEIGHT - 8}" text-anchor="middle">${time(tick)}</text>`,
    );
  const lines = [
    { at: limits.drift_warning_threshold, kind: 'warning' },
    { at: limits.drift_critical_threshold, kind: 'critical' },
  ]
    .filter(({ at }) => at > 0 && at <= top)
    .map(
      ({ at, kind }) =>
        html`<line class="limit ${kind}" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${round(y(at))}" y2="${round(y(at))}"
          ><title>${kind} above ${at} %</title></line
        >`,
    );
  const path = shown.map(({ at, drift }, i) => `${i === 0 ? 'M' : 'L'}${round(x(at))} ${round(y(drift))}`).join('');
  const label = `Drift over time: ${shown.length} comparisons, ${Math.max(...shown.map(({ drift }) => drift))} % at most`;
  return html`<svg class="chart" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${label}">
    !${grid}!${times}!${lines}
    <path class="drift-line" d="${path}" />
    !${shown.map(({ run, at, drift }) => mark(run, round(x(at)), round(y(drift))))}
  </svg>`;
}
