import { userInfo } from 'node:os';
import { Command } from 'commander';
import { loadConfiguration } from '../../config/index.ts';
import { EXIT } from '../exit-code.ts';
import { textArgument } from './arguments.ts';
import { printJson } from './dlq-context.ts';
import { addFilterOptions, filterOf, type FilterOptions } from './letter-options.ts';

interface DiscardOptions extends FilterOptions {
  readonly why: string;
  readonly dryRun?: true;
}

async function discard(options: DiscardOptions): Promise<void> {
  const configuration = loadConfiguration({ path: options.config, env: process.env });
  const { withControlTables } = await import('../../operate/connect/command-pool.ts');
  const { discardLetters } = await import('../../deadletter/discard-letters.ts');
  const dryRun = options.dryRun === true;
  const decision = { by: userInfo().username, why: options.why, dryRun };
  const discarded = await withControlTables(configuration, (pool, schema) =>
    discardLetters(pool, schema, filterOf(options), decision),
  );
  if (options.json === true) printJson({ discarded, dry_run: dryRun });
  else
    process.stdout.write(
      `${discarded} open ${discarded === 1 ? 'letter' : 'letters'} ${dryRun ? 'would be ' : ''}discarded\n`,
    );
  if (discarded === 0) process.exitCode = EXIT.no;
}

/** `lockstep dlq discard`: exit 1 where no open letter is meant. */
export function dlqDiscardCommand(): Command {
  return addFilterOptions(
    new Command('discard').description('leaves dead letters for good: they are open no more, and stay listed'),
  )
    .requiredOption('--why <text>', 'why; kept with the letters and in the audit log', textArgument)
    .option('--dry-run', 'tell how many; write nothing')
    .action(discard);
}
