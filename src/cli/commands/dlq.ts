import { Command } from 'commander';
import { dlqDiscardCommand } from './dlq-discard.ts';
import { dlqListCommand } from './dlq-list.ts';
import { dlqRedriveCommand } from './dlq-redrive.ts';
import { dlqShowCommand } from './dlq-show.ts';
import { dlqStatsCommand } from './dlq-stats.ts';

/** `lockstep dlq …`: what was set aside, why, through the door again, or left for good. */
export function dlqCommand(): Command {
  return new Command('dlq')
    .description('dead letters: list, show, count, redrive, discard')
    .addCommand(dlqListCommand())
    .addCommand(dlqShowCommand())
    .addCommand(dlqStatsCommand())
    .addCommand(dlqRedriveCommand())
    .addCommand(dlqDiscardCommand());
}
