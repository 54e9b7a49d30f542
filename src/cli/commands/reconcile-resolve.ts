import { readFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { Command, InvalidArgumentError, Option } from 'commander';
import { sourceTableName } from '../../catalog/static-table.ts';
import { DEFAULT_CONFIGURATION_FILE, loadConfiguration, type Configuration } from '../../config/index.ts';
import { withControlTables } from '../../operate/connect/command-pool.ts';
import { findingDocument } from '../../operate/end-state/report-document.ts';
import {
  ACTIONS,
  CLOSED_AS,
  findingRef,
  resolveByHand,
  type Decision,
  type FindingRef,
  type Resolved,
  type ResolveSystems,
} from '../../operate/end-state/resolve-by-hand.ts';
import { createLogger } from '../../operate/telemetry/logger.ts';
import { ruleFindingDocument } from '../../operate/rules/rule-job.ts';
import type { Correction } from '../../reconcile/end-state/corrected-row.ts';
import { LockstepError, messageOf } from '../../shared/errors.ts';
import { FindingDecisions } from '../../target/stores/finding-decisions.ts';
import { FindingStore } from '../../target/stores/finding-store.ts';
import type { ImageDocument } from '../../target/observation-document.ts';
import { RuleFindingStore } from '../../target/stores/rule-finding-store.ts';
import { EXIT } from '../exit-code.ts';

interface ResolveOptions {
  readonly config?: string;
  readonly action?: (typeof ACTIONS)[number];
  readonly status?: (typeof CLOSED_AS)[number];
  readonly why: string;
  readonly patch?: string;
  readonly dryRun?: true;
  readonly json?: true;
}

/** The number of a finding, or `rule-` and that of a rule's. */
function refArgument(text: string): FindingRef {
  const ref = findingRef(text);
  if (ref === null) throw new InvalidArgumentError('expected the number of a finding, or rule-N');
  return ref;
}

function usage(message: string, remedy: string): LockstepError {
  return new LockstepError(message, { code: 'RESOLVE_USAGE', kind: 'usage', remedy });
}

// Newer than the library types of ES2023, present in every supported Node (≥ 22.18).
const json = JSON as unknown as {
  parse(
    text: string,
    reviver: (key: string, value: unknown, context: { readonly source?: string }) => unknown,
  ): unknown;
  rawJSON(text: string): unknown;
};

/** A correction as the file has it, its numbers with all their digits. */
async function readCorrection(file: string): Promise<Correction> {
  const remedy = 'write a JSON object from column to value, such as {"total": "12.50"}, or null for "no row"';
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw usage(`the patch ${file} can't be read: ${messageOf(error)}`, remedy);
  }
  let document: unknown;
  try {
    document = json.parse(text, (_key, value, { source }) =>
      typeof value === 'number' ? json.rawJSON(source ?? String(value)) : value,
    );
  } catch (error) {
    throw usage(`the patch ${file} is no JSON: ${messageOf(error)}`, remedy);
  }
  if (document === null) return null;
  if (typeof document !== 'object' || Array.isArray(document)) throw usage(`the patch ${file} is no object`, remedy);
  return document as Correction;
}

async function decisionOf({ action, status, patch }: ResolveOptions): Promise<Decision> {
  if ((action === undefined) === (status === undefined)) {
    throw usage(
      'give either --action or --status',
      `--action ${ACTIONS.join('|')}, or --status ${CLOSED_AS.join('|')}`,
    );
  }
  if ((action === 'CUSTOM_FIX') !== (patch !== undefined)) {
    throw usage(
      '--action CUSTOM_FIX needs --patch FILE, and nothing else takes one',
      'see lockstep reconcile resolve --help',
    );
  }
  if (action === 'CUSTOM_FIX') return { action, value: await readCorrection(patch ?? '') };
  if (action !== undefined) return { action };
  return { status: status ?? 'MANUAL_RESOLVED' };
}

/** Opens the source and Kafka only where a row is to be written. */
const opening =
  (configuration: Configuration): ResolveSystems['withParts'] =>
  async (table, work) => {
    const { openEndState } = await import('../../operate/end-state/open-end-state.ts');
    const told = { onProgress: () => undefined, onLeft: () => undefined };
    const open = await openEndState(configuration, sourceTableName(table), told, createLogger({ level: 'warn' }));
    try {
      const { parts } = table === sourceTableName(table) ? open : (open.statics ?? open);
      return await work(parts);
    } finally {
      await open.close();
    }
  };

