/** A person's decision about a finding, of a row or of a business rule: whoever asks, and however the systems were opened. */
import { sourceTableName } from '../../catalog/static-table.ts';
import type { Configuration } from '../../config/index.ts';
import { repairModeOf } from '../jobs/repair-mode.ts';
import type { Correction } from '../../reconcile/end-state/corrected-row.ts';
import {
  applyCorrection,
  applySource,
  type ByHand,
  type ResolveParts,
} from '../../reconcile/end-state/resolve-finding.ts';
import {
  alreadyResolved,
  COUNTERS_STAY,
  refused,
  type ResolveOutcome,
} from '../../reconcile/end-state/resolve-outcome.ts';
import type { FindingDecisions } from '../../target/stores/finding-decisions.ts';
import type { Finding, FindingStatus, FindingStore } from '../../target/stores/finding-store.ts';
import type { RuleFinding, RuleFindingStore } from '../../target/stores/rule-finding-store.ts';

export const ACTIONS = ['APPLY_SOURCE', 'KEEP_TARGET', 'CUSTOM_FIX'] as const;
/** Statuses that a person may give to a finding without touching its row. */
export const CLOSED_AS = ['MANUAL_RESOLVED', 'IGNORED'] as const;

export type Decision =
  | { readonly action: 'APPLY_SOURCE' | 'KEEP_TARGET' }
  | { readonly action: 'CUSTOM_FIX'; readonly value: Correction }
  | { readonly status: (typeof CLOSED_AS)[number] };

/** Findings of rules are numbered by themselves, so their numbers are written `rule-7`. */
export interface FindingRef {
  readonly of: 'row' | 'rule';
  readonly id: bigint;
}

export const FINDING_REF = /^(rule-)?([1-9]\d{0,17})$/;

/** Null where the text is none. */
export function findingRef(text: string): FindingRef | null {
  const [, rule, number] = FINDING_REF.exec(text) ?? [];
  return number === undefined ? null : { of: rule === undefined ? 'row' : 'rule', id: BigInt(number) };
}

export interface ResolveSystems {
  readonly findings: Pick<FindingStore, 'load'>;
  readonly decisions: FindingDecisions;
  readonly ruleFindings: Pick<RuleFindingStore, 'load' | 'resolve'>;
  readonly reconciliation: Pick<Configuration['reconciliation'], 'repair' | 'counters'>;
  /** Does work with what repairs of a table need, which may have to be opened. */
  withParts<T>(table: string, work: (parts: Omit<ResolveParts, 'decisions'>) => Promise<T>): Promise<T>;
}

export interface Resolved {
  readonly outcome: ResolveOutcome;
  /** As it is now. */
  readonly finding: { readonly of: 'row'; readonly row: Finding } | { readonly of: 'rule'; readonly rule: RuleFinding };
}

interface Closing {
  readonly status: (typeof CLOSED_AS)[number];
  readonly action: (typeof CLOSED_AS)[number] | 'KEEP_TARGET';
}

function closingOf(decision: Decision): Closing | null {
  if ('status' in decision) return { status: decision.status, action: decision.status };
  return decision.action === 'KEEP_TARGET' ? { status: 'IGNORED', action: 'KEEP_TARGET' } : null;
}

/** Whether a finding may still be closed like that: one that is accepted may be dealt with, but not accepted once more. */
function isOpenFor(status: FindingStatus, closing: Closing | null): boolean {
  return status === 'PENDING' || (status === 'IGNORED' && closing?.status !== 'IGNORED');
}

/** Why rows of a table are not written by anybody here, or null. */
function neverWritten(reconciliation: ResolveSystems['reconciliation'], table: string): ResolveOutcome | null {
  if (reconciliation.counters.some(({ source }) => source === table)) return COUNTERS_STAY;
  if (repairModeOf(reconciliation, table) !== 'off') return null;
  return refused(
    `the repair mode of ${table} is off`,
    `set reconciliation.repair.mode or .tables: {${table}: …} to review; findings may be closed all the same`,
  );
}

async function resolveRow(
  systems: ResolveSystems,
  id: bigint,
  decision: Decision,
  hand: ByHand,
  signal: AbortSignal,
): Promise<ResolveOutcome> {
  const { findings, decisions } = systems;
  const finding = await findings.load(id);
  const closing = closingOf(decision);
  if (!isOpenFor(finding.status, closing)) throw alreadyResolved(finding);
  if (closing !== null) {
    if (hand.dryRun) return { kind: 'closed' };
    if (await decisions.close(id, { ...closing, by: hand.by, notes: hand.why })) return { kind: 'closed' };
    throw alreadyResolved(await findings.load(id));
  }
  const unfit = neverWritten(systems.reconciliation, sourceTableName(finding.table));
  if (unfit !== null) return unfit;
  return systems.withParts(finding.table, (opened) => {
    const parts = { ...opened, decisions };
    return 'action' in decision && decision.action === 'CUSTOM_FIX'
      ? applyCorrection(parts, finding, decision.value, hand, signal)
      : applySource(parts, finding, hand, signal);
  });
}

async function resolveRule(
  { ruleFindings }: ResolveSystems,
  id: bigint,
  decision: Decision,
  { by, why, dryRun }: ByHand,
): Promise<ResolveOutcome> {
  const finding = await ruleFindings.load(id);
  const closing = closingOf(decision);
  if (!isOpenFor(finding.status, closing)) throw alreadyResolved(finding);
  if (closing === null) {
    return refused(
      'a business rule is about sums of many rows, so there is no row to write',
      'compare the tables that it reads and resolve what differs there; KEEP_TARGET accepts this difference',
    );
  }
  if (!dryRun) await ruleFindings.resolve(id, closing.status, by, why);
  return { kind: 'closed' };
}

/**
 * @throws LockstepError (usage) `FINDING_UNKNOWN`, `RULE_FINDING_UNKNOWN`, `FINDING_RESOLVED`, `CORRECTION_INVALID`, or
 * `TABLE_UNKNOWN` where the configuration has its table no more; `transient` where a system does not answer.
 */
export async function resolveByHand(
  systems: ResolveSystems,
  { of, id }: FindingRef,
  decision: Decision,
  hand: ByHand,
  signal: AbortSignal,
): Promise<Resolved> {
  if (of === 'rule') {
    const outcome = await resolveRule(systems, id, decision, hand);
    return { outcome, finding: { of, rule: await systems.ruleFindings.load(id) } };
  }
  const outcome = await resolveRow(systems, id, decision, hand, signal);
  return { outcome, finding: { of, row: await systems.findings.load(id) } };
}
