import { userInfo } from 'node:os';
import { Command, Option } from 'commander';
import { DEFAULT_CONFIGURATION_FILE, loadConfiguration, type Configuration } from '../../config/index.ts';
import { withControlTables } from '../../operate/connect/command-pool.ts';
import { createLogger } from '../../operate/telemetry/logger.ts';
import { ruleFindingDocument } from '../../operate/rules/rule-job.ts';
import { ruleNamed, rulesOf } from '../../operate/rules/rules-of.ts';
import { LockstepError, messageOf } from '../../shared/errors.ts';
import { RuleFindingStore } from '../../target/stores/rule-finding-store.ts';
import { printRuleFindings, valuesText } from '../rule-findings-table.ts';
import { EXIT } from '../exit-code.ts';
import { countArgument } from './arguments.ts';
import { findingId } from './reconcile-findings.ts';

interface RulesOptions {
  readonly config?: string;
  readonly rule?: string;
  readonly findings?: true;
  readonly accept?: bigint;
  readonly reason?: string;
  readonly limit: number;
  readonly json?: true;
}

type Outcome = Readonly<Record<string, unknown>>;

const DEFAULT_LIMIT = 100;
/** Mismatches that are printed for a rule; all of them are findings. */
const PRINTED = 20;

function printOutcome(outcome: Outcome): void {
  const { rule, verdict, error } = outcome as { rule: string; verdict: string | null; error?: string };
  if (verdict === null) {
    process.stdout.write(`${rule}: FAILED: ${error ?? ''}\n`);
    return;
  }
  const {
    reasons,
    mismatches,
    cassandra_keys: source,
    postgres_keys: target,
  } = outcome as unknown as {
    reasons: readonly string[];
    mismatches: readonly Outcome[];
    cassandra_keys: number;
    postgres_keys: number;
  };
  const lines = [
    `${rule}: ${[verdict, ...reasons].join('; ')} (${source} keys in the source, ${target} in the target)`,
    ...mismatches
      .slice(0, PRINTED)
      .map(
        (each) =>
          `  ${String(each['mismatch_type'])} ${String(each['key'])}: source ${valuesText(each['cassandra_values'])}, target ${valuesText(each['postgres_values'])}`,
      ),
  ];
  if (mismatches.length > PRINTED) lines.push('  … lockstep reconcile rules --findings lists them');
  process.stdout.write(`${lines.join('\n')}\n`);
}

/** Runs rules one after the other; one that fails does not keep the others from running. */
async function runThem(configuration: Configuration, options: RulesOptions): Promise<void> {
  const all = rulesOf(configuration);
  const rules = options.rule === undefined ? all : [ruleNamed(all, options.rule)];
  if (rules.length === 0) {
    throw new LockstepError('the configuration has no rules', {
      code: 'RULE_UNKNOWN',
      kind: 'usage',
      remedy: 'add one under reconciliation.rules',
    });
  }
  // Clients of three systems are loaded only where rules run.
  const { openRules } = await import('../../operate/rules/open-rules.ts');
  const { runRuleJob } = await import('../../operate/rules/rule-job.ts');
  const stop = new AbortController();
  const onSignal = (): void => stop.abort(new Error('interrupted'));
  process.once('SIGINT', onSignal);
  process.once('SIGTERM', onSignal);
  const open = await openRules(configuration, createLogger({ level: 'warn' }));
  const outcomes: Outcome[] = [];
  try {
    for (const rule of rules) {
      let outcome: Outcome;
      try {
        outcome = (await runRuleJob(open.runOf(rule), rule, userInfo().username, stop.signal)).document;
      } catch (error) {
        if (stop.signal.aborted || !(error instanceof LockstepError)) throw error;
        const { code, remedy = null } = error;
        outcome = { rule: rule.name, severity: rule.severity, verdict: null, error: messageOf(error), code, remedy };
      }
      outcomes.push(outcome);
      if (options.json !== true) printOutcome(outcome);
    }
    if (options.json === true) process.stdout.write(`${JSON.stringify({ rules: outcomes })}\n`);
    if (outcomes.some(({ verdict }) => verdict !== 'PASS')) process.exitCode = EXIT.no;
  } finally {
    process.off('SIGINT', onSignal);
    process.off('SIGTERM', onSignal);
    await open.close();
  }
}

async function listFindings(configuration: Configuration, { rule, limit, json }: RulesOptions): Promise<void> {
  await withControlTables(configuration, async (pool, schema) => {
    const findings = await new RuleFindingStore(pool, schema).list({ ...(rule === undefined ? {} : { rule }), limit });
    if (json === true) process.stdout.write(`${JSON.stringify({ findings: findings.map(ruleFindingDocument) })}\n`);
    else printRuleFindings(findings);
    if (findings.some(({ status }) => status === 'PENDING')) process.exitCode = EXIT.no;
  });
}

async function accept(configuration: Configuration, id: bigint, { reason, json }: RulesOptions): Promise<void> {
  if (reason === undefined) {
    throw new LockstepError('--accept needs --reason', {
      code: 'REASON_MISSING',
      kind: 'usage',
      remedy: 'say why the difference may stay: --reason TEXT',
    });
  }
  await withControlTables(configuration, async (pool, schema) => {
    const finding = await new RuleFindingStore(pool, schema).resolve(id, 'IGNORED', userInfo().username, reason);
    const text =
      json === true
        ? JSON.stringify(ruleFindingDocument(finding))
        : `${finding.rule} ${finding.key}: accepted while both sides say the same`;
    process.stdout.write(`${text}\n`);
  });
}

async function run(options: RulesOptions): Promise<void> {
  const configuration = loadConfiguration({ path: options.config, env: process.env });
  if (options.accept !== undefined) await accept(configuration, options.accept, options);
  else if (options.findings === true) await listFindings(configuration, options);
  else await runThem(configuration, options);
}

/** `lockstep reconcile rules`: exit 0 only where every rule passes. */
export function reconcileRulesCommand(): Command {
  return new Command('rules')
    .description('runs business rules: aggregates that source and target must agree on')
    .option('-c, --config <file>', `configuration file (default ${DEFAULT_CONFIGURATION_FILE})`)
    .option('--rule <name>', 'only this rule')
    .option('--findings', 'list what runs have found instead of running')
    .addOption(new Option('--accept <id>', 'accept a finding while both sides say the same').argParser(findingId))
    .option('--reason <text>', 'why it is accepted')
    .addOption(new Option('--limit <n>', 'newest findings at most').argParser(countArgument).default(DEFAULT_LIMIT))
    .option('--json', 'print one JSON document')
    .action(run);
}
