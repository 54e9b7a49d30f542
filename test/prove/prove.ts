/**
 * `npm run prove`: tries to refute that PostgreSQL ends up as Cassandra has it, whatever is written and whatever breaks.
 * Exit code 0 only for PASS; 1 for a refutation, and where nothing could be said.
 */
import { randomInt } from 'node:crypto';
import { join, resolve } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { Closing } from '../../src/demo/closing.ts';
import { packageRoot } from '../../src/stack/package-root.ts';
import { FAULT_KINDS, type FaultKind } from './faults/fault.ts';
import { CLAIMED, HAZARDS, SEMANTICS, type Hazard, type Semantic } from './generate/semantics.ts';
import { reportDocument, reportText } from './report.ts';
import { runProof } from './run-proof.ts';

const DEFAULT_DIR = join('.lockstep', 'prove');
const MAX_SEED = 2 ** 32 - 1;
const WIDTH = 100;

interface Options {
  readonly minutes: number;
  readonly seed?: number;
  readonly nodes: number;
  readonly tables: number;
  readonly json?: true;
  readonly hazards?: true;
  readonly with?: readonly Semantic[];
  readonly without?: readonly Semantic[];
  readonly faults: readonly FaultKind[];
  readonly dir: string;
}

function number(least: number, most: number, whole: boolean): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (value >= least && value <= most && (!whole || Number.isInteger(value))) return value;
    throw new InvalidArgumentError(`expected a ${whole ? 'whole ' : ''}number from ${least} to ${most}.`);
  };
}

async function main(options: Options): Promise<void> {
  const abort = new AbortController();
  const stop = (): void => {
    abort.abort(new Error('interrupted'));
  };
  process.once('SIGINT', stop).once('SIGTERM', stop);
  const seed = options.seed ?? randomInt(MAX_SEED);
  const began = performance.now();
  const tell = (text: string): void => {
    const seconds = ((performance.now() - began) / 1000).toFixed(1).padStart(6);
    process.stderr.write(`${seconds}  ${text}\n`);
  };
  tell(`seed ${seed}`);
  const semantics = new Set<Semantic>([...CLAIMED, ...(options.with ?? [])]);
  for (const name of options.without ?? []) semantics.delete(name);
  const closing = new Closing();
  try {
    const report = await runProof(
      {
        seed,
        minutes: options.minutes,
        nodes: options.nodes === 2 ? 2 : 1,
        tables: options.tables,
        dir: resolve(options.dir),
        program: join(packageRoot(), 'dist', 'main.js'),
        repertoire: { semantics, hazards: new Set(options.hazards ? (Object.keys(HAZARDS) as Hazard[]) : []) },
        faults: new Set(options.faults),
        signal: abort.signal,
        tell,
      },
      closing,
    );
    process.stdout.write(options.json ? `${JSON.stringify(reportDocument(report))}\n` : `${reportText(report)}\n`);
    process.exitCode = report.verdict === 'PASS' ? 0 : 1;
  } finally {
    await closing.run();
    process.off('SIGINT', stop).off('SIGTERM', stop);
  }
}

const semantic = (flag: string, description: string): Option =>
  new Option(flag, description).choices(Object.keys(SEMANTICS));

await new Command('prove')
  .description('random histories on a real Cassandra, faults on the way, and Cassandra as the judge')
  .configureHelp({ helpWidth: WIDTH })
  .option('--minutes <n>', 'how long to go on; a round that has begun is finished', number(0.1, 10_000, false), 5)
  .option('--seed <n>', 'same schemas, histories and choice of faults', number(0, MAX_SEED, true))
  .option(
    '--nodes <n>',
    'Cassandra nodes (1 or 2), each with an agent; with 2 every row has two replicas',
    number(1, 2, true),
    1,
  )
  .option('--tables <n>', 'tables of a set', number(1, 30, true), 6)
  .option('--hazards', 'also histories of which the connector is known to lose changes; those are told apart')
  .addOption(semantic('--with <names...>', 'parts of the data model that are not claimed yet'))
  .addOption(semantic('--without <names...>', 'parts of the data model to leave out'))
  .addOption(
    new Option('--faults <kinds...>', 'only these faults').choices([...FAULT_KINDS]).default([...FAULT_KINDS], 'all'),
  )
  .option('--dir <dir>', 'where the stack and the logs are', DEFAULT_DIR)
  .option('--json', 'one JSON document on stdout')
  .action(main)
  .parseAsync();
