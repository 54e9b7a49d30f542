import type { Pool, PoolClient } from 'pg';
import { rowKey, type RowKey } from '../../change/change-event.ts';
import { EMPTY_TRIGGER, joinTriggers, type RowTrigger, type SourceRow } from '../../change/hint.ts';
import { newestCovering, type RangeTombstone } from '../../change/range-tombstone.ts';
import { NEVER, type WriteTime } from '../../change/write-time.ts';
import type { Clock } from '../../shared/clock.ts';
import { LockstepError } from '../../shared/errors.ts';
import type { ShardId } from '../batch.ts';
import type { BoundTable } from '../bound-table.ts';
import type { ControlStatements } from '../control-statements.ts';
import { classifyPostgresError } from '../postgres-errors.ts';
import { partitionText, readGraves, readRanges } from '../probes.ts';
import { expandPage } from './reread-expansion.ts';
import { readProblem } from './read-problem.ts';
import { memoryOf, mergeUnder, retryAfterUs, type Merge, type ReadRows, type Wanted } from './reread-merge.ts';
import type { QueueEntry, RereadQueue } from './reread-queue.ts';
import type { TableDoor } from '../row-writes.ts';
import { checkCommitted, pipeline, rollback, type Statement } from '../transaction.ts';

/** Rows read and merged at a time: bounds memory, the read, and how long the shard row is held. */
const REREAD_ROWS = 200;

/** What one turn of a shard did. */
export interface ServedReads {
  /** Rows asked of the source. */
  readonly rows: number;
  /** Time that the source took, ms. */
  readonly readMs: number;
  /** More is due already. */
  readonly more: boolean;
}

/** Reads of one table that wait for the source. */
export interface RereadDepth {
  readonly table: string;
  readonly rows: number;
  /** When the oldest was queued, ms since the epoch. */
  readonly oldestMs: number;
}

export interface RereadsOptions {
  readonly pool: Pool;
  readonly control: ControlStatements;
  readonly queue: RereadQueue;
  readonly clock: Clock;
  readonly doorOf: (tableName: string) => TableDoor;
  /** Name of the table that holds a table's static columns, or null: its reads are owed by the same shards. */
  readonly staticsOf: (tableName: string) => string | null;
}

const NOTHING: ServedReads = { rows: 0, readMs: 0, more: false };

/**
 * Works off what shards owe to the source (DESIGN §4). Done by the shard's owner; a stale owner finds the entries that it
 * served gone, and writes nothing.
 *
 * 1. the entries that are due, and *then* the read sequence, on one session: a sequence is void if that session is lost
 *    ⚠, because a database that failed over may give the same number again;
 * 2. the source is read, outside any transaction;
 * 3. one short transaction under the gate and the shard row merges the rows and removes exactly those entries. If one of
 *    them is gone or was extended, nothing is written and the next turn reads again.
 *
 * All methods reject with a classified LockstepError; the queue is then as it was.
 */
export class Rereads {
  readonly #options: RereadsOptions;
  /** Rows of the next turn of a shard that met a row which can't be read or kept; others take REREAD_ROWS. */
  readonly #cautious = new Map<string, number>();

  constructor(options: RereadsOptions) {
    this.#options = options;
  }

