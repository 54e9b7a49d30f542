import { Command } from 'commander';
import { packageVersion } from '../operate/service/package-version.ts';
import { backfillCommand } from './commands/backfill.ts';
import { demoCommand } from './commands/demo.ts';
import { dlqCommand } from './commands/dlq.ts';
import { doctorCommand } from './commands/doctor.ts';
import { ledgerCommand } from './commands/ledger.ts';
import { reconcileCommand } from './commands/reconcile.ts';
import { runCommand } from './commands/run.ts';
import { schemaCommand } from './commands/schema.ts';
import { shardsCommand } from './commands/shards.ts';
import { stackCommand } from './commands/stack.ts';

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
    .addCommand(doctorCommand())
    .addCommand(schemaCommand())
    .addCommand(backfillCommand())
    .addCommand(dlqCommand())
    .addCommand(reconcileCommand())
    .addCommand(shardsCommand())
    .addCommand(ledgerCommand())
    .addCommand(stackCommand())
    .addCommand(demoCommand());
  throwErrors(program);
  return program;
}
