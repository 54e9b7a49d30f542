import type { Pool, PoolClient } from 'pg';
import { fold, type Fold } from '../change/fold.ts';
import type { Clock } from '../shared/clock.ts';
import { LockstepError } from '../shared/errors.ts';
import type { ApplyBatch, ApplyManner, ApplyResult, Door } from './batch.ts';
import { checkGeneration, type BoundTable } from './bound-table.ts';
import { ControlStatements } from './control-statements.ts';
import { withinHorizon } from './horizon.ts';
import { probesOf, readProbes } from './probes.ts';
import { classifyRefusal } from './row-refusal.ts';
import { checkSameServer, SERVER_START } from './same-server.ts';
import { applyWideTombstones } from './wide-tombstones.ts';
import { asForeign, certainOf, owedReads } from './rereads/owed-reads.ts';
import { RereadQueue } from './rereads/reread-queue.ts';
import { planRows, type RowPlan } from './row-plan.ts';
import { rowStatements } from './row-statements.ts';
import { rowWrites, type TableDoor } from './row-writes.ts';
import { TargetCatalogue } from './target-catalogue.ts';
import { checkCommitted, gateStatement, pipeline, rollback, type Statement } from './transaction.ts';

export interface DoorOptions {
  readonly pool: Pool;
  readonly controlSchema: string;
  readonly tables: readonly BoundTable[];
  readonly clock: Clock;
}

/** A batch on its way: folded, with the server that recorded its wide tombstones, if it has any. */
interface Work {
  readonly batch: ApplyBatch;
  readonly table: TableDoor;
  readonly folded: Fold;
  readonly recordedOn: string | null;
}

/**
 * The one door to the target: a batch is one READ COMMITTED transaction of two round trips.
 *
 * 1. gate, shard row, *then* — as separate statements, because one statement would see the snapshot from before its lock
 *    wait ⚠ — the graveyard, range tombstones and locked row images that touch the batch's keys;
 * 2. after the pure fold and plan: writes, ledger, queue, dead letters, position, COMMIT.
 *
 * Stream batches take the gate shared: rows of one key come through one shard, so no two of them meet. While the topic
 * grows that does not hold, and every batch takes it exclusively (DESIGN §5 "Growth").
 *
 * Invariants 1–4 of docs/INVARIANTS.md. Fails by rejecting with a classified LockstepError; the transaction is then
 * rolled back, or its connection destroyed, before the rejection.
 */
export class PostgresDoor implements Door {
  readonly #pool: Pool;
  readonly #tables: Map<string, TableDoor>;
  readonly #control: ControlStatements;
  readonly #rereads: RereadQueue;
  readonly #clock: Clock;
  readonly #catalogue: TargetCatalogue;
  /** Tables that were growing when a batch last looked: the next one begins with the exclusive gate. */
  readonly #growing = new Set<string>();

