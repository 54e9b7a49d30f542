/**
 * The door for rows that were read from the source beside the stream: backfill, and whatever else reads rows on its own
 * account. A read merges at the cells' own write times, so it never replaces anything newer; what it does not find, it
 * says nothing about. No ledger: no change of the stream is accounted for.
 *
 * A read begins with `begin` — sequence and moment — and ends in `merge`, on one session ⚠: a database that failed over
 * may give the same sequence again, so with the session the read is void.
 */
import type { Pool, PoolClient } from 'pg';
import type { Cells, ReadSequence, RowKey } from '../../change/change-event.ts';
import {
  EMPTY_TRIGGER,
  stateOfRead,
  withoutKnownExpiring,
  type RereadPolicy,
  type RowTrigger,
} from '../../change/hint.ts';
import { newestCovering, type RangeTombstone } from '../../change/range-tombstone.ts';
import { emptyRow, type RowState } from '../../change/row-state.ts';
import { NEVER, type WriteTime } from '../../change/write-time.ts';
import type { Clock } from '../../shared/clock.ts';
import { LockstepError } from '../../shared/errors.ts';
import type { ShardId } from '../batch.ts';
import { checkGeneration, type BoundTable } from '../bound-table.ts';
import type { ControlStatements } from '../control-statements.ts';
import { createStaging, freshRow, insertStaged, stage, type FreshRow } from './fresh-rows.ts';
import { gateBusy } from '../gate-busy.ts';
import { asForeign } from './owed-reads.ts';
import { classifyPostgresError } from '../postgres-errors.ts';
import { partitionText, readGraves, readRanges } from '../probes.ts';
import { laterReads, memoryOf, newestGone } from './reread-merge.ts';
import type { RereadQueue } from './reread-queue.ts';
import { imageFrom, keyParameters } from '../row-codec.ts';
import {
  isIncomplete,
  meetsConflict,
  planRows,
  stateAfter,
  stateBefore,
  type KnownRow,
  type OwedRead,
} from '../row-plan.ts';
import { rowWrites, type TableDoor } from '../row-writes.ts';
import { sameRow } from '../same-row.ts';
import { checkCommitted, gateStatement, pipeline, rollback, type Statement } from '../transaction.ts';

/** A row that the source has. Its cells stand at their own write times, expiries are exact. */
export interface FoundRow {
  readonly key: RowKey;
  readonly cells: Cells;
}

/**
 * What became of a row. `incomplete`: it is new to the target and lacks a value for a NOT NULL column there; it was left
 * out.
 */
export type FoundOutcome = 'written' | 'unchanged' | 'incomplete';

/** The beginning of a read: everything that PostgreSQL had before is older than what the read finds. */
export interface ReadMark {
  readonly sequence: ReadSequence;
  /** PostgreSQL's clock, µs. */
  readonly begunUs: bigint;
}

export interface FoundRows {
  readonly table: string;
  /** Its owner works off what the rows leave in the queue. */
  readonly shard: ShardId;
  readonly mark: ReadMark;
  readonly rows: readonly FoundRow[];
  /** Longest wait for the gate, ms, before `GATE_BUSY`. */
  readonly gateWaitMs: number;
}

/** By PostgreSQL's clock. */
export interface GateTimes {
  /** How long the gate was waited for, ms. */
  readonly waitedMs: number;
  /** From asking for the gate to the end of the transaction, ms. */
  readonly askedMs: number;
}

export interface MergedRows extends GateTimes {
  /** In the order of the rows. */
  readonly outcomes: readonly FoundOutcome[];
}

export interface InsertedRows extends GateTimes {
  /** Positions of the rows that were not inserted: they are to be merged. */
  readonly left: readonly number[];
}

export interface SourceRowsOptions {
  readonly pool: Pool;
  readonly control: ControlStatements;
  readonly queue: RereadQueue;
  readonly clock: Clock;
  readonly doorOf: (tableName: string) => TableDoor;
}

