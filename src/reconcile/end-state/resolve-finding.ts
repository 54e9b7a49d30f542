/**
 * A person's decision about one finding (DESIGN §7): the source's row, or a corrected one, is put in place of exactly what
 * was observed, in the order that every repair keeps: observe target → barrier → read source → compare-and-set. Nothing is
 * written where the row moved meanwhile, or where somebody else has resolved the finding.
 */
import { rowKey, type RowKey } from '../../change/change-event.ts';
import { LockstepError, messageOf } from '../../shared/errors.ts';
import type { AuditEntry } from '../../target/stores/audit-log.ts';
import type { ShardId } from '../../target/batch.ts';
import type { FindingDecisions } from '../../target/stores/finding-decisions.ts';
import type { Finding, FindingStore } from '../../target/stores/finding-store.ts';
import { observationDocument } from '../../target/observation-document.ts';
import type { Pacing } from '../../target/paced-door.ts';
import type { RepairDoor, RepairOf, RepairOutcome, RepairSession } from '../../target/repair-door.ts';
import type { Observation } from '../../target/row-observation.ts';
import type { Statement } from '../../target/transaction.ts';
import { classify } from './classify.ts';
import { compareRows } from './compare-rows.ts';
import { correctedRow, correctedValues, type Correction } from './corrected-row.ts';
import { findingOf } from './finding-of-drift.ts';
import { proveSuspects, type ProofParts } from './prove-suspects.ts';
import { needsReview } from './repair-drift.ts';
import {
  alreadyResolved,
  CHANGED,
  COUNTERS_STAY,
  EXHAUSTED,
  IN_SOURCE,
  LATER,
  refused,
  stale,
  type ResolveOutcome,
} from './resolve-outcome.ts';
import type { SourceImage } from './row-images.ts';

/** The stream may hold the table's gate for a moment; a person waits. */
const GATE_ATTEMPTS = 50;
const BUSY_MS = 50;

export interface ResolveParts extends Omit<ProofParts, 'session' | 'captured'> {
  readonly repairs: Pick<RepairDoor, 'session'>;
  readonly findings: Pick<FindingStore, 'resolved'>;
  readonly decisions: Pick<FindingDecisions, 'openFinding' | 'accepted' | 'close'>;
  readonly audit: (entry: AuditEntry) => Statement;
  readonly shard: ShardId;
  readonly quorumReads: boolean;
  readonly pacing: Pacing;
}

export interface ByHand {
  readonly by: string;
  readonly why: string;
  /** Tells what would happen; writes nothing. */
  readonly dryRun: boolean;
}

class Resolving {
  readonly #parts: ResolveParts;
  readonly #finding: Finding;
  readonly #hand: ByHand;
  readonly #signal: AbortSignal;
  readonly key: RowKey;

  constructor(parts: ResolveParts, finding: Finding, hand: ByHand, signal: AbortSignal) {
    this.#parts = parts;
    this.#finding = finding;
    this.#hand = hand;
    this.#signal = signal;
    this.key = rowKey(JSON.parse(finding.rowKey) as string[]);
  }

  /** Why this finding is about no single row, or one that is never written; null where it may be. */
  unfit(): ResolveOutcome | null {
    const { table } = this.#parts;
    if (table.table.ofCounters === true) return COUNTERS_STAY;
    if (this.key.values.length === table.keys.length) return null;
    return refused(
      'it is about changes of a whole partition or range and not about one row',
      `compare the table (lockstep reconcile run --table ${table.table.name} --strategy CHECKSUM): rows that differ become findings of their own; then close this one as MANUAL_RESOLVED`,
    );
  }

