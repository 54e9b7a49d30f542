import { userInfo } from 'node:os';
import { Command, Option } from 'commander';
import { DEFAULT_CONFIGURATION_FILE, loadConfiguration } from '../../config/index.ts';
import type { RanComparison } from '../../operate/end-state/run-comparison.ts';
import { momentOf, type ComparisonRequest } from '../../operate/jobs/comparison-request.ts';
import { repairModeOf, type RepairMode } from '../../operate/jobs/repair-mode.ts';
import { createLogger } from '../../operate/telemetry/logger.ts';
import { STRATEGIES, type Strategy } from '../../reconcile/end-state/comparison-plan.ts';
import type { ReconcileParts } from '../../reconcile/end-state/reconcile-table.ts';
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

/** Only TIMESTAMP_RANGE has a span; where it begins is the last verified point unless it is given. */
function spanOf({ strategy, from, to }: RunOptions): ComparisonRequest['span'] {
  const isSpan = strategy === 'TIMESTAMP_RANGE';
  if (isSpan ? from !== undefined && from >= (to ?? Date.now()) : from !== undefined || to !== undefined) {
    throw new LockstepError('--from and --to bound the write times of --strategy TIMESTAMP_RANGE', {
      code: 'RECONCILE_SPAN',
      kind: 'usage',
      remedy:
        'give --from TIME, and --to TIME behind it, with TIMESTAMP_RANGE only; without --from it goes on where the last run that covered the table ended',
    });
  }
  const us = (ms: number | undefined): bigint | null => (ms === undefined ? null : BigInt(ms) * 1000n);
  return { fromUs: us(from), toUs: us(to) };
}

/** What was compared, where only a span of write times was. */
function spanText({ writtenUs, verifiedUs }: RanComparison, { from }: RunOptions): readonly string[] {
  if (writtenUs === null) return [];
  const to = momentOf(writtenUs.to) ?? 'the end of time';
  const begin = momentOf(writtenUs.from);
  if (from !== undefined) return [`compared what was written from ${begin} to ${to}`];
  return verifiedUs === null
    ? [`no comparison has covered the table before: compared everything that was written until ${to}`]
    : [
        `compared what was written since the last run that covered the table, from ${begin} (less reconciliation.windows.skew) to ${to}`,
      ];
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

function reportText(ran: RanComparison, options: RunOptions, mode: RepairMode): string {
  const { report } = ran;
  const { repaired, sample, statics } = report;
  const lines = [
    `${options.table} ${options.strategy}: ${report.verdict}`,
    `source ${report.sourceRows} rows, target ${report.targetRows}; ${report.compared} compared in ${report.rangesScanned} of ${report.rangesDue} ranges`,
    ...spanText(ran, options),
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
    if (mode === 'review') {
      lines.push(
        'the repair mode is review: asking for --repair was the confirmation; --dry-run shows it first, reconcile resolve decides row by row',
      );
    }
    if (repaired.applied > 0 && options.dryRun !== true) lines.push('a repair is no verification: run it again');
  }
  return `${lines.join('\n')}\n`;
}

async function run(options: RunOptions): Promise<void> {
  const span = spanOf(options);
  const configuration = loadConfiguration({ path: options.config, env: process.env });
  const { repair, sampleSize } = configuration.reconciliation;
  const mode = repairModeOf(configuration.reconciliation, options.table);
  if (options.repair === true && mode === 'off') {
    throw new LockstepError(`the repair mode of ${options.table} is off`, {
      code: 'REPAIR_OFF',
      kind: 'usage',
      remedy: `leave out --repair, or set reconciliation.repair.mode or .tables: {${options.table}: …} to review or auto`,
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
    const ran = await runComparison(
      open,
      {
        strategy: options.strategy,
        span,
        sampleRows: options.sampleSize ?? sampleSize,
        repair:
          options.repair === true
            ? {
                limits: {
                  maxRows: repair.maxRows,
                  maxShare: repair.maxPercent / 100,
                  rowsPerSecond: repair.rowsPerSecond,
                },
                status: 'AUTO_RESOLVED',
              }
            : null,
        dryRun: options.dryRun === true,
        mayBeEmpty: options.allowEmpty === true,
        actor: userInfo().username,
      },
      stop.signal,
    );
    process.stdout.write(options.json === true ? `${JSON.stringify(ran.document)}\n` : reportText(ran, options, mode));
    if (ran.report.verdict !== 'PASS') process.exitCode = EXIT.no;
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
    .addOption(
      new Option(
        '--from <time>',
        'TIMESTAMP_RANGE: rows written from this time on (default: since the last run that covered the table)',
      ).argParser(timeArgument),
    )
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