/** One session of reads. All methods reject with a classified LockstepError. */
export interface SourceRowsSession {
  /** Before the source is asked. */
  begin(): Promise<ReadMark>;
  /**
   * Inserts the rows of which the target knows nothing, under the exclusive gate for a fraction of the time that merging
   * them takes. Rejects as `merge` does, and has then written nothing.
   */
  insert(rows: FoundRows): Promise<InsertedRows>;
  /**
   * Merges rows of a read under the exclusive gate. Rejects with `GATE_BUSY` (transient: ask again later) or a row error
   * (halve the rows), and has then written nothing. Once `isLost`, the read is void.
   */
  merge(rows: FoundRows): Promise<MergedRows>;
  readonly isLost: boolean;
  close(): void;
}

/** A row that is known to be there by its marker alone may be old: it is looked at again now and then. */
const FOUND: RowTrigger = { ...EMPTY_TRIGGER, since: 0n, foreign: true };

/** PostgreSQL's clock, ms. */
const CLOCK: Statement = { name: 'clock-ms', text: 'SELECT extract(epoch FROM clock_timestamp()) * 1000' };

export class SourceRows {
  readonly #options: SourceRowsOptions;

  constructor(options: SourceRowsOptions) {
    this.#options = options;
  }

  /** The caller closes it. */
  async open(): Promise<SourceRowsSession> {
    const { pool, queue } = this.#options;
    const action = 'beginning to read rows of the source';
    let client: PoolClient;
    try {
      client = await pool.connect();
    } catch (error) {
      throw classifyPostgresError(error, action, true);
    }
    let isLost = false;
    const carriedOut = async <T>({ table }: FoundRows, work: () => Promise<T>): Promise<T> => {
      if (isLost) throw sessionLost();
      try {
        return await work();
      } catch (error) {
        isLost = !(await rollback(client));
        throw gateBusy(error) ?? classifyPostgresError(error, `merging rows of ${table} from the source`);
      }
    };
    const staged = new Set<string>();
    return {
      get isLost() {
        return isLost;
      },
      begin: async () => {
        try {
          const [drawn, clock] = await pipeline(client, [
            queue.draw(),
            { name: 'read-begins', text: 'SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint' },
          ]);
          return { sequence: BigInt(drawn?.rows[0]?.[0] ?? '0'), begunUs: BigInt(clock?.rows[0]?.[0] ?? '0') };
        } catch (error) {
          isLost = true;
          throw classifyPostgresError(error, action, true);
        }
      },
      insert: (rows) => carriedOut(rows, () => this.#insert(client, rows, staged)),
      merge: (rows) => carriedOut(rows, () => this.#merge(client, rows)),
      close: () => {
        client.release(isLost);
      },
    };
  }

  /** @param staged Bindings whose temporary table the session has. */
  async #insert(client: PoolClient, found: FoundRows, staged: Set<string>): Promise<InsertedRows> {
    const { control, clock, doorOf } = this.#options;
    const table = doorOf(found.table);
    const { bound } = table;
    if (bound.policy === null) throw noPolicy(bound);
    const nowUs = BigInt(clock.nowMs()) * 1000n;
    const fresh: FreshRow[] = [];
    const left: number[] = [];
    const at = new Map<string, number>();
    for (const [i, row] of found.rows.entries()) {
      const made = freshRow(bound, bound.policy, row, found.mark, nowUs);
      if (made === null) left.push(i);
      else {
        fresh.push(made);
        at.set(row.key.text, i);
      }
    }
    if (fresh.length === 0) return { left, waitedMs: 0, askedMs: 0 };
    if (!staged.has(bound.tag)) {
      await pipeline(client, [createStaging(table)]);
      staged.add(bound.tag);
    }
    const [, , , asked, , entered, , generation, rest, committed, ended] = await pipeline(client, [
      { text: 'BEGIN' },
      stage(table, fresh),
      { text: `SET LOCAL lock_timeout = ${Math.ceil(found.gateWaitMs)}` },
      CLOCK,
      { name: 'gate-exclusive', text: gateStatement('exclusive'), values: [bound.id] },
      CLOCK,
      { text: 'SET LOCAL lock_timeout = DEFAULT' },
      control.generation(bound.id),
      insertStaged(control, table, found.shard),
      { text: 'COMMIT' },
      CLOCK,
    ]);
    checkCommitted(committed);
    checkGeneration(bound, generation?.rows[0]?.[0]);
    for (const [key] of rest?.rows ?? []) left.push(at.get(key ?? '') ?? -1);
    return { left: left.sort((one, other) => one - other), ...gateTimes(asked, entered, ended) };
  }

  async #merge(client: PoolClient, found: FoundRows): Promise<MergedRows> {
    const { control, queue, clock, doorOf } = this.#options;
    const table = doorOf(found.table);
    const { bound } = table;
    const { policy } = bound;
    if (policy === null) throw noPolicy(bound);
    const keys = found.rows.map(({ key }) => key);
    const [, , asked, , entered, , generation, graves, ranges, images] = await pipeline(client, [
      { text: 'BEGIN' },
      { text: `SET LOCAL lock_timeout = ${Math.ceil(found.gateWaitMs)}` },
      CLOCK,
      { name: 'gate-exclusive', text: gateStatement('exclusive'), values: [bound.id] },
      CLOCK,
      { text: 'SET LOCAL lock_timeout = DEFAULT' },
      control.generation(bound.id),
      ...memoryOf(control, bound, keys),
      { name: `images-${bound.tag}`, text: table.statements.lockImages, values: keyParameters(bound, keys) },
    ]);
    checkGeneration(bound, generation?.rows[0]?.[0]);
    const nowUs = BigInt(clock.nowMs()) * 1000n;
    const memory = memoryFrom(bound, graves?.rows ?? [], ranges?.rows ?? [], found.mark.begunUs);
    const imageOf = new Map<string, RowState>();
    for (const line of images?.rows ?? []) {
      const key = keys[Number(line[0]) - 1];
      if (key !== undefined) imageOf.set(key.text, imageFrom(bound, line, 1));
    }
    const outcomes: FoundOutcome[] = [];
    const changed: KnownRow[] = [];
    const owed: OwedRead[] = [];
    const later: Statement[] = [];
    for (const row of found.rows) {
      const known = knownRow(bound, policy, row, found.mark.sequence, memory, imageOf.get(row.key.text) ?? null);
      const outcome = outcomeOf(bound, known);
      outcomes.push(outcome);
      if (outcome !== 'written') continue;
      changed.push(known);
      const half = halfDeleted(bound, policy, known, memory);
      if (half !== null) owed.push({ key: row.key, trigger: half });
      later.push(
        ...laterReads(
          { queue, table, policy, shard: found.shard },
          { key: row.key, trigger: FOUND },
          row,
          known,
          nowUs,
        ),
      );
    }
    const plan = planRows(bound, changed, nowUs);
    const statements: Statement[] = [
      ...rowWrites(table, control, plan),
      ...control.expiryEntries(found.shard, bound.id, plan.expiring, 'unknown shard'),
      ...queue.add(found.shard, bound.id, [...plan.rereads, ...owed].map(asForeign), nowUs),
      ...later,
    ];
    const [committed, ended] = (await pipeline(client, [...statements, { text: 'COMMIT' }, CLOCK])).slice(-2);
    checkCommitted(committed);
    return { outcomes, ...gateTimes(asked, entered, ended) };
  }
}

