import { userInfo } from 'node:os';
import { Command, Option } from 'commander';
import { DEFAULT_CONFIGURATION_FILE, loadConfiguration } from '../../config/index.ts';
import { createLogger } from '../../operate/telemetry/logger.ts';
import type { BackfillProgress } from '../../operate/backfill/backfill-job.ts';
import { backfillScreen, progressText } from '../backfill-screen.ts';
import { EXIT } from '../exit-code.ts';
import { countArgument } from './arguments.ts';

interface BackfillCommandOptions {
  readonly config?: string;
  readonly table: string;
  readonly resume?: true;
  readonly rate?: number;
  readonly json?: true;
}

function reportDocument(progress: BackfillProgress, elapsedMs: number): Record<string, unknown> {
  const { jobId, table, status, counts, failures, covered, error } = progress;
  return {
    job_id: jobId,
    table,
    status,
    covered,
    counts,
    failures,
    elapsed_seconds: Math.round(elapsedMs) / 1000,
    error,
  };
}

function printReport(progress: BackfillProgress): void {
  const { jobId, status, failures, error, table } = progress;
  const lines = [
    `job ${jobId}: ${status}`,
    progressText(progress),
    ...Object.entries(failures).map(([code, count]) => `  ${String(count).padStart(8)}  ${code}`),
    ...(error === null ? [] : [error, `go on with: lockstep backfill --table ${table} --resume`]),
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}

async function backfill(options: BackfillCommandOptions): Promise<void> {
  const configuration = loadConfiguration({ path: options.config, env: process.env });
  const { openBackfill } = await import('../../operate/backfill/open-backfill.ts');
  const { beginBackfill, resumeBackfill } = await import('../../operate/backfill/backfill-job.ts');
  const { BackfillRun } = await import('../../operate/backfill/backfill-run.ts');
  const stop = new AbortController();
  const onSignal = (): void => {
    stop.abort(new Error('interrupted'));
  };
  process.once('SIGINT', onSignal);
  process.once('SIGTERM', onSignal);
  const open = await openBackfill(configuration, options.table, createLogger({ level: 'warn' }));
  const screen = backfillScreen(process.stderr);
  const startedMs = performance.now();
  try {
    const { jobs, statics } = open.parts;
    const job =
      options.resume === true
        ? await resumeBackfill(jobs, options.table)
        : await beginBackfill(jobs, options.table, statics !== null, userInfo().username);
    const run = new BackfillRun(open.parts, job, {
      ratePerSecond: options.rate ?? null,
      onProgress: (progress) => {
        screen.show(progress);
      },
    });
    const report = await run.run(stop.signal);
    screen.close();
    if (options.json === true) {
      process.stdout.write(`${JSON.stringify(reportDocument(report, performance.now() - startedMs))}\n`);
    } else printReport(report);
    if (report.status !== 'COMPLETED' || report.counts.failed > 0) process.exitCode = EXIT.no;
  } finally {
    screen.close();
    process.off('SIGINT', onSignal);
    process.off('SIGTERM', onSignal);
    await open.close();
  }
}

/** `lockstep backfill`: exit 0 where every row went in, 1 where one was left out or the job did not end. */
export function backfillCommand(): Command {
  return new Command('backfill')
    .description('existing rows of a table, with their write times and TTLs, beside the live stream')
    .option('-c, --config <file>', `configuration file (default ${DEFAULT_CONFIGURATION_FILE})`)
    .requiredOption('--table <keyspace.table>', 'the source table')
    .option('--resume', 'go on with the backfill of the table that was interrupted or failed')
    .addOption(new Option('--rate <n>', 'rows a second at most').argParser(countArgument))
    .option('--json', 'print one JSON document')
    .action(backfill);
}
