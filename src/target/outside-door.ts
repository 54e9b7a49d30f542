/**
 * The door for writers beside the stream (DESIGN §5 "Locks"): redriven dead letters, replayed changes. The same merge as a
 * batch of the stream, with two differences: there is no position to move, so there is no fence, and the table's gate is
 * taken exclusively, because the row's own shard may be at work. Everything is in one transaction: rows, tombstones,
 * ledger, and what the caller adds.
 *
 * It steps back where the gate is not to be had within a moment, so that the stream behind it does not wait.
 */
import type { Pool, PoolClient } from 'pg';
import { fold } from '../change/fold.ts';
import type { ChangeEvent } from '../change/change-event.ts';
import { isAlive, mergeRows, stateOf, type RowState } from '../change/row-state.ts';
import { isContested } from '../change/tie.ts';
import type { Clock } from '../shared/clock.ts';
import type { BatchChange, ShardId } from './batch.ts';
import { checkGeneration, type BoundTable } from './bound-table.ts';
import { ControlStatements } from './control-statements.ts';
import { beginExclusively, gateBusy } from './gate-busy.ts';
import { withinHorizon } from './horizon.ts';
import { asForeign, certainOf, owedReads } from './rereads/owed-reads.ts';
import { classifyRefusal } from './row-refusal.ts';
import { TargetCatalogue } from './target-catalogue.ts';
import { probesOf, readProbes, withImages } from './probes.ts';
import { RereadQueue } from './rereads/reread-queue.ts';
import { covered, isIncomplete, planRows, stateBefore, type KnownRow } from './row-plan.ts';
import { rowWrites, type TableDoor } from './row-writes.ts';
import { sameRow } from './same-row.ts';
import { checkCommitted, pipeline, rollback, type Statement } from './transaction.ts';
import { checkSameServer, SERVER_START } from './same-server.ts';
import { applyWideTombstones } from './wide-tombstones.ts';

/** What became of one change. `queued`: its meaning is read again from the source. */
export type OutsideOutcome = 'applied' | 'superseded' | 'queued';

export interface OutsideBatch {
  /** The shard whose records these were. Its owner works off what they leave in the queue. */
  readonly shard: ShardId;
  readonly table: string;
  readonly origin: 'redrive' | 'replay';
  readonly changes: readonly BatchChange[];
  /** Committed in the same transaction; told what became of each change, in their order. */
  readonly also: (outcomes: readonly OutsideOutcome[]) => readonly Statement[];
  /** Does everything and commits nothing. */
  readonly dryRun: boolean;
}

export interface OutsideDoorOptions {
  readonly pool: Pool;
  readonly controlSchema: string;
  /** The table as it is bound at this moment. */
  readonly tableOf: (name: string) => TableDoor;
  readonly clock: Clock;
}

/** Whether the row stands in the target as it is under its tombstones. */
function stands({ image }: KnownRow, before: RowState): boolean {
  if (image === null || image === 'unread') return true;
  return sameRow({ ...image, deletedAt: before.deletedAt }, before);
}

export class OutsideDoor {
  readonly #options: OutsideDoorOptions;
  readonly #control: ControlStatements;
  readonly #rereads: RereadQueue;
  readonly #catalogue: TargetCatalogue;

  constructor(options: OutsideDoorOptions) {
    this.#options = options;
    this.#catalogue = new TargetCatalogue(options.pool);
    this.#control = new ControlStatements(options.controlSchema);
    this.#rereads = new RereadQueue(options.controlSchema);
  }

