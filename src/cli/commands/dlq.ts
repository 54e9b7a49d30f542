import { Command } from 'commander';
import { dlqListCommand, dlqShowCommand, dlqStatsCommand } from './dlq-look.ts';
import { dlqRedriveCommand } from './dlq-redrive.ts';

/** `lockstep dlq …`: what was set aside, why, and through the door again. */
export function dlqCommand(): Command {
  return new Command('dlq')
    .description('dead letters: list, show, count, redrive')
    .addCommand(dlqListCommand())
    .addCommand(dlqShowCommand())
    .addCommand(dlqStatsCommand())
    .addCommand(dlqRedriveCommand());
}
