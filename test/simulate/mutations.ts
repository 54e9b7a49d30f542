/**
 * `npm run simulate:mutations`: is each deliberate fault of the list refuted, and by how many seeds? Exit code 0 only where
 * all are.
 */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Command } from 'commander';
import { MUTATIONS } from './mutation-list.ts';

const run = promisify(execFile);
/**
 * The rarest of the list needs tens of thousands: an old INSERT and a cell tombstone in one batch, over a row whose newer
 * marker has expired.
 */
const SEEDS = 50_000;

interface Found {
  readonly seed: number | null;
  readonly seeds: number;
  readonly invariant: string;
}

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/** The first seed that refutes the sources with that mutation, or as they are. */
async function firstRefuting(mutation: number | null, seeds: number): Promise<Found> {
  const hook = mutation === null ? [] : ['--import', here('mutate.ts')];
  const args = [...hook, here('simulate.ts'), '--json', '--until-refuted', '--threads', '1'];
  const env = { ...process.env, ...(mutation === null ? {} : { LOCKSTEP_MUTATION: String(mutation) }) };
  // Exit code 1 is the wish here.
  const { stdout, stderr } = await run(process.execPath, [...args, '--seeds', String(seeds)], { env }).catch(
    (error: unknown) => error as { stdout: string; stderr: string },
  );
  const line = stdout.trim();
  if (line === '') return { seed: null, seeds: 0, invariant: `it could not run: ${stderr.trim().slice(0, 300)}` };
  const report = JSON.parse(line) as { seeds: number; refuted: number[]; stories: { invariant: string }[] };
  return { seed: report.refuted[0] ?? null, seeds: report.seeds, invariant: report.stories[0]?.invariant ?? '' };
}

async function main({ seeds, only }: { seeds: number; only?: string }): Promise<void> {
  let missed = 0;
  let tried = 0;
  let mostSeeds = 1;
  for (const [i, { name }] of MUTATIONS.entries()) {
    if (only !== undefined && !name.includes(only)) continue;
    tried += 1;
    const found = await firstRefuting(i, seeds);
    if (found.seed === null) missed += 1;
    else mostSeeds = Math.max(mostSeeds, found.seeds);
    const verdict =
      found.seed === null
        ? `NOT FOUND in ${found.seeds} seeds ${found.invariant}`
        : `found by seed ${found.seed}, the ${found.seeds}. tried (${found.invariant})`;
    process.stdout.write(`${name}: ${verdict}\n`);
  }
  process.stdout.write(`${tried - missed} of ${tried} mutations found\n`);
  // A seed that refutes the sources as they are says nothing about any mutation.
  const plain = await firstRefuting(null, mostSeeds);
  process.stdout.write(
    `${plain.seeds} seeds without a mutation: ${plain.seed === null ? 'PASS' : `refuted by seed ${plain.seed}`}\n`,
  );
  process.exitCode = missed === 0 && tried > 0 && plain.seed === null && plain.seeds === mostSeeds ? 0 : 1;
}

await new Command('simulate:mutations')
  .description('deliberate faults, one line each: does the simulation find them?')
  .option('--seeds <n>', 'at most so many seeds a mutation', Number, SEEDS)
  .option('--only <text>', 'mutations whose name contains it')
  .action(main)
  .parseAsync();
