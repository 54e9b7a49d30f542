import { userInfo } from 'node:os';
import CliTable from 'cli-table3';
import { Command, InvalidArgumentError, Option } from 'commander';
import { sourceTableName } from '../../catalog/static-table.ts';
import { DEFAULT_CONFIGURATION_FILE, loadConfiguration } from '../../config/index.ts';
import { withControlTables } from '../../operate/connect/command-pool.ts';
import { findingDocument } from '../../operate/end-state/report-document.ts';
import { createLogger } from '../../operate/telemetry/logger.ts';
import { FINDING_TYPES } from '../../reconcile/end-state/classify.ts';
import { LockstepError } from '../../shared/errors.ts';
import { FINDING_STATUSES, FindingStore, type Finding, type FindingStatus } from '../../target/stores/finding-store.ts';
import { ruleFindingDocument } from '../../operate/rules/rule-job.ts';
import { RuleFindingStore } from '../../target/stores/rule-finding-store.ts';
import { printRuleFindings } from '../rule-findings-table.ts';
import { EXIT } from '../exit-code.ts';
import { countArgument } from './arguments.ts';

interface FindingsOptions {
  readonly config?: string;
  readonly table?: string;
  readonly type?: string;
  readonly status?: FindingStatus;
  readonly job?: string;
  readonly limit: number;
  readonly json?: true;
}

const DEFAULT_LIMIT = 100;

function print(findings: readonly Finding[]): void {
  const table = new CliTable({
    head: ['id', 'table', 'row', 'type', 'cause', 'columns', 'status', 'seen', 'first seen (UTC)'],
    style: { head: [], border: [] },
  });
  for (const finding of findings) {
    table.push([
      String(finding.id),
      finding.table,
      finding.rowKey,
      finding.type,
      finding.cause,
      finding.columns.join(', '),
      finding.status,
      finding.seen,
      new Date(finding.firstSeenMs).toISOString().slice(0, 19),
    ]);
  }
  process.stdout.write(`${table.toString()}\n`);
  for (const { id, notes } of findings) if (notes !== null) process.stdout.write(`${id}: ${notes}\n`);
}

async function list(options: FindingsOptions): Promise<void> {
  const configuration = loadConfiguration({ path: options.config, env: process.env });
  await withControlTables(configuration, async (pool, controlSchema) => {
    const { table, type, status, job, limit } = options;
    const findings = await new FindingStore(pool, controlSchema).list({
      ...(table === undefined ? {} : { table }),
      ...(type === undefined ? {} : { type }),
      ...(status === undefined ? {} : { status }),
      ...(job === undefined ? {} : { jobId: job }),
      limit,
      offset: 0,
    });
    // What names a table, a type or a run of a comparison is not about rules.
    const ofRules =
      table === undefined && type === undefined && job === undefined
        ? await new RuleFindingStore(pool, controlSchema).list({ ...(status === undefined ? {} : { status }), limit })
        : [];
    if (options.json === true) {
      const document = { findings: findings.map(findingDocument), rule_findings: ofRules.map(ruleFindingDocument) };
      process.stdout.write(`${JSON.stringify(document)}\n`);
    } else {
      print(findings);
      if (ofRules.length > 0) printRuleFindings(ofRules);
    }
    if ([...findings, ...ofRules].some((finding) => finding.status === 'PENDING')) process.exitCode = EXIT.no;
  });
}

/** `lockstep reconcile findings`: exit 1 where one of those listed is still open. */
export function reconcileFindingsCommand(): Command {
  return new Command('findings')
    .description('differences that comparisons and business rules have proven, and what became of them')
    .option('-c, --config <file>', `configuration file (default ${DEFAULT_CONFIGURATION_FILE})`)
    .option('--table <keyspace.table>', 'only of this table')
    .addOption(new Option('--type <type>', 'only these').choices(FINDING_TYPES))
    .addOption(new Option('--status <status>', 'only these').choices(FINDING_STATUSES))
    .option('--job <id>', 'only those that this job saw last')
    .addOption(new Option('--limit <n>', 'newest findings at most').argParser(countArgument).default(DEFAULT_LIMIT))
    .option('--json', 'print one JSON document')
    .action(list);
}

interface UndoOptions {
  readonly config?: string;
  readonly reason: string;
  readonly json?: true;
}

/** The number of a finding. */
export function findingId(text: string): bigint {
  if (!/^[1-9]\d{0,17}$/.test(text)) throw new InvalidArgumentError('expected the number of a finding');
  return BigInt(text);
}

async function undo(id: bigint, options: UndoOptions): Promise<void> {
  const configuration = loadConfiguration({ path: options.config, env: process.env });
  const { openEndState } = await import('../../operate/end-state/open-end-state.ts');
  const { undoRepair } = await import('../../reconcile/end-state/undo-repair.ts');
  const { table } = await withControlTables(configuration, (pool, schema) => new FindingStore(pool, schema).load(id));
  const told = { onProgress: () => undefined, onLeft: () => undefined };
  const open = await openEndState(configuration, sourceTableName(table), told, createLogger({ level: 'warn' }));
  try {
    const { parts } = table === sourceTableName(table) ? open : (open.statics ?? open);
    const outcome = await patiently(() =>
      undoRepair({ ...parts, by: userInfo().username, reason: options.reason }, id),
    );
    if (options.json === true)
      process.stdout.write(`${JSON.stringify({ mismatch_id: Number(id), outcome: outcome.kind })}\n`);
    else {
      const said = {
        applied: 'taken back; the difference counts as accepted from now on',
        stale: 'the row has changed since the repair: nothing was written',
        review: outcome.kind === 'review' ? outcome.reason : '',
      };
      process.stdout.write(`${id}: ${said[outcome.kind]}\n`);
    }
    if (outcome.kind !== 'applied') process.exitCode = EXIT.no;
  } finally {
    await open.close();
  }
}

/** The stream may hold the table's gate for a moment. */
const GATE_ATTEMPTS = 50;

async function patiently<T>(attempt: () => Promise<T>): Promise<T> {
  for (let n = 1; ; n++) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof LockstepError) || error.code !== 'GATE_BUSY' || n === GATE_ATTEMPTS) throw error;
    }
  }
}

/** `lockstep reconcile undo ID`: exit 1 where the row has changed since. */
export function reconcileUndoCommand(): Command {
  return new Command('undo')
    .description('takes the repair of a finding back, if the row has not changed since')
    .argument('<finding>', 'number of the finding', findingId)
    .option('-c, --config <file>', `configuration file (default ${DEFAULT_CONFIGURATION_FILE})`)
    .requiredOption('--reason <text>', 'why; written to the audit log')
    .option('--json', 'print one JSON document')
    .action(undo);
}