const rowText = (row: ImageDocument | null): string =>
  row === null
    ? 'no row'
    : JSON.stringify(Object.fromEntries(Object.entries(row.columns).map(([name, { value }]) => [name, value])));

function print(id: string, { outcome, finding }: Resolved, dryRun: boolean): void {
  const status = finding.of === 'row' ? finding.row.status : finding.rule.status;
  const would = dryRun ? 'would be ' : '';
  switch (outcome.kind) {
    case 'applied':
      process.stdout.write(
        `${id}: ${would}repaired\n  was ${rowText(outcome.before)}\n  ${dryRun ? 'would be' : 'is'}  ${rowText(outcome.after)}\n`,
      );
      if (!dryRun) process.stdout.write(`  lockstep reconcile undo ${id} --reason … takes it back\n`);
      break;
    case 'equal':
      process.stdout.write(`${id}: the row shows what the source has; ${would}closed\n`);
      break;
    case 'closed':
      process.stdout.write(dryRun ? `${id}: would be closed\n` : `${id}: ${status}\n`);
      break;
    case 'stale':
    case 'refused':
      process.stdout.write(`${id}: ${outcome.reason}\n  remedy: ${outcome.remedy}\n`);
      break;
  }
}

async function resolve(ref: FindingRef, options: ResolveOptions): Promise<void> {
  const decision = await decisionOf(options);
  const configuration = loadConfiguration({ path: options.config, env: process.env });
  const hand = { by: userInfo().username, why: options.why, dryRun: options.dryRun === true };
  const resolved = await withControlTables(configuration, (pool, schema) => {
    const systems: ResolveSystems = {
      findings: new FindingStore(pool, schema),
      decisions: new FindingDecisions(pool, schema),
      ruleFindings: new RuleFindingStore(pool, schema),
      reconciliation: configuration.reconciliation,
      withParts: opening(configuration),
    };
    return resolveByHand(systems, ref, decision, hand, new AbortController().signal);
  });
  const { outcome, finding } = resolved;
  if (options.json === true) {
    const document = {
      outcome: outcome.kind,
      dry_run: hand.dryRun,
      ...('reason' in outcome ? { reason: outcome.reason, remedy: outcome.remedy } : {}),
      before: outcome.kind === 'applied' ? outcome.before : null,
      after: outcome.kind === 'applied' ? outcome.after : null,
      mismatch: finding.of === 'row' ? findingDocument(finding.row) : null,
      rule_finding: finding.of === 'rule' ? ruleFindingDocument(finding.rule) : null,
    };
    process.stdout.write(`${JSON.stringify(document)}\n`);
  } else print(`${ref.of === 'rule' ? 'rule-' : ''}${ref.id}`, resolved, hand.dryRun);
  if (outcome.kind === 'stale' || outcome.kind === 'refused') process.exitCode = EXIT.no;
}

/** `lockstep reconcile resolve ID`: exit 1 where the row has changed since, or the action does not fit. */
export function reconcileResolveCommand(): Command {
  return new Command('resolve')
    .description('decides what becomes of a finding')
    .argument('<finding>', 'number of the finding; rule-N for one of a business rule', refArgument)
    .option('-c, --config <file>', `configuration file (default ${DEFAULT_CONFIGURATION_FILE})`)
    .addOption(
      new Option(
        '--action <action>',
        'APPLY_SOURCE reads the source again and repairs; KEEP_TARGET accepts the difference while both sides look the same; CUSTOM_FIX writes --patch',
      ).choices(ACTIONS),
    )
    .addOption(
      new Option('--status <status>', 'close it and write no row: dealt with elsewhere, or accepted').choices(
        CLOSED_AS,
      ),
    )
    .requiredOption('--why <text>', 'why; kept with the finding and in the audit log')
    .option('--patch <file>', 'CUSTOM_FIX: JSON object from column to value; null: the row is to be gone')
    .option('--dry-run', 'tell what would happen; write nothing')
    .option('--json', 'print one JSON document')
    .action(resolve);
}
