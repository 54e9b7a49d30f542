/**
 * Repairs proven drift within limits (DESIGN §7): many differences at once are no drift but an accident, and a page for a
 * person. Whatever is repaired can be taken back: both images of the target's row stand in its finding.
 */
import { LockstepError, messageOf } from '../../shared/errors.ts';
import type { AuditEntry } from '../../target/stores/audit-log.ts';
import type { ShardId } from '../../target/batch.ts';
import type { BoundTable } from '../../target/bound-table.ts';
import type { FindingStatus, FindingStore } from '../../target/stores/finding-store.ts';
import { imageDocument, observationDocument } from '../../target/observation-document.ts';
import { owedPauseMs } from '../../target/gate-share.ts';
import type { Pacing } from '../../target/paced-door.ts';
import { REPAIR_ROWS, type RepairOutcome, type RepairSession } from '../../target/repair-door.ts';
import type { Statement } from '../../target/transaction.ts';
import type { Drift } from './prove-suspects.ts';

export interface RepairLimits {
  /** Rows that one run may repair. */
  readonly maxRows: number;
  /** Share of the compared rows that may drift, 0 to 1; a few rows are always repaired (`FEW_ROWS`). */
  readonly maxShare: number;
  /** Rows that may still be repaired without a person today; left out: any number. */
  readonly leftToday?: number;
  /** Null or left out: as many as the share of the gate allows. */
  readonly rowsPerSecond?: number | null;
}

/** Of a small table a few rows are a large share. */
const FEW_ROWS = 10;
const BUSY_MS = 50;

/** Why nothing is to be repaired by itself, or null. */
export function overLimits(drift: number, compared: number, limits: RepairLimits): string | null {
  if (drift > limits.maxRows) return `${drift} rows drift, more than the ${limits.maxRows} that one run may repair`;
  if (limits.leftToday !== undefined && drift > limits.leftToday) {
    return `${drift} rows drift, and only ${limits.leftToday} more may be repaired without a person within a day`;
  }
  if (drift <= FEW_ROWS || compared === 0 || drift / compared <= limits.maxShare) return null;
  const percent = (share: number): string => `${(share * 100).toFixed(2)} %`;
  return `${percent(drift / compared)} of the rows drift, more than the ${percent(limits.maxShare)} that may be repaired without a person`;
}

/** A drift with its finding. */
export interface KnownDrift {
  readonly drift: Drift;
  /** Null in a dry run, which notes nothing. */
  readonly findingId: bigint | null;
}

export interface DriftRepairs {
  readonly table: BoundTable;
  readonly session: Pick<RepairSession, 'repair'>;
  readonly shard: ShardId;
  readonly findings: Pick<FindingStore, 'resolved' | 'noted'>;
  readonly audit: (entry: AuditEntry) => Statement;
  readonly pacing: Pacing;
  /** Reads of the source overlap its writes (R + W > RF): two absent reads mean that there is no row. */
  readonly quorumReads: boolean;
  readonly actor: string;
  readonly status: Extract<FindingStatus, 'AUTO_RESOLVED' | 'MANUAL_RESOLVED'>;
  readonly dryRun: boolean;
  readonly rowsPerSecond?: number | null;
  /** Told of rows that stay as they are. */
  readonly onLeft: (drift: Drift, reason: string) => void;
}

export type RepairCounts = Record<RepairOutcome['kind'] | 'failed', number>;

export const NO_REPAIRS: RepairCounts = { applied: 0, stale: 0, review: 0, failed: 0 };

/** Why a drift is left to a person, or null. */
export function needsReview({ classification, source }: Drift, quorumReads: boolean): string | null {
  if (classification.cause === 'not-representable') {
    return 'the target can not hold the source’s value exactly: see its dead letter';
  }
  if (
    source === null &&
    !quorumReads &&
    classification.cause !== 'expired' &&
    classification.cause !== 'rogue-insert'
  ) {
    return 'the source is read at a consistency that may miss rows, so a row is not removed for being absent';
  }
  return null;
}

class Repairs {
  readonly counts: RepairCounts = { ...NO_REPAIRS };
  /** Applied repairs by the type of the finding. */
  readonly byType: Record<string, number> = {};
  readonly #parts: DriftRepairs;
  readonly #signal: AbortSignal;

