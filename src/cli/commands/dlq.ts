import { Command } from 'commander';
import { dlqListCommand } from './dlq-list.ts';
import { dlqRedriveCommand } from './dlq-redrive.ts';
import { dlqShowCommand } from './dlq-show.ts';
import { dlqStatsCommand } from './dlq-stats.ts';

/** `lockstep dlq …`: what was set aside, why, and through the door again. */
export function dlqCommand(): Command {
  return new Command('dlq')
    .description('dead letters: list, show, count, redrive')
    .addCommand(dlqListCommand())
    .addCommand(dlqShowCommand())
    .addCommand(dlqStatsCommand())
    .addCommand(dlqRedriveCommand());
}