  async applySource(): Promise<ResolveOutcome> {
    const { repairs, quorumReads } = this.#parts;
    return repairs.session(async (session) => {
      // Somebody has decided: what may still be in the capture comes with its own write time and is merged.
      const parts = { ...this.#parts, session, captured: () => Promise.resolve(null) };
      const proof = await proveSuspects(parts, [this.key], this.#signal);
      const [drift] = proof.drift;
      if (drift === undefined) {
        if (proof.equal.length > 0) return this.#closeEqual();
        const [unproven] = proof.unproven;
        return stale(unproven?.reason ?? 'the row is being written to: it moved whenever it was looked at', LATER);
      }
      const left = needsReview(drift, quorumReads);
      if (left !== null) {
        return refused(
          left,
          'correct it in the source; or give the row by hand: CUSTOM_FIX with values, or with null for none',
        );
      }
      const repair = { ...drift, wanted: drift.source };
      return this.#repair(session, repair, 'APPLY_SOURCE', () => []);
    });
  }

  async correct(correction: Correction): Promise<ResolveOutcome> {
    const { table, repairs, barrier, nowUs } = this.#parts;
    const values = correction === null ? null : correctedValues(table, correction);
    return repairs.session(async (session) => {
      const { rows, sequence } = await session.observe(table.table.name, [this.key]);
      const [observed] = rows;
      const late = await barrier(this.#signal);
      if (late !== null || observed === undefined) return stale(late ?? CHANGED, LATER);
      const source = await this.#readSource();
      if (source === 'unreadable') {
        return refused('the source’s row can not be read exactly', 'correct the value in the source');
      }
      if (this.#isOther(source, observed)) {
        return stale(
          'the row does not look as the finding has it any more',
          `compare the table (lockstep reconcile run --table ${table.table.name} --strategy CHECKSUM) and look at the finding again`,
        );
      }
      if (values === null) {
        if (source !== null)
          return refused('the source has the row', 'delete it in the source: the delete arrives here');
        const removal = { observed, wanted: null, differs: [], sequence };
        return this.#repair(session, removal, 'CUSTOM_FIX', () => []);
      }
      const corrected = correctedRow(table, values, observed, source);
      if (corrected === null) return refused(EXHAUSTED, IN_SOURCE);
      const { wanted, differs } = corrected;
      if (observed.row !== null && !differs.includes(true)) {
        return refused('the row shows these values already', 'KEEP_TARGET accepts the difference');
      }
      const repair = { observed, wanted, differs, sequence };
      return this.#repair(session, repair, 'CUSTOM_FIX', (after) => this.#accept(source, after, nowUs()));
    });
  }

  /** Whether a side shows something else than when the finding was seen last. */
  #isOther(source: SourceImage, observed: Observation): boolean {
    const { sourceChecksum, targetChecksum } = this.#finding;
    // What a lost change was about nobody has seen.
    if (sourceChecksum === null && targetChecksum === null) return false;
    const now = this.#seen(source, observed, this.#parts.nowUs());
    return now.sourceChecksum !== sourceChecksum || now.targetChecksum !== targetChecksum;
  }

  #seen(source: SourceImage, observed: Observation, nowUs: bigint) {
    const { table } = this.#parts;
    const difference = compareRows(table, source, observed.row, nowUs);
    const classification =
      difference === null
        ? ({ type: 'DATA_MISMATCH', cause: 'rogue-update', columns: [] } as const)
        : classify(table, difference, source, observed.row, observed.coveredAt, nowUs);
    return { ...findingOf(table, { key: this.key, classification, source, observed }, nowUs), difference };
  }

  /** What still differs after a correction is what somebody wants. */
  #accept(source: SourceImage, after: Observation, nowUs: bigint): readonly Statement[] {
    const { table, decisions } = this.#parts;
    const { difference, ...found } = this.#seen(source, after, nowUs);
    if (difference === null) return [];
    const notes = `left by the correction of finding ${this.#finding.id}: ${this.#hand.why}`;
    return [decisions.accepted(table.id, this.#finding.jobId, found, this.#hand.by, notes)];
  }

  async #readSource(): Promise<SourceImage | 'unreadable'> {
    try {
      const [source] = await this.#parts.readSource([this.key], this.#signal);
      return source ?? null;
    } catch (error) {
      if (error instanceof LockstepError && error.kind === 'row') return 'unreadable';
      throw error;
    }
  }

  async #closeEqual(): Promise<ResolveOutcome> {
    const { by, why, dryRun } = this.#hand;
    if (!dryRun) {
      const closing = { status: 'MANUAL_RESOLVED', action: 'MANUAL_RESOLVED', by, notes: why } as const;
      if (!(await this.#parts.decisions.close(this.#finding.id, closing))) throw alreadyResolved(this.#finding);
    }
    return { kind: 'equal' };
  }

  async #repair(
    session: RepairSession,
    repair: RepairOf,
    action: 'APPLY_SOURCE' | 'CUSTOM_FIX',
    more: (after: Observation) => readonly Statement[],
  ): Promise<ResolveOutcome> {
    const { table, shard, decisions } = this.#parts;
    const { id } = this.#finding;
    const { dryRun } = this.#hand;
    let outcome: RepairOutcome | undefined;
    try {
      [outcome] = await this.#patiently(() =>
        session.repair({
          table: table.table.name,
          shard,
          repairs: [repair],
          guard: { statement: decisions.openFinding(id), lost: () => alreadyResolved(this.#finding) },
          also: ([result]) => this.#told(repair, result, action, more),
          dryRun,
        }),
      );
    } catch (error) {
      if (!(error instanceof LockstepError) || error.kind !== 'row') throw error;
      return refused(
        `the target refuses the row: ${messageOf(error)}`,
        error.remedy ?? 'give values that the target takes',
      );
    }
    if (outcome === undefined || outcome.kind === 'stale') return stale(CHANGED, LATER);
    if (outcome.kind === 'review') return refused(outcome.reason, IN_SOURCE);
    return {
      kind: 'applied',
      before: observationDocument(table, repair.observed).row,
      after: observationDocument(table, outcome.after).row,
    };
  }

  #told(
    { observed }: RepairOf,
    result: RepairOutcome | undefined,
    action: 'APPLY_SOURCE' | 'CUSTOM_FIX',
    more: (after: Observation) => readonly Statement[],
  ): readonly Statement[] {
    if (result?.kind !== 'applied') return [];
    const { table, findings, audit } = this.#parts;
    const { by, why } = this.#hand;
    const { after } = result;
    return [
      findings.resolved(table, this.#finding.id, {
        status: 'MANUAL_RESOLVED',
        by,
        notes: why,
        before: observed,
        after,
      }),
      ...more(after),
      audit({
        actor: by,
        action,
        table: table.table.name,
        rowKey: this.key.text,
        reason: why,
        before: observationDocument(table, observed).row,
        after: observationDocument(table, after).row,
        outcome: 'applied',
      }),
    ];
  }