  /**
   * Applies the changes and resolves with what became of each, in their order. Rejects with a classified LockstepError and
   * has then written nothing, except tombstones of partition and range deletes: `GATE_BUSY` (transient: ask again
   * later), a row error (halve the batch), or what the stream's door rejects with.
   */
  async apply(batch: OutsideBatch): Promise<readonly OutsideOutcome[]> {
    const { pool, clock } = this.#options;
    const table = this.#options.tableOf(batch.table);
    try {
      const wide = fold(certainOf(batch, table.bound), table.bound.valueOrders).wide;
      const isWide = wide.length > 0 && !batch.dryRun;
      const recordedOn = !isWide
        ? null
        : await applyWideTombstones(pool, this.#control, table, wide, clock, (owed, nowUs) =>
            this.#rereads.add(batch.shard, table.bound.id, owed.map(asForeign), nowUs),
          );
      const client = await pool.connect();
      let healthy = true;
      try {
        const outcomes = await this.#inTransaction(client, batch, table, recordedOn);
        if (batch.dryRun) healthy = await rollback(client);
        return outcomes;
      } catch (error) {
        healthy = await rollback(client);
        throw error;
      } finally {
        client.release(!healthy);
      }
    } catch (error) {
      const busy = gateBusy(error);
      if (busy !== null) throw busy;
      const action = `applying ${batch.origin} changes of ${batch.table}`;
      throw await classifyRefusal(error, action, table.bound, [], this.#catalogue);
    }
  }

  async #inTransaction(
    client: PoolClient,
    batch: OutsideBatch,
    table: TableDoor,
    recordedOn: string | null,
  ): Promise<readonly OutsideOutcome[]> {
    const { bound } = table;
    const nowUs = BigInt(this.#options.clock.nowMs()) * 1000n;
    await pipeline(client, beginExclusively(bound.id));
    const rows = [...fold(certainOf(batch, bound), bound.valueOrders, bound.undecided).rows.values()];
    const probes = probesOf(this.#control, table, rows, nowUs);
    const [position, ...answers] = await pipeline(client, [
      this.#control.lockPosition(batch.shard, bound.id),
      ...probes.statements,
      ...(recordedOn === null ? [] : [SERVER_START]),
    ]);
    checkSameServer(recordedOn, answers.at(-1));
    const [, , , purgedUntil = null, generation = null] = position?.rows[0] ?? [];
    checkGeneration(bound, generation);
    const probed = await readProbes(client, table, rows, probes, answers, nowUs);
    // All images, whatever the upsert could decide alone: what becomes of each change has to be told.
    const unread = probed.filter((row) => row.image === 'unread');
    const read = new Map(
      (unread.length === 0 ? [] : await withImages(client, table, unread)).map((row) => [row.key.text, row]),
    );
    const whole = probed.map((row) => read.get(row.key.text) ?? row);
    const { rows: known, owed } =
      purgedUntil === null
        ? { rows: whole, owed: [] }
        : await withinHorizon(client, table, whole, { purgedUntil: BigInt(purgedUntil), nowUs });
    const asked = new Set(owed.map(({ key }) => key.text));
    const { outcomes, changed } = outcomesOf(table, batch.changes, whole, asked, nowUs);
    const plan = planRows(
      bound,
      known.filter((row) => changed.has(row.key.text) || asked.has(row.key.text)),
      nowUs,
    );
    const statements: Statement[] = rowWrites(table, this.#control, plan);
    statements.push(...this.#control.expiryEntries(batch.shard, bound.id, plan.expiring, 'unknown shard'));
    statements.push(...owedReads(this.#rereads, batch, bound, [...plan.rereads, ...owed].map(asForeign), nowUs));
    statements.push(this.#control.outsideSegment(batch, bound.id), ...batch.also(outcomes));
    if (batch.dryRun) {
      // Constraints speak when the rows are written, deferred ones at the end.
      await pipeline(client, [...statements, { text: 'SET CONSTRAINTS ALL IMMEDIATE' }]);
      return outcomes;
    }
    checkCommitted((await pipeline(client, [...statements, { text: 'COMMIT' }])).at(-1));
    return outcomes;
  }
}

/** A value of a change against another one of the same time: the source is asked which of them it has. */
function meetsConflict({ policy }: BoundTable, state: RowState, change: ChangeEvent): boolean {
  if (policy === null || change.kind !== 'write') return false;
  return change.cells.some((cell, i) => {
    const stored = state.cells[i] ?? null;
    return cell !== null && stored !== null && isContested(stored, cell, policy.undecided[i] ?? null);
  });
}

/**
 * What becomes of each change, one after the other, and the rows in which anything changes. Of the rows in `asked` the
 * source says what they became.
 */
function outcomesOf(
  table: TableDoor,
  changes: readonly BatchChange[],
  known: readonly KnownRow[],
  asked: ReadonlySet<string>,
  nowUs: bigint,
): { readonly outcomes: readonly OutsideOutcome[]; readonly changed: ReadonlySet<string> } {
  const { bound } = table;
  const rows = new Map(known.map((row) => [row.key.text, { row, state: stateBefore(table.bound, row) }]));
  // Where a wide delete is under way, what it covers still stands ⚠: a change over it must not leave it standing.
  const changed = new Set([...rows.values()].flatMap(({ row, state }) => (stands(row, state) ? [] : [row.key.text])));
  const outcomes = changes.map(({ change }): OutsideOutcome => {
    const isQueued = bound.policy !== null && change.hint !== undefined;
    // A wide tombstone is in force already or makes no difference to any row that is left.
    if (change.kind === 'partition-delete' || change.kind === 'range-delete') return isQueued ? 'queued' : 'applied';
    const entry = rows.get(change.key.text);
    if (entry === undefined) return 'queued';
    const after = covered(
      bound,
      entry.row,
      mergeRows(entry.state, stateOf(change, bound.regular.length), bound.valueOrders),
    );
    const isSame = sameRow(after, entry.state);
    const isConflict = meetsConflict(bound, entry.state, change);
    entry.state = after;
    if (!isSame || isConflict) changed.add(change.key.text);
    if (isQueued || isConflict || asked.has(change.key.text)) return 'queued';
    return isSame ? 'superseded' : 'applied';
  });
  if (bound.policy === null) return { outcomes, changed };
  // A row that the target can't hold without the source's other values.
  const left = new Set<string>();
  for (const { row, state } of rows.values()) {
    if (row.image === null && isAlive(state, nowUs) && isIncomplete(bound, state)) left.add(row.key.text);
  }
  const isLeft = (change: ChangeEvent | undefined): boolean =>
    (change?.kind === 'write' || change?.kind === 'row-delete') && left.has(change.key.text);
  return { outcomes: outcomes.map((outcome, i) => (isLeft(changes[i]?.change) ? 'queued' : outcome)), changed };
}
