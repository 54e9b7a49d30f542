import { readFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { text } from 'node:stream/consumers';
import { Command, Option } from 'commander';
import { loadConfiguration } from '../../config/index.ts';
import { createLogger } from '../../operate/telemetry/logger.ts';
import type { RedriveProgress } from '../../operate/redrive/redrive-job.ts';
import { LockstepError, messageOf } from '../../shared/errors.ts';
import { EXIT } from '../exit-code.ts';
import { countArgument, jobArgument } from './arguments.ts';
import { addFilterOptions, filterOf, type FilterOptions } from './letter-options.ts';

interface RedriveOptions extends FilterOptions {
  readonly dryRun?: true;
  readonly rate?: number;
  readonly limit?: number;
  readonly resume?: string;
  readonly patch?: string;
  readonly why?: string;
}

/** Plain lines come this often where nobody looks at a terminal. */
const LINE_EVERY_MS = 2_000;

function progressText({ done, total, counts }: RedriveProgress): string {
  const { applied, superseded, queued, failed } = counts;
  const more = queued === 0 ? '' : `, ${queued} to be read from the source`;
  return `${done} of ${total}: ${applied} applied, ${superseded} superseded by newer changes${more}, ${failed} failed`;
}

/** Shows progress on standard error: one line that changes on a terminal, plain lines elsewhere. */
function progressPrinter(): (progress: RedriveProgress) => void {
  let lastMs = 0;
  return (progress) => {
    const ended = progress.status !== 'RUNNING';
    const now = performance.now();
    if (!ended && now - lastMs < (process.stderr.isTTY ? 100 : LINE_EVERY_MS)) return;
    lastMs = now;
    const line = progressText(progress);
    if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${line}${ended ? '\n' : ''}`);
    else process.stderr.write(`${line}\n`);
  };
}

function reportDocument(progress: RedriveProgress): Record<string, unknown> {
  const { jobId, dryRun, status, total, done, counts, failures, error } = progress;
  return { job_id: jobId, dry_run: dryRun, status, total, done, counts, failures, error };
}

function printReport(progress: RedriveProgress): void {
  const lines = [
    `job ${progress.jobId}: ${progress.status}${progress.dryRun ? ' (dry run, nothing was written)' : ''}`,
    progressText(progress),
    ...Object.entries(progress.failures).map(([code, count]) => `  ${String(count).padStart(8)}  ${code}`),
    ...(progress.error === null ? [] : [progress.error, `go on with: lockstep dlq redrive --resume ${progress.jobId}`]),
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}

async function readPatch(file: string): Promise<string> {
  try {
    return file === '-' ? await text(process.stdin) : await readFile(file, 'utf8');
  } catch (cause) {
    throw new LockstepError(`the patch ${file} can't be read: ${messageOf(cause)}`, {
      code: 'PATCH_INVALID',
      kind: 'usage',
      cause,
    });
  }
}

async function redrive(options: RedriveOptions): Promise<void> {
  const configuration = loadConfiguration({ path: options.config, env: process.env });
  const { openRedrive } = await import('../../operate/redrive/open-redrive.ts');
  const { beginRedrive, REDRIVE, RedriveRun } = await import('../../operate/redrive/redrive-job.ts');
  const stop = new AbortController();
  const onSignal = (): void => {
    stop.abort();
  };
  process.once('SIGINT', onSignal);
  process.once('SIGTERM', onSignal);
  const open = await openRedrive(configuration, createLogger({ level: 'warn' }));
  try {
    const job =
      options.resume === undefined
        ? await beginRedrive(open.parts, {
            filter: filterOf(options),
            dryRun: options.dryRun === true,
            limit: options.limit ?? null,
            ratePerSecond: options.rate ?? null,
            correction:
              options.patch === undefined ? null : { patch: await readPatch(options.patch), why: options.why ?? '' },
            requestedBy: userInfo().username,
          })
        : await open.parts.jobs.takeOver(options.resume, REDRIVE);
    const print = progressPrinter();
    const report = await new RedriveRun(open.parts, job, print).run(stop.signal);
    if (options.json === true) process.stdout.write(`${JSON.stringify(reportDocument(report))}\n`);
    else printReport(report);
    if (report.status !== 'COMPLETED' || report.counts.failed > 0) process.exitCode = EXIT.no;
  } finally {
    process.off('SIGINT', onSignal);
    process.off('SIGTERM', onSignal);
    await open.close();
  }
}

/** `lockstep dlq redrive`: exit 0 where every letter went through, 1 where one failed or the job did not end. */
export function dlqRedriveCommand(): Command {
  return addFilterOptions(
    new Command('redrive').description('sends dead letters through the door again, with their original versions'),
  )
    .option('--dry-run', 'tell what would happen; write nothing')
    .addOption(new Option('--rate <n>', 'letters a second at most').argParser(countArgument))
    .addOption(new Option('--limit <n>', 'letters at most').argParser(countArgument))
    .option(
      '--patch <file>',
      'a corrected value for the letter of --id: a JSON object from path to value, - for standard input',
    )
    .option('--why <text>', 'with --patch: why; kept in the audit log')
    .addOption(new Option('--resume <job>', 'go on with a job that was interrupted or failed').argParser(jobArgument))
    .action(redrive);
}