/** From the answers to CLOCK. */
function gateTimes(...clocks: readonly ({ readonly rows: readonly Line[] } | undefined)[]): GateTimes {
  const [askedAt = 0, enteredAt = 0, endedAt = 0] = clocks.map((answer) => Number(answer?.rows[0]?.[0] ?? 0));
  return { waitedMs: enteredAt - askedAt, askedMs: endedAt - askedAt };
}

type Line = readonly (string | null)[];

/** Tombstones and graves of the rows; `before`: those that were here when the read began. */
interface Memory {
  readonly graves: ReadonlyMap<string, RowState>;
  readonly ranges: ReadonlyMap<string, readonly RangeTombstone[]>;
  readonly gravesBefore: ReadonlyMap<string, RowState>;
  readonly rangesBefore: ReadonlyMap<string, readonly RangeTombstone[]>;
}

function memoryFrom(bound: BoundTable, graves: readonly Line[], ranges: readonly Line[], begunUs: bigint): Memory {
  const before = (lines: readonly Line[]): Line[] => lines.filter((line) => BigInt(line.at(-1) ?? '0') < begunUs);
  return {
    graves: readGraves(bound, { rows: graves }),
    ranges: readRanges({ rows: ranges }),
    gravesBefore: readGraves(bound, { rows: before(graves) }),
    rangesBefore: readRanges({ rows: before(ranges) }),
  };
}