  constructor(parts: DriftRepairs, signal: AbortSignal) {
    this.#parts = parts;
    this.#signal = signal;
  }

  async batch(batch: readonly KnownDrift[]): Promise<void> {
    const { table, session, shard, dryRun } = this.#parts;
    try {
      const outcomes = await this.#paced(() =>
        session.repair({
          table: table.table.name,
          shard,
          repairs: batch.map(({ drift }) => ({ ...drift, wanted: drift.source })),
          also: (results) => (dryRun ? [] : batch.flatMap((known, i) => this.#told(known, results[i]))),
          dryRun,
        }),
      );
      for (const [i, outcome] of outcomes.entries()) {
        this.counts[outcome.kind] += 1;
        const known = batch[i];
        if (outcome.kind === 'applied' && known !== undefined) {
          const { type } = known.drift.classification;
          this.byType[type] = (this.byType[type] ?? 0) + 1;
        }
        if (outcome.kind === 'review' && known !== undefined) this.#parts.onLeft(known.drift, outcome.reason);
      }
    } catch (error) {
      if (!(error instanceof LockstepError) || error.kind !== 'row') throw error;
      const [only] = batch;
      if (batch.length === 1 && only !== undefined) {
        this.counts.failed += 1;
        this.#parts.onLeft(only.drift, messageOf(error));
        return;
      }
      const middle = Math.ceil(batch.length / 2);
      await this.batch(batch.slice(0, middle));
      await this.batch(batch.slice(middle));
    }
  }

  left(drift: Drift, reason: string): void {
    this.counts.review += 1;
    this.#parts.onLeft(drift, reason);
  }

  #told({ drift, findingId }: KnownDrift, outcome: RepairOutcome | undefined): readonly Statement[] {
    const { table, findings, audit, actor, status } = this.#parts;
    if (findingId === null || outcome === undefined || outcome.kind === 'stale') return [];
    if (outcome.kind === 'review') return [findings.noted(findingId, outcome.reason)];
    return [
      findings.resolved(table, findingId, {
        status,
        by: actor,
        notes: null,
        before: drift.observed,
        after: outcome.after,
      }),
      audit({
        actor,
        action: 'APPLY_SOURCE',
        table: table.table.name,
        rowKey: drift.key.text,
        reason: `${drift.classification.type}: ${drift.classification.cause}`,
        before: observationDocument(table, drift.observed).row,
        after: drift.source === null ? null : imageDocument(table, drift.source),
        outcome: 'applied',
      }),
    ];
  }

  async #paced<T>(attempt: () => Promise<T>): Promise<T> {
    const { elapsedMs, pause } = this.#parts.pacing;
    for (;;) {
      this.#signal.throwIfAborted();
      const startedMs = elapsedMs();
      try {
        const result = await attempt();
        await pause(owedPauseMs(elapsedMs() - startedMs), this.#signal);
        return result;
      } catch (error) {
        // Any other failure may have taken the session with it, and with that the observations.
        if (!(error instanceof LockstepError) || error.code !== 'GATE_BUSY') throw error;
        await pause(BUSY_MS, this.#signal);
      }
    }
  }
}

/** Rejects where the target does not answer; what was repaired until then is repaired and told of. */
export async function repairDrift(
  parts: DriftRepairs,
  drift: readonly KnownDrift[],
  signal: AbortSignal,
): Promise<{ readonly counts: RepairCounts; readonly byType: Readonly<Record<string, number>> }> {
  const repairs = new Repairs(parts, signal);
  const open: KnownDrift[] = [];
  for (const known of drift) {
    const reason = needsReview(known.drift, parts.quorumReads);
    if (reason === null) open.push(known);
    else repairs.left(known.drift, reason);
  }
  const { rowsPerSecond = null, pacing } = parts;
  const atOnce = Math.min(REPAIR_ROWS, Math.max(1, Math.ceil(rowsPerSecond ?? REPAIR_ROWS)));
  for (let at = 0; at < open.length; at += atOnce) {
    if (at > 0 && rowsPerSecond !== null) await pacing.pause((atOnce / rowsPerSecond) * 1000, signal);
    await repairs.batch(open.slice(at, at + atOnce));
  }
  return repairs;
}
