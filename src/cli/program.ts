import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { doctorCommand } from './commands/doctor.ts';
import { runCommand } from './commands/run.ts';

/** Version of the package, from the package.json beside `src/` or `dist/`. */
function packageVersion(): string {
  const text = readFileSync(join(import.meta.dirname, '..', '..', 'package.json'), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

/** Ways of a command and all below it: errors are thrown, not exited on, and the way to help is shown. */
function throwErrors(command: Command): void {
  command.exitOverride().showHelpAfterError('Run with --help for usage.');
  for (const child of command.commands) throwErrors(child);
}

/** The command line. Every command of Lockstep is mounted here and nowhere else. */
export function createProgram(): Command {
  const program = new Command('lockstep')
    .description('Keeps PostgreSQL tables provably in step with the Cassandra tables they are captured from.')
    .version(packageVersion())
    .addCommand(runCommand())
    .addCommand(doctorCommand());
  throwErrors(program);
  return program;
}
