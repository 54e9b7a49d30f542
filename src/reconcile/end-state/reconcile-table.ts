/**
 * One comparison of a table's end state (DESIGN §7 C): scan both sides, look at what differs again behind the barrier, note
 * what is proven, repair what may be repaired, and say no more than was seen.
 */
import { rowKey, type RowKey } from '../../change/change-event.ts';
import { LockstepError } from '../../shared/errors.ts';
import { WHOLE_RING } from '../../change/token-range.ts';
import type { AuditEntry } from '../../target/audit-log.ts';
import type { ShardId } from '../../target/batch.ts';
import type { FindingStore } from '../../target/finding-store.ts';
import type { Pacing } from '../../target/paced-door.ts';
import type { RepairDoor } from '../../target/repair-door.ts';
import type { TokenScan } from '../../target/token-scan.ts';
import type { Statement } from '../../target/transaction.ts';
import { partitionOf, type RangeAccount, type RangeParts } from './compare-range.ts';
import { planOf, type PlanRequest } from './comparison-plan.ts';
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
import { addDigests, digestText, EMPTY_DIGEST } from './row-digest.ts';
import { reasonOf, scanRanges, type RangeScan } from './scan-ranges.ts';
import { estimate, judge, type Judgement, type SampleEstimate } from './verdict.ts';

/** Rows that are looked at again; of more it is only known that they differ. Bounds the memory of a run. */
export const MAX_SUSPECTS = 10_000;
/** Suspects that share their barriers. */
const PROOF_ROWS = 1_000;

export interface ReconcileParts extends RangeParts, Omit<ProofParts, 'session'> {
  readonly target: Pick<TokenScan, 'range' | 'byKeys' | 'tokenless'>;
  readonly repairs: Pick<RepairDoor, 'session'>;
  readonly findings: FindingStore;
  readonly audit: (entry: AuditEntry) => Statement;
  readonly shard: ShardId;
  readonly quorumReads: boolean;
  readonly pacing: Pacing;
  /** Ranges that are scanned beside one another; left out: 2. */
  readonly rangesAtOnce?: number;
  /** What has changed of the schema of a side since the parts were made: what was compared is not the table. Null: nothing. */
  readonly schemaChange?: (signal: AbortSignal) => Promise<string | null>;
  readonly onProgress: (progress: { readonly scanned: number; readonly ranges: number; readonly rows: number }) => void;
  readonly onLeft: (drift: Drift, reason: string) => void;
}

export interface ReconcileRequest {
  readonly jobId: string;
  readonly plan: PlanRequest;
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
  /** Rows that differ and that somebody has accepted. */
  readonly ignored: number;
  /** Rows that never rested, and were in step with the source at a moment. */
  readonly following: number;
  readonly inFlight: number;
  readonly unproven: number;
  /** Findings of earlier runs whose rows are equal now. */
  readonly superseded: number;
  readonly repaired: RepairCounts;
  /** Applied repairs by the type of the finding. */
  readonly repairedByType: Readonly<Record<string, number>>;
  /** Why nothing was repaired, where something was to be. */
  readonly repairRefused: string | null;
  readonly sample: SampleEstimate | null;
}

interface ScanTotals extends RangeScan {
  readonly suspects: ReadonlyMap<string, RowKey>;
  readonly notFollowed: number;
  readonly tokenless: number;
}

/** Why no counter is repaired: whatever was counted between the read and the write would be lost. */
const COUNTERS_STAY =
  'a counter is a sum that others go on adding to, so no value is written over it: let what keeps the copy correct it';

const NOTHING_REPAIRED = { repaired: NO_REPAIRS, repairedByType: {}, repairRefused: null };

class Run {
  readonly #parts: ReconcileParts;
  readonly #request: ReconcileRequest;
  readonly #signal: AbortSignal;
  readonly #suspects = new Map<string, RowKey>();
  #notFollowed = 0;

  constructor(parts: ReconcileParts, request: ReconcileRequest, signal: AbortSignal) {
    this.#parts = parts;
    this.#request = request;
    this.#signal = signal;
  }