function coveringOf(bound: BoundTable, key: RowKey, graves: Memory['graves'], ranges: Memory['ranges']): WriteTime {
  return newestCovering(
    ranges.get(partitionText(bound, key.values)) ?? [],
    bound.clusteringOrder,
    key.values.slice(bound.table.partitionKey.length),
    graves.get(key.text)?.deletedAt ?? NEVER,
  );
}

function knownRow(
  bound: BoundTable,
  policy: RereadPolicy,
  { key, cells }: FoundRow,
  sequence: ReadSequence,
  memory: Memory,
  image: RowState | null,
): KnownRow {
  const names = bound.regular.map(({ column }) => column.name);
  // As re-reads have it: only a table with clustering columns hides inserts in its deletes.
  const coveredBefore =
    bound.table.clustering.length === 0 ? NEVER : coveringOf(bound, key, memory.gravesBefore, memory.rangesBefore);
  const goneBefore = newestGone(memory.gravesBefore.get(key.text) ?? null);
  const read = stateOfRead({ cells }, EMPTY_TRIGGER, sequence, { names, policy, coveredBefore, goneBefore });
  const grave = memory.graves.get(key.text) ?? null;
  return {
    key,
    incoming: withoutKnownExpiring(read, image ?? grave ?? emptyRow(names.length), EMPTY_TRIGGER, { names }),
    grave,
    ranges: memory.ranges.get(partitionText(bound, key.values)) ?? [],
    image,
  };
}

function outcomeOf(bound: BoundTable, known: KnownRow): FoundOutcome {
  const after = stateAfter(bound, known);
  if (sameRow(stateBefore(bound, known), after) && !meetsConflict(bound, known)) return 'unchanged';
  return known.image === null && isIncomplete(bound, after) ? 'incomplete' : 'written';
}

/**
 * A tombstone that came since the read began and is older than the newest element of a multi-cell column: some of the
 * elements that were read are gone, nobody knows which ⚠. The column is read again.
 */
function halfDeleted(bound: BoundTable, policy: RereadPolicy, known: KnownRow, memory: Memory): RowTrigger | null {
  const { key } = known;
  const now = coveringOf(bound, key, memory.graves, memory.ranges);
  if (now <= coveringOf(bound, key, memory.gravesBefore, memory.rangesBefore)) return null;
  const columns: Record<string, WriteTime> = {};
  for (const [i, cell] of known.incoming.cells.entries()) {
    if (policy.multiCell[i] !== true || cell === null || cell.writeTime <= now) continue;
    columns[bound.regular[i]?.column.name ?? ''] = cell.writeTime;
  }
  return Object.keys(columns).length === 0 ? null : { ...EMPTY_TRIGGER, columns };
}

function sessionLost(): LockstepError {
  return new LockstepError('the session that the read began on is lost', {
    code: 'READ_VOID',
    kind: 'transient',
    remedy: 'none needed: the rows are read again',
  });
}

function noPolicy(bound: BoundTable): LockstepError {
  return new LockstepError(`rows of ${bound.table.name} can not be asked for one by one`, {
    code: 'SOURCE_KEY',
    kind: 'config',
    remedy:
      'a key that holds a type whose bytes are not known can not be read again, so that what is read once could not be kept right',
  });
}
