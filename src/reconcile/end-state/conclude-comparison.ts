/**
 * What follows the scan of a table (DESIGN §7 C), by one worker, whoever scanned: what differs is looked at again behind the
 * barrier, what is proven is noted, repaired where it may be, and no more is said than was seen. May be done again by
 * another worker where the first is lost: what it had noted and repaired is found again.
 */
import { rowKey, type RowKey } from '../../change/change-event.ts';
import type { AuditEntry } from '../../target/stores/audit-log.ts';
import type { ShardId } from '../../target/batch.ts';
import type { FindingStore } from '../../target/stores/finding-store.ts';
import type { Pacing } from '../../target/paced-door.ts';
import type { RepairDoor } from '../../target/repair-door.ts';
import type { TokenScan } from '../../target/scan/token-scan.ts';
import type { Statement } from '../../target/transaction.ts';
import { partitionOf } from './compare-range.ts';
import type { Strategy } from './comparison-plan.ts';
import { findingOf } from './finding-of-drift.ts';
import type { NotChecked } from './not-checked.ts';
import { proveSuspects, type Drift, type Proof, type ProofParts } from './prove-suspects.ts';
import {
  NO_REPAIRS,
  overLimits,
  repairDrift,
  type KnownDrift,
  type RepairCounts,
  type RepairLimits,
} from './repair-drift.ts';
import { digestText } from './row-digest.ts';
import { MAX_SUSPECTS, Suspects, type ScanTotals } from './scan-totals.ts';
import { reasonOf } from './scan-ranges.ts';
import { estimate, judge, type Judgement, type SampleEstimate } from './verdict.ts';

/** Suspects that share their barriers. */
const PROOF_ROWS = 1_000;
/** Repaired rows that an incremental comparison looks at again: their versions were raised, so no span of writes has them. */
const RECHECKED_REPAIRS = 1_000;

export interface ConcludeParts extends Omit<ProofParts, 'session'> {
  readonly target: Pick<TokenScan, 'tokenless'>;
  readonly repairs: Pick<RepairDoor, 'session'>;
  readonly findings: FindingStore;
  readonly audit: (entry: AuditEntry) => Statement;
  readonly shard: ShardId;
  readonly quorumReads: boolean;
  readonly pacing: Pacing;
  /** What has changed of the schema of a side since the run began: what was compared is not the table. Null: nothing. */
  readonly schemaChange?: (signal: AbortSignal) => Promise<string | null>;
  readonly onLeft: (drift: Drift, reason: string) => void;
}

export interface ConcludeRequest {
  readonly jobId: string;
  readonly strategy: Strategy;
  /** Null: nothing is repaired. */
  readonly repair: { readonly limits: RepairLimits; readonly status: 'AUTO_RESOLVED' | 'MANUAL_RESOLVED' } | null;
  /** Notes and repairs nothing; says what would be repaired. */
  readonly dryRun: boolean;
  readonly mayBeEmpty: boolean;
  readonly actor: string;
}

export interface ReconcileReport extends Judgement {
  readonly sourceRows: number;
  readonly targetRows: number;
  readonly compared: number;
  readonly rangesDue: number;
  /** Ranges that were scanned whole. */
  readonly rangesScanned: number;
  /** What was not looked at, or not to its end, and why. */
  readonly notChecked: readonly NotChecked[];
  /** `count:sum:sum` of what both sides showed while they were scanned. */
  readonly sourceDigest: string;
  readonly targetDigest: string;
  readonly drift: readonly Drift[];
  /** Drift by type that this run had repaired before it was taken over by another worker. */
  readonly repairedBefore: Readonly<Record<string, number>>;
  /** Rows that differ and that somebody has accepted. */
  readonly ignored: number;
  /** Rows that never rested, and were in step with the source at a moment. */
  readonly following: number;
  readonly inFlight: number;
  readonly unproven: number;
  /** Every row that differed was looked at again, and every row of the source could be read. */
  readonly followed: boolean;
  /** Findings of earlier runs whose rows are equal now. */
  readonly superseded: number;
  readonly repaired: RepairCounts;
  /** Applied repairs by the type of the finding. */
  readonly repairedByType: Readonly<Record<string, number>>;
  /** Why nothing was repaired, where something was to be. */
  readonly repairRefused: string | null;
  readonly sample: SampleEstimate | null;
}

