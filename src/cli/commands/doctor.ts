import { Command } from 'commander';
import { DEFAULT_CONFIGURATION_FILE } from '../../config/index.ts';
import type { CheckResult, CheckStatus, Diagnosis } from '../../operate/doctor/check.ts';
import { EXIT } from '../exit-code.ts';

const SIGNS: Readonly<Record<CheckStatus, string>> = { ok: 'ok  ', warn: 'WARN', fault: 'FAIL', skipped: 'skip' };

/** One check as text: sign, question, subject, what was found, what to do. */
function resultText({ id, status, subject, found, remedy }: CheckResult): string {
  const about = subject === null ? '' : ` ${subject}`;
  return `${SIGNS[status]}  ${id}${about}: ${found}${remedy === null ? '' : `\n      remedy: ${remedy}`}`;
}

function summaryText({ checks }: Diagnosis): string {
  const count = (status: CheckStatus) => checks.filter((check) => check.status === status).length;
  return `${count('ok')} ok, ${count('warn')} warnings, ${count('fault')} faults, ${count('skipped')} skipped`;
}

/** `lockstep doctor`: exit 0 without a fault, else 1. */
export function doctorCommand(): Command {
  return new Command('doctor')
    .description('checks configuration, connections, privileges, topics, the capture agent and table mappings')
    .option('-c, --config <file>', `configuration file (default ${DEFAULT_CONFIGURATION_FILE})`)
    .option('--json', 'print one JSON document')
    .action(async (options: { config?: string; json?: true }) => {
      const json = options.json === true;
      // Clients of three systems are loaded for this command only; the others start quicker without.
      const { diagnose } = await import('../../operate/doctor/diagnose.ts');
      const diagnosis = await diagnose({ path: options.config, env: process.env });
      const text = json
        ? JSON.stringify(diagnosis)
        : [...diagnosis.checks.map(resultText), '', summaryText(diagnosis)].join('\n');
      process.stdout.write(`${text}\n`);
      if (!diagnosis.ok) process.exitCode = EXIT.no;
    });
}
