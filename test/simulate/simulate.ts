/**
 * `npm run simulate`: the whole pipeline in one process, one seed a run: histories that the connector could have captured,
 * the real decoder, consumer, merge and doors, faults, and a model of Cassandra as the judge. Exit code 0 only where no
 * seed was refuted.
 */
import { availableParallelism } from 'node:os';
import { Command } from 'commander';
import { shownMutation } from '../model/mutation.ts';
import { runSeed } from './run-seed.ts';
import { runSeedsInThreads } from './run-seeds.ts';
import { smallest } from './smallest.ts';

interface Options {
  readonly seeds: number;
  readonly seed: number;
  readonly threads: number;
  readonly untilRefuted: boolean;
  readonly json: boolean;
}

/** Refuted seeds of which the history is printed; the others only by number. */
const SHOWN = 3;

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new Error(`${text} is no whole number`);
  return value;
}

async function story(
  seed: number,
): Promise<{ seed: number; invariant: string; what: string; key: string | null; history: string[] }> {
  const { history, refutation } = await smallest(await runSeed(seed));
  return {
    seed,
    invariant: refutation?.invariant ?? 'none',
    what: refutation?.what ?? 'not refuted when run alone',
    key: refutation?.key ?? null,
    history: [
      `table ${history.schema.name}`,
      ...history.statements.map(({ atMs, mutation }) => `+${atMs} ms  ${shownMutation(mutation)}`),
    ],
  };
}

async function main(options: Options): Promise<void> {
  const startedMs = performance.now();
  const seconds = (): number => (performance.now() - startedMs) / 1000;
  let toldAt = 0;
  const report = await runSeedsInThreads(
    { from: options.seed, count: options.seeds, untilRefuted: options.untilRefuted },
    Math.min(options.threads, Math.ceil(options.seeds / 100)),
    ({ seeds, refuted }) => {
      if (options.json || seconds() - toldAt < 10) return;
      toldAt = seconds();
      const named = refuted.length === 0 ? '' : ` (${refuted.map(({ seed }) => seed).join(', ')})`;
      process.stderr.write(
        `${seeds} seeds, ${refuted.length} refuted${named}, ${Math.round(seeds / seconds())} a second\n`,
      );
    },
  );
  const took = seconds();
  const stories = [];
  for (const { seed } of report.refuted.slice(0, SHOWN)) stories.push(await story(seed));
  const verdict = report.refuted.length === 0 && report.seeds > 0 ? 'PASS' : 'REFUTED';
  process.exitCode = verdict === 'PASS' ? 0 : 1;
  const document = {
    verdict,
    seeds: report.seeds,
    first_seed: options.seed,
    seconds: Math.round(took * 10) / 10,
    seeds_per_second: Math.round(report.seeds / took),
    ...{ steps: report.totals.steps, commits: report.totals.commits, faults: report.totals.faults },
    dead_letters: report.totals.deadLetters,
    refuted: report.refuted.map(({ seed }) => seed),
    stories,
  };
  if (options.json) {
    process.stdout.write(`${JSON.stringify(document)}\n`);
    return;
  }
  for (const { seed, invariant, what, key, history } of stories) {
    process.stdout.write(`seed ${seed} refutes "${invariant}"${key === null ? '' : ` at ${key}`}: ${what}\n`);
    for (const line of history) process.stdout.write(`    ${line}\n`);
  }
  const { seeds, totals } = report;
  process.stdout.write(
    `${verdict}: ${seeds} seeds from ${options.seed} in ${document.seconds} s (${document.seeds_per_second} a second); ` +
      `${totals.steps} steps, ${totals.commits} commits, ${totals.faults} faults, ${totals.deadLetters} dead letters; ` +
      `${report.refuted.length} refuted${stories.length === 0 ? '' : `: ${document.refuted.join(', ')}`}\n`,
  );
}

await new Command('simulate')
  .description('the whole pipeline in one process, under faults, judged by a model of Cassandra')
  .option('--seeds <n>', 'how many seeds', wholeNumber, 5_000)
  .option('--seed <n>', 'the first of them; the same seed makes the same run, step by step', wholeNumber, 1)
  .option('--threads <n>', 'threads to run them on', wholeNumber, availableParallelism())
  .option('--until-refuted', 'stop at the first refutation', false)
  .option('--json', 'one JSON document on stdout', false)
  .action(main)
  .parseAsync();