  async #patiently<T>(attempt: () => Promise<T>): Promise<T> {
    for (let n = 1; ; n++) {
      this.#signal.throwIfAborted();
      try {
        return await attempt();
      } catch (error) {
        // Any other failure may have taken the session with it, and with that the observations.
        if (!(error instanceof LockstepError) || error.code !== 'GATE_BUSY' || n === GATE_ATTEMPTS) throw error;
        await this.#parts.pacing.pause(BUSY_MS, this.#signal);
      }
    }
  }
}

/**
 * Makes the target's row what the source has now.
 *
 * @throws LockstepError `FINDING_RESOLVED` (usage); `transient` where a side does not answer, or the stream holds the table.
 */
export async function applySource(
  parts: ResolveParts,
  finding: Finding,
  hand: ByHand,
  signal: AbortSignal,
): Promise<ResolveOutcome> {
  const resolving = new Resolving(parts, finding, hand, signal);
  return resolving.unfit() ?? resolving.applySource();
}

/**
 * Makes the target's row what a person says, if it still looks as the finding has it. What then differs from the source is
 * accepted while both sides stay like that.
 *
 * @throws LockstepError as `applySource`, and `CORRECTION_INVALID` (usage).
 */
export async function applyCorrection(
  parts: ResolveParts,
  finding: Finding,
  correction: Correction,
  hand: ByHand,
  signal: AbortSignal,
): Promise<ResolveOutcome> {
  const resolving = new Resolving(parts, finding, hand, signal);
  return resolving.unfit() ?? resolving.correct(correction);
}
