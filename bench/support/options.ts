/** Command line of the benchmark. */
import { parseArgs } from 'node:util';

export interface BenchOptions {
  readonly events: number;
  readonly rows: number;
  readonly partitions: number;
  readonly seed: number;
  readonly repeat: number;
  readonly peer: boolean;
  readonly latency: boolean;
  /** Directory that keeps a CPU profile of the service. */
  readonly profileDir: string | null;
  readonly json: boolean;
  /** Another build of the service: path of its main module. */
  readonly program: string | null;
}

export const USAGE = `usage: npm run bench:apply -- [options]
  --events N       changes to apply (1000000)
  --rows N         rows that they belong to (500000); each is inserted, then updated in random order
  --partitions N   partitions of the topic (4)
  --seed N         of the generated values and their order (1)
  --repeat N       runs of each applier, in turn; medians are printed (1)
  --no-peer        without the JDBC sink and the hand-written sink
  --no-latency     without the run at 1,000 changes/s
  --profile DIR    keeps a CPU profile of the service in DIR and prints it; no peers, no latency, one run
  --program FILE   measures another build's main.js instead of this checkout's dist/
  --json           one JSON document on standard output`;

function count(name: string, text: string, minimum = 1): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < minimum)
    throw new TypeError(`--${name} must be a whole number from ${minimum}, not ${text}`);
  return value;
}

/** Throws a TypeError for wrong usage. */
export function parseOptions(args: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      events: { type: 'string', default: '1000000' },
      rows: { type: 'string', default: '500000' },
      partitions: { type: 'string', default: '4' },
      seed: { type: 'string', default: '1' },
      repeat: { type: 'string', default: '1' },
      'no-peer': { type: 'boolean', default: false },
      'no-latency': { type: 'boolean', default: false },
      profile: { type: 'string' },
      program: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  const events = count('events', values.events);
  const rows = count('rows', values.rows);
  if (events < rows) throw new TypeError(`--events ${events} is less than --rows ${rows}: every row is inserted once`);
  const profileDir = values.profile ?? null;
  return {
    events,
    rows,
    partitions: count('partitions', values.partitions),
    seed: count('seed', values.seed, 0),
    repeat: profileDir === null ? count('repeat', values.repeat) : 1,
    peer: !values['no-peer'] && profileDir === null,
    latency: !values['no-latency'] && profileDir === null,
    profileDir,
    json: values.json,
    program: values.program ?? null,
  };
}
