import { userInfo } from 'node:os';
import { Command, Option } from 'commander';
import { DEFAULT_CONFIGURATION_FILE, loadConfiguration } from '../../config/index.ts';
import { createLogger } from '../../operate/logger.ts';
import { STRATEGIES, type Strategy } from '../../reconcile/end-state/comparison-plan.ts';
import type { ReconcileParts } from '../../reconcile/end-state/reconcile-table.ts';
import type { TableReport } from '../../reconcile/end-state/reconcile-with-statics.ts';
import { LockstepError } from '../../shared/errors.ts';
import { EXIT } from '../exit-code.ts';
import { countArgument, timeArgument } from './arguments.ts';

interface RunOptions {
  readonly config?: string;
  readonly table: string;
  readonly strategy: Strategy;
  readonly repair?: true;
  readonly dryRun?: true;
  readonly from?: number;
  readonly to?: number;
  readonly sampleSize?: number;
  readonly rate?: number;
  readonly allowEmpty?: true;
  readonly json?: true;
}

/** Drifting rows that are listed; all of them are findings. */
const LISTED = 20;
/** Plain lines come this often where nobody looks at a terminal. */
const LINE_MS = 5_000;

function spanOf({ strategy, from, to }: RunOptions): { readonly from: bigint; readonly to: bigint } | null {
  const isSpan = strategy === 'TIMESTAMP_RANGE';
  if (isSpan === (from !== undefined) && (isSpan || to === undefined)) {
    if (from === undefined) return null;
    const end = to ?? Date.now();
    if (from < end) return { from: BigInt(from) * 1000n, to: BigInt(end) * 1000n };
  }
  throw new LockstepError('--from and --to bound the write times of --strategy TIMESTAMP_RANGE, which needs --from', {
    code: 'RECONCILE_SPAN',
    kind: 'usage',
    remedy: 'give --from TIME, and --to TIME behind it, with TIMESTAMP_RANGE only',
  });
}

function progressPrinter(): ReconcileParts['onProgress'] {
  let lastMs = Number.NEGATIVE_INFINITY;
  return ({ scanned, ranges, rows }) => {
    const now = performance.now();
    if (now - lastMs < (process.stderr.isTTY ? 200 : LINE_MS) && scanned < ranges) return;
    lastMs = now;
    const text = `${scanned} of ${ranges} ranges, ${rows.toLocaleString('en-US')} rows compared`;
    process.stderr.write(process.stderr.isTTY ? `\r\u001b[K${text}${scanned === ranges ? '\n' : ''}` : `${text}\n`);
  };
}

const percent = (share: number): string => `${(share * 100).toPrecision(3)} %`;

function reportText(report: TableReport, options: RunOptions): string {
  const { repaired, sample, statics } = report;
  const lines = [
    `${options.table} ${options.strategy}: ${report.verdict}`,
    `source ${report.sourceRows} rows, target ${report.targetRows}; ${report.compared} compared in ${report.rangesScanned} of ${report.rangesDue} ranges`,
    ...(statics === null
      ? []
      : [`static columns: source ${statics.sourceRows} partitions, target ${statics.targetRows}`]),
    ...report.reasons,
    ...report.drift
      .slice(0, LISTED)
      .map(({ table, key, classification: { type, cause, columns } }) =>
        `  ${type} ${cause} ${table === options.table ? '' : 'static '}${key.text} ${columns.join(', ')}`.trimEnd(),
      ),
  ];
  if (report.drift.length > LISTED) lines.push('  … lockstep reconcile findings lists them all');
  if (report.ignored > 0) lines.push(`${report.ignored} differences are accepted`);
  if (report.superseded > 0) lines.push(`${report.superseded} earlier findings are equal now`);
  if (sample !== null) {
    const { low, high } = sample.clopperPearson;
    lines.push(
      `sample: ${sample.drifted} of ${sample.partitions} partitions drift; of all, with ${percent(sample.confidence)} confidence, ${percent(low)} to ${percent(high)}`,
      `drift of less than ${percent(sample.smallestSeen)} of the partitions may have been missed`,
    );
  }
  if (options.repair === true) {
    lines.push(
      report.repairRefused ??
        `${options.dryRun === true ? 'would be repaired' : 'repaired'}: ${repaired.applied}, changed meanwhile: ${repaired.stale}, left to a person: ${repaired.review}, failed: ${repaired.failed}`,
    );
    if (repaired.applied > 0 && options.dryRun !== true) lines.push('a repair is no verification: run it again');
  }
  return `${lines.join('\n')}\n`;
}

