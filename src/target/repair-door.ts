/**
 * Repair through the outside door's gate: a compare-and-set on the target image that was observed — versions and values,
 * or its absence together with the tombstones covering it (DESIGN §7). Whoever calls keeps the order: observe → barrier →
 * read the source → compare-and-set. An observation that is younger than the start of the source's read would delete rows
 * that were written in between ⚠.
 *
 * One session observes, draws the read sequence and writes: a sequence whose session was lost may be drawn again after a
 * failover, and is void.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Pool, PoolClient } from 'pg';
import type { Cells, ReadSequence, RowKey } from '../change/change-event.ts';
import { EMPTY_TRIGGER, partExpiries } from '../change/hint.ts';
import { planRepair, type RepairPlan } from '../change/repair.ts';
import { isKeptByMarker, nextExpiry, type RowState } from '../change/row-state.ts';
import { NEVER } from '../change/write-time.ts';
import type { Clock } from '../shared/clock.ts';
import { LockstepError } from '../shared/errors.ts';
import type { ShardId } from './batch.ts';
import { checkGeneration, type BoundTable } from './bound-table.ts';
import { ControlStatements } from './control-statements.ts';
import { beginExclusively, gateBusy } from './gate-busy.ts';
import { classifyPostgresError } from './postgres-errors.ts';
import { observations, observedRow, observing, type Observation } from './row-observation.ts';
import { FIRST_RETRY_US } from './rereads/reread-merge.ts';
import { RereadQueue } from './rereads/reread-queue.ts';
import type { RowPlan } from './row-plan.ts';
import { rowWrites, type TableDoor } from './row-writes.ts';
import type { StoredRow } from './scan/token-scan.ts';
import { checkCommitted, pipeline, rollback, type Statement } from './transaction.ts';

/** Rows in one transaction under the exclusive gate: ≤ 50 ms of holding it (DESIGN §5). */
export const REPAIR_ROWS = 50;

export interface RepairOf {
  readonly observed: Observation;
  /** What the row is to show; null: it is to be gone. */
  readonly wanted: { readonly cells: Cells } | null;
  /** By position in `Table.regular`: the column does not show it. */
  readonly differs: readonly boolean[];
  /** Drawn by this session after the row was observed and before the source was read. */
  readonly sequence: ReadSequence;
}

/** `stale`: the row is not what was observed, so nothing was written. `review`: a person has to decide. */
export type RepairOutcome =
  | { readonly kind: 'applied'; readonly after: Observation }
  | { readonly kind: 'stale' }
  | { readonly kind: 'review'; readonly reason: string };

export interface RepairBatch {
  readonly table: string;
  /** Any shard of the table's topic: its owner works off what expires later. */
  readonly shard: ShardId;
  readonly repairs: readonly RepairOf[];
  /** Locks what the repairs are about beside their rows. Where it answers no row, nothing is written and `lost` is thrown. */
  readonly guard?: { readonly statement: Statement; readonly lost: () => Error };
  /** Committed in the same transaction; told what became of each repair, in their order. */
  readonly also: (outcomes: readonly RepairOutcome[]) => readonly Statement[];
  readonly dryRun: boolean;
}

export interface RepairDoorOptions {
  readonly pool: Pool;
  readonly controlSchema: string;
  readonly tableOf: (name: string) => TableDoor;
  readonly clock: Clock;
}

/** One session with the target. Methods reject with a classified LockstepError and have then written nothing. */
export interface RepairSession {
  /** Rows as they are, and a read sequence drawn after that. Nothing stays locked. */
  observe(
    table: string,
    keys: readonly RowKey[],
  ): Promise<{ readonly rows: readonly Observation[]; readonly sequence: ReadSequence }>;
  /** Rejects with `GATE_BUSY` (transient) where the stream holds the table for longer than a moment. */
  repair(batch: RepairBatch): Promise<readonly RepairOutcome[]>;
}

export class RepairDoor {
  readonly #options: RepairDoorOptions;
  readonly #control: ControlStatements;
  readonly #queue: RereadQueue;