  #suspect(key: RowKey): void {
    if (this.#suspects.has(key.text)) return;
    if (this.#suspects.size < MAX_SUSPECTS) this.#suspects.set(key.text, key);
    else this.#notFollowed += 1;
  }

  async scan(): Promise<ScanTotals> {
    const { ofCounters } = this.#parts.table.table;
    const planned = planOf(this.#request.plan);
    // Without tokens no part of the ring can be told from another.
    const plan =
      ofCounters === true ? { ...planned, ranges: [WHOLE_RING], rangeCount: 1, withTokenless: false } : planned;
    const scan = await scanRanges(this.#parts, plan, (key) => this.#suspect(key), this.#signal);
    const notChecked = [...scan.notChecked];
    let tokenless = 0;
    try {
      if (plan.withTokenless) tokenless = await this.#tokenless();
    } catch (error) {
      this.#signal.throwIfAborted();
      notChecked.push({ where: 'rows of the target without a token', reason: reasonOf(error) });
    }
    const changed = (await this.#parts.schemaChange?.(this.#signal)) ?? null;
    if (changed !== null) notChecked.push({ where: 'what was compared before it', reason: changed });
    return { ...scan, notChecked, suspects: this.#suspects, notFollowed: this.#notFollowed, tokenless };
  }

  /** Rows that no range holds: inserted past the door. */
  async #tokenless(): Promise<number> {
    let rows = 0;
    for await (const page of this.#parts.target.tokenless(this.#signal)) {
      for (const row of page) {
        rows += 1;
        this.#suspect(row.key);
      }
    }
    return rows;
  }

  /** Everything that was found earlier and is still open is looked at again. */
  async addPending(): Promise<void> {
    const { findings, table } = this.#parts;
    for (const text of await findings.pendingKeys(table.id, MAX_SUSPECTS)) {
      const key = rowKey(JSON.parse(text) as string[]);
      // A missed delete of a partition has no row of its own.
      if (key.values.length === table.keys.length) this.#suspect(key);
    }
  }

  async prove(session: ProofParts['session']): Promise<Proof> {
    const keys = [...this.#suspects.values()];
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
      { ...this.#parts, session, actor, status: repair.status, dryRun },
      known,
      this.#signal,
    );
    return { repaired: counts, repairedByType: byType, repairRefused: null };
  }
}

/**
 * Rejects with a LockstepError where the target fails, or the source refuses to be read; ranges of which the scan fails for
 * long are missing from the coverage instead.
 */
export async function reconcileTable(
  parts: ReconcileParts,
  request: ReconcileRequest,
  signal: AbortSignal,
): Promise<ReconcileReport> {
  const { strategy } = request.plan;
  if (parts.table.table.ofCounters === true && strategy !== 'ROW_COUNT' && strategy !== 'CHECKSUM') {
    throw new LockstepError(`${strategy} does not fit counters: their copy has neither tokens nor write times`, {
      code: 'COUNTER_STRATEGY',
      kind: 'usage',
      remedy: 'compare counters by ROW_COUNT or CHECKSUM',
    });
  }
  // A table has no policy where its key's bytes, and so its tokens, are not known.
  if (parts.table.policy === null) {
    throw unscannable(parts.table.table.name);
  }
  const run = new Run(parts, request, signal);
  const totals = await run.scan();
  await run.addPending();
  return parts.repairs.session(async (session) => {
    const proof = await run.prove(session);
    const { known, superseded } = await run.note(proof);
    const sum = (of: (account: RangeAccount) => number): number => totals.accounts.reduce((n, each) => n + of(each), 0);
    const compared = sum((each) => each.compared);
    const repair = await run.repair(session, known, compared);
    const judgement = judge({
      rangesDue: totals.rangesDue,
      rangesScanned: totals.rangesScanned,
      notChecked: totals.notChecked,
      compared,
      mayBeEmpty: request.mayBeEmpty,
      drift: known.length,
      inFlight: proof.inFlight.length,
      unproven: proof.unproven.length,
      unreadable: sum((each) => each.unreadable),
      notFollowed: totals.notFollowed,
      unprovenReasons: [...new Set(proof.unproven.map(({ reason }) => reason))],
    });
    const digest = (side: 'sourceDigest' | 'targetDigest'): string =>
      digestText(totals.accounts.reduce((all, each) => addDigests(all, each[side]), EMPTY_DIGEST));
    const drifting = new Set(proof.drift.map(({ key }) => partitionOf(parts.table, key.values)));
    return {
      ...judgement,
      sourceRows: sum((each) => each.sourceRows),
      targetRows: sum((each) => each.targetRows) + totals.tokenless,
      compared,
      rangesDue: totals.rangesDue,
      rangesScanned: totals.rangesScanned,
      notChecked: totals.notChecked,
      sourceDigest: digest('sourceDigest'),
      targetDigest: digest('targetDigest'),
      drift: known.map(({ drift }) => drift),
      ignored: proof.drift.length - known.length,
      following: proof.following.length,
      inFlight: proof.inFlight.length,
      unproven: proof.unproven.length,
      superseded,
      ...repair,
      sample:
        request.plan.strategy === 'SAMPLE'
          ? estimate(
              sum((each) => each.partitions),
              drifting.size,
            )
          : null,
    };
  });
}

function unscannable(table: string): LockstepError {
  return new LockstepError(
    `${table} can not be compared: the bytes of its key type are not known, so it has no tokens`,
    {
      code: 'TABLE_UNSCANNABLE',
      kind: 'usage',
      remedy: 'compare its rows by a query of your own',
    },
  );
}