async function run(options: RunOptions): Promise<void> {
  const writtenUs = spanOf(options);
  const configuration = loadConfiguration({ path: options.config, env: process.env });
  const { repair, sampleSize } = configuration.reconciliation;
  if (options.repair === true && repair.mode === 'off') {
    throw new LockstepError('reconciliation.repair.mode is off', {
      code: 'REPAIR_OFF',
      kind: 'usage',
      remedy: 'leave out --repair, or set the mode to review or auto',
    });
  }
  const { openEndState } = await import('../../operate/end-state/open-end-state.ts');
  const { runComparison } = await import('../../operate/end-state/run-comparison.ts');
  const stop = new AbortController();
  const onSignal = (): void => {
    stop.abort(
      new LockstepError('interrupted: nothing is proven', {
        code: 'INTERRUPTED',
        kind: 'transient',
        remedy: 'run it again',
      }),
    );
  };
  process.once('SIGINT', onSignal);
  process.once('SIGTERM', onSignal);
  const logger = createLogger({ level: 'warn' });
  const told = {
    ...(options.rate === undefined ? {} : { rowsPerSecond: options.rate }),
    onProgress: progressPrinter(),
    onLeft: ({ key }: { readonly key: { readonly text: string } }, reason: string) => {
      logger.warn({ row: key.text, reason }, 'a drifting row is not repaired');
    },
  };
  const open = await openEndState(configuration, options.table, told, logger);
  try {
    const { document, report } = await runComparison(
      open,
      {
        plan: { strategy: options.strategy, writtenUs, sampleRows: options.sampleSize ?? sampleSize },
        repair:
          options.repair === true
            ? { limits: { maxRows: repair.maxRows, maxShare: repair.maxPercent / 100 }, status: 'AUTO_RESOLVED' }
            : null,
        dryRun: options.dryRun === true,
        mayBeEmpty: options.allowEmpty === true,
        actor: userInfo().username,
      },
      stop.signal,
    );
    process.stdout.write(options.json === true ? `${JSON.stringify(document)}\n` : reportText(report, options));
    if (report.verdict !== 'PASS') process.exitCode = EXIT.no;
  } finally {
    process.off('SIGINT', onSignal);
    process.off('SIGTERM', onSignal);
    await open.close();
  }
}

/** `lockstep reconcile run`: exit 0 for PASS only; drift, and what could not be proven, is 1. */
export function reconcileRunCommand(): Command {
  return new Command('run')
    .description('compares a table with its source, row by row, and waits for the verdict')
    .option('-c, --config <file>', `configuration file (default ${DEFAULT_CONFIGURATION_FILE})`)
    .requiredOption('--table <keyspace.table>', 'table to compare')
    .addOption(new Option('--strategy <strategy>', 'what is compared').choices(STRATEGIES).makeOptionMandatory())
    .option('--repair', 'repair what drifts, within the limits of reconciliation.repair')
    .option('--dry-run', 'tell what would be found and repaired; write nothing')
    .addOption(new Option('--from <time>', 'TIMESTAMP_RANGE: rows written from this time on').argParser(timeArgument))
    .addOption(
      new Option('--to <time>', 'TIMESTAMP_RANGE: rows written before this time (default now)').argParser(timeArgument),
    )
    .addOption(new Option('--sample-size <n>', 'SAMPLE: rows to compare at least').argParser(countArgument))
    .addOption(
      new Option('--rate <n>', 'rows of the source a second at most (default reconciliation.rowsPerSecond)').argParser(
        countArgument,
      ),
    )
    .option('--allow-empty', 'a table without rows may pass')
    .option('--json', 'print one JSON document')
    .action(run);
}