/** Why no counter is repaired: whatever was counted between the read and the write would be lost. */
const COUNTERS_STAY =
  'a counter is a sum that others go on adding to, so no value is written over it: let what keeps the copy correct it';

const NOTHING_REPAIRED = { repaired: NO_REPAIRS, repairedByType: {}, repairRefused: null };

class Conclusion {
  readonly #parts: ConcludeParts;
  readonly #request: ConcludeRequest;
  readonly #signal: AbortSignal;
  readonly #suspects = new Suspects();
  tokenless = 0;

  constructor(parts: ConcludeParts, request: ConcludeRequest, totals: ScanTotals, signal: AbortSignal) {
    this.#parts = parts;
    this.#request = request;
    this.#signal = signal;
    for (const key of totals.suspects) this.#suspects.add(key);
    this.#suspects.addUnnamed(totals.notFollowed);
  }

  get notFollowed(): number {
    return this.#suspects.notFollowed;
  }

  /** What is to be looked at beside what the scan has shown, as far as it can be. */
  async complete(): Promise<readonly NotChecked[]> {
    const notChecked: NotChecked[] = [];
    try {
      this.tokenless = await this.#addTokenless();
    } catch (error) {
      this.#signal.throwIfAborted();
      notChecked.push({ where: 'rows of the target without a token', reason: reasonOf(error) });
    }
    const changed = (await this.#parts.schemaChange?.(this.#signal)) ?? null;
    if (changed !== null) notChecked.push({ where: 'what was compared before it', reason: changed });
    await this.#addEarlier();
    return notChecked;
  }

  /** Rows that no range holds: inserted past the door. @returns how many there are. */
  async #addTokenless(): Promise<number> {
    const { strategy } = this.#request;
    // Of a copy of counters no row has a token.
    if (strategy === 'SAMPLE' || strategy === 'TIMESTAMP_RANGE' || this.#parts.table.table.ofCounters === true)
      return 0;
    let rows = 0;
    for await (const page of this.#parts.target.tokenless(this.#signal)) {
      for (const row of page) {
        rows += 1;
        this.#suspects.add(row.key);
      }
    }
    return rows;
  }

  /** Everything that was found earlier and is still open is looked at again. */
  async #addEarlier(): Promise<void> {
    const { findings, table } = this.#parts;
    const add = (texts: readonly string[]): void => {
      for (const text of texts) {
        const key = rowKey(JSON.parse(text) as string[]);
        // A missed delete of a partition has no row of its own.
        if (key.values.length === table.keys.length) this.#suspects.add(key);
      }
    };
    add(await findings.pendingKeys(table.id, MAX_SUSPECTS));
    if (this.#request.strategy === 'TIMESTAMP_RANGE') add(await findings.repairedKeys(table.id, RECHECKED_REPAIRS));
  }

  async prove(session: ProofParts['session']): Promise<Proof> {
    const { keys } = this.#suspects;
    const total = {
      drift: [] as Drift[],
      equal: [] as RowKey[],
      following: [] as RowKey[],
      inFlight: [] as RowKey[],
      unproven: [] as Proof['unproven'][number][],
    };
    for (let at = 0; at < keys.length; at += PROOF_ROWS) {
      const part = keys.slice(at, at + PROOF_ROWS);
      const proof = await this.#proofOf(session, part);
      total.drift.push(...proof.drift);
      total.equal.push(...proof.equal);
      total.following.push(...proof.following);
      total.inFlight.push(...proof.inFlight);
      total.unproven.push(...proof.unproven);
    }
    return total;
  }

  /** A side that fails meanwhile leaves what differs unproven. */
  async #proofOf(session: ProofParts['session'], keys: readonly RowKey[]): Promise<Proof> {
    try {
      return await proveSuspects({ ...this.#parts, session }, keys, this.#signal);
    } catch (error) {
      this.#signal.throwIfAborted();
      const reason = reasonOf(error);
      return { drift: [], equal: [], following: [], inFlight: [], unproven: keys.map((key) => ({ key, reason })) };
    }
  }

  /** Notes what is proven. @returns the drift that nobody has accepted, with its findings. */
  async note(proof: Proof): Promise<{ readonly known: readonly KnownDrift[]; readonly superseded: number }> {
    const { findings, table } = this.#parts;
    const { jobId, dryRun } = this.#request;
    if (dryRun) return { known: proof.drift.map((drift) => ({ drift, findingId: null })), superseded: 0 };
    const known: KnownDrift[] = [];
    for (let at = 0; at < proof.drift.length; at += PROOF_ROWS) {
      const part = proof.drift.slice(at, at + PROOF_ROWS);
      const noted = await findings.record(
        table.id,
        jobId,
        part.map((drift) => findingOf(table, drift, this.#parts.nowUs())),
      );
      for (const [i, drift] of part.entries()) {
        const entry = noted[i];
        if (entry?.status === 'PENDING') known.push({ drift, findingId: entry.id });
      }
    }
    const superseded = await findings.supersede(
      table.id,
      jobId,
      [...proof.equal, ...proof.following].map(({ text }) => text),
    );
    return { known, superseded };
  }

  async repair(
    session: Parameters<Parameters<RepairDoor['session']>[0]>[0],
    known: readonly KnownDrift[],
    compared: number,
  ): Promise<Pick<ReconcileReport, 'repaired' | 'repairedByType' | 'repairRefused'>> {
    const { repair, dryRun, actor } = this.#request;
    if (repair === null || known.length === 0) return NOTHING_REPAIRED;
    if (this.#parts.table.table.ofCounters === true) return { ...NOTHING_REPAIRED, repairRefused: COUNTERS_STAY };
    const repairRefused = overLimits(known.length, compared, repair.limits);
    if (repairRefused !== null) return { ...NOTHING_REPAIRED, repairRefused };
    const { counts, byType } = await repairDrift(
      {
        ...this.#parts,
        session,
        actor,
        status: repair.status,
        dryRun,
        rowsPerSecond: repair.limits.rowsPerSecond ?? null,
      },
      known,
      this.#signal,
    );
    return { repaired: counts, repairedByType: byType, repairRefused: null };
  }
}

/** Rejects with a LockstepError where a side can't be read or the target fails. */
export async function concludeComparison(
  parts: ConcludeParts,
  request: ConcludeRequest,
  totals: ScanTotals,
  signal: AbortSignal,
): Promise<ReconcileReport> {
  const conclusion = new Conclusion(parts, request, totals, signal);
  const notChecked = [...totals.notChecked, ...(await conclusion.complete())];
  const repairedBefore = await parts.findings.repairedBy(parts.table.id, request.jobId);
  const before = Object.values(repairedBefore).reduce((sum, n) => sum + n, 0);
  return parts.repairs.session(async (session) => {
    const proof = await conclusion.prove(session);
    const { known, superseded } = await conclusion.note(proof);
    const repair = await conclusion.repair(session, known, totals.compared);
    const judgement = judge({
      rangesDue: totals.rangesDue,
      rangesScanned: totals.rangesScanned,
      notChecked,
      compared: totals.compared,
      mayBeEmpty: request.mayBeEmpty,
      drift: known.length + before,
      inFlight: proof.inFlight.length,
      unproven: proof.unproven.length,
      unreadable: totals.unreadable,
      notFollowed: conclusion.notFollowed,
      unprovenReasons: [...new Set(proof.unproven.map(({ reason }) => reason))],
    });
    // What somebody has accepted is no drift, here as in the verdict.
    const drifting = new Set(known.map(({ drift }) => partitionOf(parts.table, drift.key.values)));
    return {
      ...judgement,
      sourceRows: totals.sourceRows,
      targetRows: totals.targetRows + conclusion.tokenless,
      compared: totals.compared,
      rangesDue: totals.rangesDue,
      rangesScanned: totals.rangesScanned,
      notChecked,
      sourceDigest: digestText(totals.sourceDigest),
      targetDigest: digestText(totals.targetDigest),
      drift: known.map(({ drift }) => drift),
      repairedBefore,
      ignored: proof.drift.length - known.length,
      following: proof.following.length,
      inFlight: proof.inFlight.length,
      unproven: proof.unproven.length,
      followed: conclusion.notFollowed === 0 && totals.unreadable === 0,
      superseded,
      ...repair,
      sample: request.strategy === 'SAMPLE' ? estimate(totals.partitions, drifting.size) : null,
    };
  });
}
