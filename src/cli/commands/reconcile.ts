import { Command } from 'commander';
import { reconcileFindingsCommand, reconcileUndoCommand } from './reconcile-findings.ts';
import { reconcileResolveCommand } from './reconcile-resolve.ts';
import { reconcileReportCommand } from './reconcile-report.ts';
import { reconcileRulesCommand } from './reconcile-rules.ts';
import { reconcileRunCommand } from './reconcile-run.ts';
import { reconcileWindowsCommand } from './reconcile-windows.ts';

/** `lockstep reconcile …`: is the target what the source is, and did every change arrive? */
export function reconcileCommand(): Command {
  return new Command('reconcile')
    .description('compares the target with its source')
    .addCommand(reconcileRunCommand())
    .addCommand(reconcileFindingsCommand())
    .addCommand(reconcileResolveCommand())
    .addCommand(reconcileUndoCommand())
    .addCommand(reconcileWindowsCommand())
    .addCommand(reconcileReportCommand())
    .addCommand(reconcileRulesCommand());
}
