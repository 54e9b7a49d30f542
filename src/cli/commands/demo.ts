import { randomInt } from 'node:crypto';
import { resolve } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import {
  Board,
  DemoError,
  openScreen,
  outcomeDocument,
  outcomeText,
  outcomeVerdict,
  paintFor,
  runDemo,
} from '../../demo/index.ts';
import { PROVIDER_CHOICES, type ProviderChoice } from '../../stack/index.ts';
import { EXIT } from '../exit-code.ts';

/** Where the demo's stack lives, below the working directory. */
const DEMO_DIR = '.lockstep/demo';
const DEFAULT_SECONDS = 60;
const DEFAULT_RATE = 400;
/** A day; longer is no demo. */
const MAX_SECONDS = 86_400;
/** More than one connection of the driver writes. */
const MAX_RATE = 20_000;
const MAX_SEED = 2 ** 32 - 1;

/** Width of the report where there is no terminal. */
const LINE_COLUMNS = 120;

/** Signals that end the demo early. */
const STOP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** Exit code of a process that a second signal stopped on the spot, as shells count it (128 + SIGINT). */
const FORCED_EXIT = 130;

interface CommandOptions {
  readonly seconds: number;
  readonly rate: number;
  readonly seed?: number;
  readonly faults: boolean;
  readonly keep?: true;
  readonly json?: true;
  readonly provider: ProviderChoice;
  readonly dir: string;
}

function wholeNumber(minimum: number, maximum: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= minimum && value <= maximum) return value;
    throw new InvalidArgumentError(`expected a whole number from ${minimum} to ${maximum}.`);
  };
}

async function demo(options: CommandOptions): Promise<void> {
  const json = options.json === true;
  const seed = options.seed ?? randomInt(MAX_SEED);
  const began = performance.now();
  const board = new Board({
    seed,
    rate: options.rate,
    seconds: options.seconds,
    nowMs: () => performance.now() - began,
  });
  // The document has standard output to itself.
  const stream = json ? process.stderr : process.stdout;
  const controller = new AbortController();
  const onSignal = (signal: NodeJS.Signals): void => {
    if (controller.signal.aborted) process.exit(FORCED_EXIT);
    board.tell('note', `${signal}: stopping everything`);
    controller.abort(
      new DemoError('DEMO_INTERRUPTED', `the demo was ended by ${signal}`, 'Start it again: lockstep demo.'),
    );
  };
  for (const signal of STOP_SIGNALS) process.on(signal, onSignal);
  const screen = openScreen(board, stream);
  try {
    const outcome = await runDemo(
      {
        seconds: options.seconds,
        rate: options.rate,
        faults: options.faults,
        keep: options.keep === true,
        seed,
        provider: options.provider,
        dir: resolve(options.dir),
      },
      board,
      controller.signal,
    );
    screen.close();
    stream.write(outcomeText(outcome, stream.isTTY ? stream.columns : LINE_COLUMNS, paintFor(stream, process.env)));
    if (json) process.stdout.write(`${JSON.stringify(outcomeDocument(outcome))}\n`);
    if (outcomeVerdict(outcome) !== 'PASS') process.exitCode = EXIT.no;
  } finally {
    screen.close();
    for (const signal of STOP_SIGNALS) process.off(signal, onSignal);
  }
}

/** `lockstep demo`: exit 0 only where the proof is PASS. */
export function demoCommand(): Command {
  return new Command('demo')
    .description(
      'captures a live workload on a real Cassandra into PostgreSQL, injects faults and proves the end state',
    )
    .option('--seconds <n>', 'how long the workload runs', wholeNumber(1, MAX_SECONDS), DEFAULT_SECONDS)
    .option('--rate <n>', 'changes per second', wholeNumber(1, MAX_RATE), DEFAULT_RATE)
    .option('--seed <n>', 'makes the same choices as another demo with this seed', wholeNumber(0, MAX_SEED))
    .option('--no-faults', 'do not kill Lockstep, deliver records again or poison a topic')
    .option('--keep', 'go on with the data of the last demo, and leave them')
    .option('--json', 'print one JSON document on standard output, everything else on standard error')
    .addOption(
      new Option('--provider <name>', 'what the stack runs on')
        .choices(PROVIDER_CHOICES)
        .default('auto' satisfies ProviderChoice),
    )
    .option('--dir <dir>', 'directory of the stack', DEMO_DIR)
    .action(demo);
}