  constructor(options: DoorOptions) {
    this.#pool = options.pool;
    this.#clock = options.clock;
    this.#catalogue = new TargetCatalogue(options.pool);
    this.#control = new ControlStatements(options.controlSchema);
    this.#rereads = new RereadQueue(options.controlSchema);
    this.#tables = new Map(
      options.tables.map((bound) => [bound.table.name, { bound, statements: rowStatements(bound) }]),
    );
  }

  /** The table as it is from now on. Its shards must have nothing in flight that was decoded for the former one. */
  bind(table: TableDoor): void {
    this.#tables.set(table.bound.table.name, table);
  }

  async apply(batch: ApplyBatch, manner: ApplyManner = {}): Promise<ApplyResult> {
    const table = this.#tables.get(batch.table);
    if (table === undefined) {
      throw new LockstepError(`no table ${batch.table} is bound to this door`, {
        code: 'BUG_UNBOUND_TABLE',
        kind: 'bug',
      });
    }
    const certain = certainOf(batch, table.bound);
    const folded = fold(certain, table.bound.valueOrders, table.bound.undecided);
    try {
      const isWide = folded.wide.length > 0 && manner.trial !== true;
      const recordedOn = !isWide
        ? null
        : await applyWideTombstones(this.#pool, this.#control, table, folded.wide, this.#clock, (owed, nowUs) =>
            this.#rereads.add(batch.shard, table.bound.id, owed.map(asForeign), nowUs),
          );
      const work: Work = { batch, table, folded, recordedOn };
      const result = await this.#transaction(work, manner);
      // The topic turned out to be growing: the same batch again, alone.
      return result === 'growing' ? await this.#alone(work, manner) : result;
    } catch (error) {
      const { topic, partition } = batch.shard;
      const action = `applying ${batch.table} ${topic}/${partition} [${batch.from}, ${batch.next})`;
      throw await classifyRefusal(error, action, table.bound, folded.rows.values(), this.#catalogue);
    }
  }

  async #alone(work: Work, manner: ApplyManner): Promise<ApplyResult> {
    const result = await this.#transaction(work, { ...manner, alone: true });
    if (result !== 'growing') return result;
    throw new LockstepError('the exclusive gate was not taken', { code: 'BUG_GATE', kind: 'bug' });
  }

  async #transaction(work: Work, manner: ApplyManner): Promise<ApplyResult | 'growing'> {
    const client = await this.#pool.connect();
    let healthy = true;
    try {
      const result = await this.#inTransaction(client, work, manner);
      if (result === 'growing' || result.kind === 'fenced' || manner.trial === true) healthy = await rollback(client);
      return result;
    } catch (error) {
      healthy = await rollback(client);
      throw error;
    } finally {
      client.release(!healthy);
    }
  }

  async #inTransaction(
    client: PoolClient,
    { batch, table, folded, recordedOn }: Work,
    manner: ApplyManner,
  ): Promise<ApplyResult | 'growing'> {
    const nowUs = BigInt(this.#clock.nowMs()) * 1000n;
    const rows = [...folded.rows.values()];
    const probes = probesOf(this.#control, table, rows, nowUs);
    const mode = manner.alone === true || this.#growing.has(batch.table) ? 'exclusive' : 'shared';
    const [, , position, ...answers] = await pipeline(client, [
      { text: 'BEGIN' },
      { name: `gate-${mode}`, text: gateStatement(mode), values: [table.bound.id] },
      this.#control.lockPosition(batch.shard, table.bound.id),
      ...probes.statements,
      ...(recordedOn === null ? [] : [SERVER_START]),
    ]);
    const [stored = null, growing, , purgedUntil = null, generation = null] = position?.rows[0] ?? [];
    if (stored === null || BigInt(stored) !== batch.from) {
      return { kind: 'fenced', storedNext: stored === null ? -1n : BigInt(stored) };
    }
    checkGeneration(table.bound, generation);
    checkSameServer(recordedOn, answers.at(-1));
    if (growing === 't') this.#growing.add(batch.table);
    else this.#growing.delete(batch.table);
    if (growing === 't' && mode === 'shared') return 'growing';
    const read = await readProbes(client, table, rows, probes, answers, nowUs);
    const { rows: known, owed } =
      purgedUntil === null
        ? { rows: read, owed: [] }
        : await withinHorizon(client, table, read, { purgedUntil: BigInt(purgedUntil), nowUs });
    const plan = planRows(table.bound, known, nowUs);
    const rereads = [...plan.rereads, ...owed];
    const superseded = await this.#write(client, batch, table, { ...plan, rereads }, manner);
    const asked = new Set(rereads.map(({ key }) => key.text));
    return { kind: 'committed', stats: { rows: rows.length, superseded: superseded + plan.superseded, asked } };
  }

  /** The second round trip. Returns how many upserted rows changed nothing. */
  async #write(
    client: PoolClient,
    batch: ApplyBatch,
    table: TableDoor,
    plan: RowPlan,
    manner: ApplyManner,
  ): Promise<number> {
    const statements: Statement[] = rowWrites(table, this.#control, plan);
    const upsertAt = statements.findIndex((statement) => statement.text === table.statements.upsert);
    statements.push(...this.#control.expiryEntries(batch.shard, table.bound.id, plan.expiring));
    if (table.bound.policy !== null) {
      const nowUs = BigInt(this.#clock.nowMs()) * 1000n;
      statements.push(...owedReads(this.#rereads, batch, table.bound, plan.rereads, nowUs));
    }
    statements.push(this.#control.ledgerSegment(batch, table.bound.id));
    statements.push(...this.#control.deadLetters(batch, table.bound.id));
    statements.push(this.#control.movePosition(batch));
    // A trial hears deferred constraints too, and is then rolled back by whoever holds the connection.
    const isTrial = manner.trial === true;
    statements.push({ text: isTrial ? 'SET CONSTRAINTS ALL IMMEDIATE' : 'COMMIT' });
    const results = await pipeline(client, statements);
    if (!isTrial) checkCommitted(results.at(-1));
    return upsertAt === -1 ? 0 : plan.upserts.length - (results[upsertAt]?.rowCount ?? 0);
  }
}