  /** Those of the given shards that owe a read by now: one question for all of them. */
  async dueShards<T extends ShardId>(shards: readonly T[]): Promise<readonly T[]> {
    if (shards.length === 0) return [];
    const rows = await this.#rows(
      this.#options.queue.dueShards(shards, this.#nowUs()),
      'asking which shards owe a read',
    );
    return rows.flatMap(([n]) => shards[Number(n) - 1] ?? []);
  }

  /** What waits, by source table; tables for which nothing waits are left out. */
  async depths(): Promise<readonly RereadDepth[]> {
    const rows = await this.#rows(this.#options.queue.depths(this.#nowUs()), 'counting queued re-reads');
    return rows.map(([table, count, oldest]) => ({
      table: table ?? '',
      rows: Number(count),
      oldestMs: Number(oldest) * 1000,
    }));
  }

  /** A turn of the table's rows, then of its static columns, if none of the rows is left. */
  async serve(tableName: string, shard: ShardId, read: ReadRows, signal: AbortSignal): Promise<ServedReads> {
    const rows = await this.#serve(tableName, shard, read, signal);
    const statics = this.#options.staticsOf(tableName);
    if (statics === null || rows.more) return rows;
    const { more, ...served } = await this.#serve(statics, shard, read, signal);
    return { rows: rows.rows + served.rows, readMs: rows.readMs + served.readMs, more };
  }

  /**
   * One turn: up to 200 rows of the shard. A row that can't be read or kept exactly (an error of kind `row`) is isolated
   * by halving the turn and then put off, so that it delays no other.
   */
  async #serve(tableName: string, shard: ShardId, read: ReadRows, signal: AbortSignal): Promise<ServedReads> {
    const { pool, doorOf } = this.#options;
    const action = `reading rows of ${tableName} again`;
    let client: PoolClient;
    try {
      client = await pool.connect();
    } catch (error) {
      throw classifyPostgresError(error, action, true);
    }
    let healthy = true;
    const name = `${tableName}/${shard.partition}`;
    const limit = this.#cautious.get(name) ?? REREAD_ROWS;
    try {
      const served = await this.#turn(client, doorOf(tableName), shard, read, limit, signal);
      if (limit * 2 < REREAD_ROWS) this.#cautious.set(name, limit * 2);
      else this.#cautious.delete(name);
      return served;
    } catch (thrown) {
      healthy = await rollback(client);
      const error = thrown instanceof LockstepError ? thrown : classifyPostgresError(thrown, action);
      if (!healthy || error.kind !== 'row') throw error;
      if (limit > 1) {
        this.#cautious.set(name, Math.floor(limit / 2));
        return { ...NOTHING, more: true };
      }
      await this.#putOff(client, doorOf(tableName), shard);
      throw error;
    } finally {
      client.release(!healthy);
    }
  }

  async #turn(
    client: PoolClient,
    table: TableDoor,
    shard: ShardId,
    read: ReadRows,
    limit: number,
    signal: AbortSignal,
  ): Promise<ServedReads> {
    const { control, queue, clock } = this.#options;
    const { bound } = table;
    const { policy } = bound;
    if (policy === null) return NOTHING;
    const [picked, drawn] = await pipeline(client, [queue.pick(shard, bound.id, this.#nowUs(), limit), queue.draw()]);
    const entries = queue.entries(picked?.rows ?? []);
    if (entries.length === 0) return NOTHING;
    const expansion = entries.find((entry) => entry.expansion !== null);
    if (expansion !== undefined) {
      await expandPage(client, { control, queue }, table, shard, expansion, this.#nowUs());
      return { ...NOTHING, more: true };
    }
    const wanted = await wantedRows(client, control, bound, entries);
    const startedMs = performance.now();
    const rows = await read(
      bound.table,
      wanted.map(({ key }) => key),
      signal,
    );
    const readMs = performance.now() - startedMs;
    if (rows.length !== wanted.length) {
      throw new LockstepError(`the source answered ${rows.length} of ${wanted.length} rows`, {
        code: 'BUG_SOURCE_ROWS',
        kind: 'bug',
      });
    }
    checkRepresentable(bound, wanted, rows);
    const sequence = BigInt(drawn?.rows[0]?.[0] ?? '0');
    const merge: Merge = { control, queue, clock, table, policy, shard, entries, wanted, rows, sequence };
    const mode = wanted.some(({ trigger }) => trigger.foreign) ? 'exclusive' : 'shared';
    let outcome = await mergeUnder(client, mode, merge);
    if (outcome === 'needs-exclusive') outcome = await mergeUnder(client, 'exclusive', merge);
    return { rows: wanted.length, readMs, more: wanted.length === limit || outcome !== 'merged' };
  }

  /** Queues the first row that is due again, for later. */
  async #putOff(client: PoolClient, { bound }: TableDoor, shard: ShardId): Promise<void> {
    const { queue } = this.#options;
    const [picked] = await pipeline(client, [queue.pick(shard, bound.id, this.#nowUs(), 1)]);
    const entries = queue.entries(picked?.rows ?? []);
    const owed = entries.map(({ rowKey: text, trigger }) => ({ key: rowKey(JSON.parse(text) as string[]), trigger }));
    const attempts = Math.max(0, ...entries.map((entry) => entry.attempts));
    const answers = await pipeline(client, [
      { text: 'BEGIN' },
      queue.remove(shard, bound.id, entries),
      ...queue.add(shard, bound.id, owed, this.#nowUs() + retryAfterUs(attempts), { attempts: attempts + 1 }),
      { text: 'COMMIT' },
    ]);
    checkCommitted(answers.at(-1));
  }

  async #rows({ name, text, values }: Statement, action: string): Promise<readonly (string | null)[][]> {
    try {
      const named = name === undefined ? {} : { name };
      const query = { ...named, text, values: [...(values ?? [])], rowMode: 'array' as const };
      return (await this.#options.pool.query<(string | null)[]>(query)).rows;
    } catch (error) {
      throw classifyPostgresError(error, action, true);
    }
  }

  #nowUs(): bigint {
    return BigInt(this.#options.clock.nowMs()) * 1000n;
  }
}

/** "Exact or refused" for what was read, as for what a change carries. */
function checkRepresentable(bound: BoundTable, wanted: readonly Wanted[], rows: readonly SourceRow[]): void {
  for (const [n, row] of rows.entries()) {
    const problem = row === null ? null : readProblem(bound, wanted[n]?.key ?? rowKey([]), row.cells);
    if (problem !== null) throw problem;
  }
}

/** The rows behind the entries, each once, with the tombstones that cover them by now. */
async function wantedRows(
  client: PoolClient,
  control: ControlStatements,
  bound: BoundTable,
  entries: readonly QueueEntry[],
): Promise<readonly Wanted[]> {
  const byRow = new Map<string, { readonly trigger: RowTrigger; readonly attempts: number }>();
  for (const { rowKey: text, trigger, attempts } of entries) {
    const known = byRow.get(text) ?? { trigger: EMPTY_TRIGGER, attempts: 0 };
    byRow.set(text, {
      trigger: joinTriggers(known.trigger, trigger),
      attempts: Math.max(known.attempts, attempts),
    });
  }
  const wanted = [...byRow].map(([text, served]) => ({ key: rowKey(JSON.parse(text) as string[]), ...served }));
  const covering = await coveringOf(
    client,
    control,
    bound,
    wanted.map(({ key }) => key),
  );
  return wanted.map((each) => ({ ...each, coveredBefore: covering(each.key) }));
}

/**
 * Only a table with clustering columns hides inserts in its deletes. Elsewhere the marker that a read leaves stands below
 * every tombstone: a delete is never undone by a read that came too early.
 */
async function coveringOf(
  client: PoolClient,
  control: ControlStatements,
  bound: BoundTable,
  keys: readonly RowKey[],
): Promise<(key: RowKey) => WriteTime> {
  if (bound.table.clustering.length === 0) return () => NEVER;
  const [graveAnswer, rangeAnswer] = await pipeline(client, memoryOf(control, bound, keys));
  const graves = readGraves(bound, graveAnswer);
  const ranges = rangeAnswer === undefined ? new Map<string, RangeTombstone[]>() : readRanges(rangeAnswer);
  return (key) =>
    newestCovering(
      ranges.get(partitionText(bound, key.values)) ?? [],
      bound.clusteringOrder,
      key.values.slice(bound.table.partitionKey.length),
      graves.get(key.text)?.deletedAt ?? NEVER,
    );
}