  constructor(options: RepairDoorOptions) {
    this.#options = options;
    this.#control = new ControlStatements(options.controlSchema);
    this.#queue = new RereadQueue(options.controlSchema);
  }

  /** Runs the work on one session; what it observed and drew is void afterwards. */
  async session<T>(work: (session: RepairSession) => Promise<T>): Promise<T> {
    let client: PoolClient;
    try {
      client = await this.#options.pool.connect();
    } catch (error) {
      throw classifyPostgresError(error, 'connecting for a repair', true);
    }
    let healthy = true;
    const guarded = async <R>(action: string, step: () => Promise<R>): Promise<R> => {
      try {
        return await step();
      } catch (error) {
        healthy = (await rollback(client)) && healthy;
        if (error instanceof LockstepError) throw error;
        throw gateBusy(error) ?? classifyPostgresError(error, action);
      }
    };
    try {
      return await work({
        observe: (table, keys) => guarded(`observing rows of ${table}`, () => this.#observe(client, table, keys)),
        repair: (batch) => guarded(`repairing rows of ${batch.table}`, () => this.#repair(client, batch)),
      });
    } finally {
      client.release(!healthy);
    }
  }

  async #observe(
    client: PoolClient,
    tableName: string,
    keys: readonly RowKey[],
  ): Promise<{ readonly rows: readonly Observation[]; readonly sequence: ReadSequence }> {
    const table = this.#options.tableOf(tableName);
    const control = this.#control;
    const [, ...answers] = await pipeline(client, [
      // One snapshot: a row that moves to the graveyard meanwhile must not be seen in neither place.
      { text: 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY' },
      ...observing(control, table, keys, false),
      { text: 'COMMIT' },
    ]);
    const [drawn] = await pipeline(client, [this.#queue.draw()]);
    return { rows: observations(table, keys, answers), sequence: BigInt(drawn?.rows[0]?.[0] ?? '0') };
  }

  async #repair(client: PoolClient, batch: RepairBatch): Promise<readonly RepairOutcome[]> {
    const table = this.#options.tableOf(batch.table);
    const { bound } = table;
    const nowUs = BigInt(this.#options.clock.nowMs()) * 1000n;
    await pipeline(client, beginExclusively(bound.id));
    const keys = batch.repairs.map(({ observed }) => observed.key);
    // Statements of their own: one with the gate would see the snapshot from before its lock wait.
    const { guard } = batch;
    const [generation, ...answers] = await pipeline(client, [
      this.#control.generation(bound.id),
      ...observing(this.#control, table, keys, true),
      ...(guard === undefined ? [] : [guard.statement]),
    ]);
    checkGeneration(bound, generation?.rows[0]?.[0]);
    if (guard !== undefined && answers.at(-1)?.rows.length === 0) throw guard.lost();
    const present = observations(table, keys, answers);
    const decided = batch.repairs.map((repair, i) => decide(bound, repair, present[i], nowUs));
    const outcomes = decided.map(({ outcome }) => outcome);
    const statements = [
      ...this.#writes(table, batch, decided, nowUs),
      ...batch.also(outcomes),
      { text: 'SET CONSTRAINTS ALL IMMEDIATE' },
      { text: batch.dryRun ? 'ROLLBACK' : 'COMMIT' },
    ];
    const last = (await pipeline(client, statements)).at(-1);
    if (!batch.dryRun) checkCommitted(last);
    return outcomes;
  }

  #writes(table: TableDoor, batch: RepairBatch, decided: readonly Decision[], nowUs: bigint): readonly Statement[] {
    const { bound } = table;
    const plan = {
      upserts: [] as { key: RowKey; state: RowState }[],
      replacements: [] as { key: RowKey; state: RowState }[],
      removals: [] as RowKey[],
      graves: [] as RowPlan['graves'][number][],
    };
    const later: Statement[] = [];
    for (const { key, plan: repair, existed, wanted } of decided) {
      if (repair?.kind === 'remove') {
        plan.removals.push(key);
        if (repair.deletedAt !== NEVER) plan.graves.push({ key, deletedAt: repair.deletedAt, memory: null });
      }
      if (repair?.kind !== 'write') continue;
      plan[existed ? 'replacements' : 'upserts'].push({ key, state: repair.state });
      later.push(...this.#reads(bound, batch.shard, key, repair.state, wanted, nowUs));
    }
    const rows = rowWrites(table, this.#control, { ...plan, expiring: [], rereads: [], superseded: 0 });
    return [...rows, ...later];
  }

  /**
   * What expires is read again then, under the exclusive gate: which shard carries the row nobody knows here, and an
   * expiry that is swept by another shard's owner could miss what its batch does meanwhile.
   */
  #reads(
    bound: BoundTable,
    shard: ShardId,
    key: RowKey,
    state: RowState,
    wanted: RepairOf['wanted'],
    nowUs: bigint,
  ): readonly Statement[] {
    const { policy } = bound;
    if (policy === null) return [];
    const names = bound.regular.map(({ column }) => column.name);
    const parts = partExpiries(wanted, { names, policy });
    const partTimes = (wanted?.cells ?? []).flatMap((cell, i) =>
      policy.multiCell[i] === true && cell?.expiry != null ? [cell.expiry] : [],
    );
    const markerCheck = bound.table.usesTtl && isKeptByMarker(state, nowUs) ? nowUs + FIRST_RETRY_US : null;
    const dueUs = [nextExpiry(state, nowUs), markerCheck, ...partTimes].reduce<bigint | null>(
      (least, time) => (time === null || (least !== null && least <= time) ? least : time),
      null,
    );
    if (dueUs === null) return [];
    const trigger = { ...(parts ?? EMPTY_TRIGGER), foreign: true };
    return this.#queue.add(shard, bound.id, [{ key, trigger }], dueUs, { later: true });
  }
}

interface Decision {
  readonly key: RowKey;
  readonly outcome: RepairOutcome;
  readonly plan: RepairPlan | null;
  readonly existed: boolean;
  readonly wanted: RepairOf['wanted'];
}

function decide(
  bound: BoundTable,
  { observed, wanted, differs, sequence }: RepairOf,
  present: Observation | undefined,
  nowUs: bigint,
): Decision {
  const base = { key: observed.key, existed: observed.row !== null, wanted };
  if (present === undefined || !isDeepStrictEqual(present, observed)) {
    return { ...base, outcome: { kind: 'stale' }, plan: null };
  }
  const multiCell = bound.regular.map(({ readOrdinal }) => readOrdinal !== 0);
  const plan = planRepair({ observed: observedRow(observed), wanted, differs, multiCell, sequence, nowUs });
  if (plan.kind === 'exhausted') {
    const reason = 'no write time is left above what is in force over the row';
    return { ...base, outcome: { kind: 'review', reason }, plan: null };
  }
  return { ...base, outcome: { kind: 'applied', after: afterRepair(bound, observed, plan) }, plan };
}

/** The row as the repair leaves it: what an undo will compare with. */
function afterRepair(bound: BoundTable, observed: Observation, plan: RepairPlan): Observation {
  const { key, coveredAt } = observed;
  if (plan.kind !== 'write') {
    const deletedAt = plan.kind === 'remove' ? plan.deletedAt : NEVER;
    return {
      key,
      row: null,
      // A removal writes the grave anew, without the memory that its tombstone covers.
      memory: plan.kind === 'remove' && deletedAt !== NEVER ? emptyMemory(bound) : observed.memory,
      coveredAt: deletedAt > coveredAt ? deletedAt : coveredAt,
    };
  }
  const cells = plan.state.cells.map((cell, i) => {
    const mapping = bound.regular[i]?.mapping;
    return cell?.value == null || mapping === undefined ? cell : { ...cell, value: mapping.asStored(cell.value) };
  });
  const row: StoredRow = { state: { ...plan.state, cells }, values: cells.map((cell) => cell?.value ?? null) };
  return { key, row, memory: observed.memory, coveredAt };
}

function emptyMemory(bound: BoundTable): RowState {
  return { deletedAt: NEVER, marker: null, cells: bound.regular.map(() => null) };
}
