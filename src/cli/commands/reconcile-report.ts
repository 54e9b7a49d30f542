import { writeFile } from 'node:fs/promises';
import CliTable from 'cli-table3';
import { Command, Option } from 'commander';
import { DEFAULT_CONFIGURATION_FILE, loadConfiguration } from '../../config/index.ts';
import { withControlTables } from '../../operate/connect/command-pool.ts';
import { tableMappingOf } from '../../operate/connect/one-table.ts';
import { readReport, spanOf } from '../../operate/report/read-report.ts';
import type { ReconciliationReport, TableReport } from '../../operate/report/reconciliation-report.ts';
import { reportPage } from '../../operate/report/report-page.ts';
import { count, moment, percent } from '../../operate/report/report-text.ts';
import { LockstepError } from '../../shared/errors.ts';
import { EXIT } from '../exit-code.ts';
import { timeArgument } from './arguments.ts';

interface ReportOptions {
  readonly config?: string;
  readonly table?: string;
  readonly from?: number;
  readonly to?: number;
  readonly html?: string;
  readonly json?: true;
}

function printTable(table: TableReport): void {
  const { windows } = table;
  const lines = [
    `\n${table.table_name}: ${[table.verdict, ...table.reasons].join('; ')}`,
    ...table.not_checked.map(({ what, why }) => `  not checked: ${what}: ${why}`),
    ...table.findings.map(({ mismatch_type: type, cause, total, by_status: by }) => {
      const states = Object.entries(by).map(([status, n]) => `${n} ${status}`);
      return `  ${count(total)} ${type} ${cause}: ${states.join(', ')}`;
    }),
  ];
  if (windows.verified > 0) {
    lines.push(
      `  windows: changelog ${count(windows.changelog)} ${windows.identity_holds ? '=' : '≠'} processed ${count(windows.processed)} + filtered ${count(windows.filtered)} + dead-lettered ${count(windows.dead_lettered)} + missing ${count(windows.missing)}`,
    );
  }
  process.stdout.write(`${lines.join('\n')}\n`);
}

function print(report: ReconciliationReport): void {
  process.stdout.write(`${report.verdict} ${moment(report.from)} to ${moment(report.to)} UTC\n`);
  const table = new CliTable({
    head: [
      'table',
      'verdict',
      'proven until (UTC)',
      'drift',
      'coverage',
      'open findings',
      'windows pass',
      'dead letters',
    ],
    style: { head: [], border: [] },
  });
  for (const each of report.tables) {
    const newest = each.runs.find(({ verdict }) => verdict !== null);
    const { windows } = each;
    table.push([
      each.table_name,
      each.verdict,
      each.proven_until === null ? 'never' : moment(each.proven_until),
      percent(newest?.drift_percentage ?? null),
      percent(newest?.coverage == null ? null : newest.coverage * 100),
      count(each.open_findings),
      windows.configured ? `${count(windows.by_verdict.PASS)} of ${count(windows.verified)}` : 'off',
      count(each.dead_letters_pending),
    ]);
  }
  process.stdout.write(`${table.toString()}\n`);
  for (const each of report.tables) printTable(each);
  for (const { rule, verdict, reasons } of report.rules) {
    process.stdout.write(`\nrule ${rule}: ${[verdict, ...reasons].join('; ')}\n`);
  }
}

async function run(options: ReportOptions): Promise<void> {
  const configuration = loadConfiguration({ path: options.config, env: process.env });
  if (options.table !== undefined) tableMappingOf(configuration, options.table);
  const nowMs = Date.now();
  const span = spanOf(options.from, options.to, nowMs);
  if (span.fromMs >= span.toMs) {
    throw new LockstepError('the span is empty: --from is not before --to', {
      code: 'REPORT_SPAN',
      kind: 'usage',
      remedy: 'give --from a time before --to; left out, it is seven days before',
    });
  }
  const report = await withControlTables(configuration, (pool) =>
    readReport(pool, configuration, { table: options.table ?? null, ...span }, nowMs),
  );
  if (options.html !== undefined) await writeFile(options.html, reportPage(report));
  if (options.json === true) process.stdout.write(`${JSON.stringify(report)}\n`);
  else print(report);
  if (report.verdict !== 'PASS') process.exitCode = EXIT.no;
}

/** `lockstep reconcile report`: exit 0 only where every table stands at PASS. */
export function reconcileReportCommand(): Command {
  return new Command('report')
    .description('verdicts, what was not checked and why, findings by cause, windows, drift over time')
    .option('-c, --config <file>', `configuration file (default ${DEFAULT_CONFIGURATION_FILE})`)
    .option('--table <keyspace.table>', 'only this table')
    .addOption(
      new Option('--from <time>', 'begin of the span (default seven days before its end)').argParser(timeArgument),
    )
    .addOption(new Option('--to <time>', 'end of the span (default now)').argParser(timeArgument))
    .option('--html <file>', 'write it as a page, too')
    .option('--json', 'print one JSON document')
    .action(run);
}
