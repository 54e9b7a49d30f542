/**
 * `npm run losses`: provokes what the connector loses, and changes by hand, beside a live workload on a real stack, for as
 * many rounds as the time allows. Exit code 0 only where in every round each loss was found and named rightly, nothing
 * else was, the repair made both sides equal, a later pass was PASS and undo restored what had been.
 *
 * `npm run steady`: the same stage with nothing injected and comparisons all the time. Exit code 0 only for 0 findings.
 */
import { join, resolve } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { Closing } from '../../src/demo/closing.ts';
import { seededRandom } from '../../src/demo/workload/random.ts';
import { LiveWrites } from './live-writes.ts';
import { lossRound, roundPasses, type RoundResult } from './round.ts';
import { openLossSite, type LossSite } from './site.ts';
import { steadyRun, steadyPasses } from './steady.ts';

interface Options {
  readonly minutes: number;
  readonly rate: number;
  readonly seed: number;
  readonly steady?: true;
  readonly json?: true;
  readonly dir: string;
}

const DEFAULT_DIR = join('.lockstep', 'losses');

function number(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (value >= least && value <= most) return value;
    throw new InvalidArgumentError(`expected a number from ${least} to ${most}.`);
  };
}

const began = performance.now();
function tell(text: string): void {
  process.stderr.write(`${((performance.now() - began) / 1000).toFixed(1).padStart(6)}  ${text}\n`);
}

async function rounds(site: LossSite, live: LiveWrites, minutes: number): Promise<readonly RoundResult[]> {
  const results: RoundResult[] = [];
  const accepted = new Set<string>();
  const deadline = performance.now() + minutes * 60_000;
  do {
    const result = await lossRound(site, live, results.length, accepted, tell);
    results.push(result);
    const { injected, alongside, found, missed, wrong, repaired, leftAfterRepair, laterVerdict, undone } = result;
    tell(
      `round ${results.length}: ${injected.length} rows injected, ${alongside} of the live workload lost with them; ${found} found, ${missed.length} missed, ${wrong.length} wrong, ${repaired} repaired, ${leftAfterRepair.length} left, then ${laterVerdict}; ${undone} undone: ${roundPasses(result) ? 'PASS' : 'FAIL'}`,
    );
  } while (performance.now() < deadline && results.every(roundPasses));
  return results;
}

async function main(options: Options): Promise<void> {
  const closing = new Closing();
  try {
    const site = await openLossSite(resolve(options.dir), closing);
    const live = new LiveWrites(site, seededRandom(options.seed), options.rate);
    let document: Record<string, unknown>;
    let passes: boolean;
    if (options.steady === true) {
      const result = await steadyRun(site, live, options.minutes, tell);
      passes = steadyPasses(result);
      document = { ...result };
    } else {
      const results = await rounds(site, live, options.minutes);
      passes = results.every(roundPasses);
      document = { rounds: results };
    }
    const whole = { verdict: passes ? 'PASS' : 'FAIL', seed: options.seed, live_changes: live.written, ...document };
    process.stdout.write(`${JSON.stringify(whole, null, options.json === true ? undefined : 2)}\n`);
    process.exitCode = passes ? 0 : 1;
  } finally {
    await closing.run();
  }
}

await new Command('losses')
  .description('what the connector loses, provoked beside a live workload: found, named, repaired, taken back')
  .option('--minutes <n>', 'how long to go on; a round that has begun is finished', number(0, 10_000), 5)
  .option('--rate <n>', 'changes a second of the live workload', number(1, 2_000), 50)
  .option('--seed <n>', 'same choices of the live workload', number(0, 2 ** 32 - 1), 1)
  .option('--steady', 'nothing is injected, and comparisons go on all the time')
  .option('--json', 'one line')
  .option('--dir <dir>', 'directory of the stack', DEFAULT_DIR)
  .action(main)
  .parseAsync();
