/** Style of the report's page: readable on paper, on a phone, by day and by night. */
export const REPORT_STYLE = `
:root { color-scheme: light dark; --page: #f6f7f9; --sheet: #fff; --ink: #1a1f27; --soft: #5b6572; --line: #dfe3e8;
  --pass: #18794e; --pass-soft: #ddf3e4; --drift: #c62a2f; --drift-soft: #fde3e3; --doubt: #945700; --doubt-soft: #fdeecb; --accent: #3357b7; }
@media (prefers-color-scheme: dark) { :root { --page: #12151a; --sheet: #1a1e25; --ink: #e6e9ee; --soft: #98a2b0; --line: #2d333d;
  --pass: #5fce94; --pass-soft: #143526; --drift: #ff8a8a; --drift-soft: #45181a; --doubt: #f0bd5d; --doubt-soft: #3d2c0b; --accent: #8ab0ff; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif; }
header, main, footer { max-width: 1080px; margin: 0 auto; padding: 0 24px; }
header { padding-top: 32px; }
.product { margin: 0; color: var(--soft); font-weight: 600; letter-spacing: .02em; }
h1 { font-size: 24px; line-height: 1.35; margin: 6px 0 4px; font-weight: 600; }
h1 .badge { font-size: 20px; margin-right: 6px; }
h2 { font-size: 20px; margin: 0 0 4px; display: flex; gap: 12px; align-items: baseline; flex-wrap: wrap; }
h2 small { color: var(--soft); font-weight: 400; font-size: 15px; }
h2 .badge { margin-left: auto; font-size: 14px; }
h3 { font-size: 13px; text-transform: uppercase; letter-spacing: .06em; color: var(--soft); margin: 26px 0 8px; }
.span { color: var(--soft); margin: 0 0 20px; }
.lead { margin: 4px 0 0; }
section, .summary { background: var(--sheet); border: 1px solid var(--line); border-radius: 10px; }
section { padding: 22px 24px 24px; margin: 24px 0; break-inside: avoid-page; }
table { width: 100%; border-collapse: collapse; font-size: 14px; }
.summary { border-collapse: separate; border-spacing: 0; overflow: hidden; }
.summary th, .summary td { padding: 9px 14px; }
th { text-align: left; font-weight: 600; color: var(--soft); font-size: 12.5px; border-bottom: 1px solid var(--line); padding: 6px 10px 6px 0; vertical-align: bottom; }
td { padding: 7px 10px 7px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
tbody tr:last-child td { border-bottom: 0; }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.bad { color: var(--drift); font-weight: 700; }
.runs { font-size: 13px; }
td.when, .badge { white-space: nowrap; }
.runs tr:has(+ .notes) td { border-bottom: 0; padding-bottom: 2px; }
.notes td { color: var(--soft); padding-top: 0; font-size: 12.5px; }
.wide { overflow-x: auto; }
.mono, code { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: .92em; }
small { color: var(--soft); }
a { color: var(--accent); text-decoration: none; } a:hover { text-decoration: underline; }
.badge { display: inline-block; border-radius: 6px; padding: 1px 8px; font-size: 12.5px; font-weight: 700; letter-spacing: .02em; white-space: nowrap; }
.badge.pass, .holds.pass { background: var(--pass-soft); color: var(--pass); }
.badge.drift, .holds.drift { background: var(--drift-soft); color: var(--drift); }
.badge.inconclusive { background: var(--doubt-soft); color: var(--doubt); }
.badge.other { background: var(--line); color: var(--soft); }
.gaps { margin: 0; } .gaps div { display: grid; grid-template-columns: minmax(180px, 34%) 1fr; gap: 4px 18px; padding: 6px 0; border-bottom: 1px solid var(--line); }
.gaps div:last-child { border-bottom: 0; } .gaps dt { font-weight: 600; } .gaps dd { margin: 0; color: var(--soft); }
.none, .legend { color: var(--soft); margin: 6px 0 0; font-size: 13.5px; }
.identity { display: flex; flex-wrap: wrap; align-items: flex-end; gap: 8px 12px; margin: 6px 0 14px; }
.term { display: flex; flex-direction: column; } .term b { font-size: 21px; line-height: 1.2; font-variant-numeric: tabular-nums; }
.term.bad b { color: var(--drift); } .term.doubt b { color: var(--doubt); }
.sign { font-size: 19px; color: var(--soft); padding-bottom: 19px; }
.holds { border-radius: 6px; padding: 2px 10px; font-size: 13px; font-weight: 600; margin: 0 0 18px auto; }
svg { display: block; width: 100%; } .chart { height: auto; } .chart text { fill: var(--soft); font-size: 11.5px; }
.chart .grid { stroke: var(--line); } .chart .tick { stroke: var(--soft); } .chart .drift-line { fill: none; stroke: var(--soft); stroke-width: 1.2; opacity: .55; }
.chart .limit { stroke-dasharray: 5 4; } .chart .warning { stroke: var(--doubt); } .chart .critical { stroke: var(--drift); }
.chart .pass, .strip .pass { fill: var(--pass); } .chart path.drift, .strip .drift { fill: var(--drift); }
.chart .inconclusive { fill: var(--sheet); stroke: var(--doubt); stroke-width: 2.2; } .strip .inconclusive { fill: var(--doubt); }
.strip { height: 18px; background: var(--page); border-radius: 3px; }
.key { display: inline-block; width: 10px; height: 10px; margin: 0 3px 0 8px; border-radius: 50%; }
.key.pass { background: var(--pass); } .key.drift { background: var(--drift); border-radius: 1px; transform: rotate(45deg) scale(.85); } .key.inconclusive { border: 2px solid var(--doubt); }
.legend .key:first-child { margin-left: 0; }
footer { color: var(--soft); font-size: 13px; padding-bottom: 40px; }
@media print { body { background: #fff; } section { border: 0; border-top: 1px solid var(--line); border-radius: 0; padding: 16px 0; } }
@media (max-width: 640px) { header, main, footer { padding: 0 14px; } section { padding: 16px 14px; } .gaps div { grid-template-columns: 1fr; } .summary { display: block; overflow-x: auto; } }
`;
