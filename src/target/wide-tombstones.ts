import type { Pool, PoolClient, QueryArrayResult } from 'pg';
import { rowKey, type PartitionDelete, type RangeDelete } from '../change/change-event.ts';
import { includes, UNBOUNDED, type RangeTombstone } from '../change/range-tombstone.ts';
import type { Clock } from '../shared/clock.ts';
import { checkGeneration, type BoundTable } from './bound-table.ts';
import type { ControlStatements } from './control-statements.ts';
import { rowWrites, type TableDoor } from './row-writes.ts';
import { readGraves, readRanges } from './probes.ts';
import { planRows, type KnownRow, type RowPlan } from './row-plan.ts';
import { emptyRow } from '../change/row-state.ts';
import { imageFrom } from './row-codec.ts';
import { rangePredicate } from './range-predicate.ts';
import { checkSameServer, SERVER_START, serverStartOf } from './same-server.ts';
import { quoteIdentifier } from './sql-text.ts';
import { checkCommitted, type GateMode, gateStatement, pipeline, type Statement, withClient } from './transaction.ts';

/** Rows handled per transaction while the gate is held: ≤ 50 ms of holding time on the machine of bench/README.md. */
const REMOVAL_CHUNK_ROWS = 500;
/** Rows deleted per transaction under the shared gate; nobody waits for that one. */
const DELETE_CHUNK_ROWS = 5_000;

type Wide = PartitionDelete | RangeDelete;
type Answer = QueryArrayResult<(string | null)[]>;

function tombstoneOf(change: Wide): RangeTombstone {
  return change.kind === 'range-delete'
    ? { start: change.start, end: change.end, writeTime: change.writeTime }
    : { start: UNBOUNDED, end: UNBOUNDED, writeTime: change.writeTime };
}

/** Queues the reads that follow from a removal. */
export type OwedStatements = (owed: RowPlan['rereads'], nowUs: bigint) => readonly Statement[];

/** Runs one gated transaction; `work` returns the writes to commit with, after what it has read. */
async function gated<T>(
  pool: Pool,
  mode: GateMode,
  tableId: number,
  work: (client: PoolClient) => Promise<{ readonly writes: readonly Statement[]; readonly result: T }>,
): Promise<T> {
  return withClient(pool, async (client) => {
    await pipeline(client, [{ text: 'BEGIN' }, { text: gateStatement(mode), values: [tableId] }]);
    const { writes, result } = await work(client);
    checkCommitted((await pipeline(client, [...writes, { text: 'COMMIT' }])).at(-1));
    return result;
  });
}

/**
 * Puts partition and range deletes in force, before the batch that carries them (DESIGN §5): their tombstones in one
 * short transaction under the exclusive gate, so that every batch either ended before or sees them; then the removal of
 * rows in chunks. Repeating any part is harmless, and whoever does it is right, because the record is in the log.
 *
 * Rows that the tombstone covers whole go by a DELETE that re-checks their write times on the locked row. Rows of which
 * something newer remains are rare and may leave a memory in the graveyard, which another shard's batch must not miss:
 * those are done under the exclusive gate.
 *
 * @returns the server that the first of it was done on, for `checkSameServer` in the batch's own transaction.
 */
export async function applyWideTombstones(
  pool: Pool,
  control: ControlStatements,
  table: TableDoor,
  changes: readonly Wide[],
  clock: Clock,
  owed: OwedStatements,
): Promise<string> {
  const recordedOn = await recordTombstones(pool, control, table, changes);
  for (const change of changes) {
    while ((await deleteCovered(pool, table, change, recordedOn)) === DELETE_CHUNK_ROWS);
    while (await coverPartly(pool, control, table, change, clock, owed, recordedOn));
  }
  return recordedOn;
}

async function recordTombstones(
  pool: Pool,
  control: ControlStatements,
  table: TableDoor,
  changes: readonly Wide[],
): Promise<string> {
  const { bound } = table;
  const partitions = new Set(changes.map((change) => change.partition.text));
  return gated(pool, 'exclusive', bound.id, async (client) => {
    const [, stored, server] = await pipeline(client, [
      control.addRanges(bound.id, changes),
      control.ranges(bound.id, partitions),
      SERVER_START,
    ]);
    const superfluous = stored === undefined ? [] : coveredTombstones(table, stored);
    const writes =
      superfluous.length === 0
        ? []
        : [
            control.removeRanges(
              bound.id,
              superfluous.map((entry) => entry.partition),
              superfluous.map((entry) => entry.bounds),
            ),
          ];
    return { writes, result: serverStartOf(server) };
  });
}

/** Tombstones of the partitions that another one makes superfluous. Of two equal ones neither can occur: same bounds, one entry. */
function coveredTombstones(table: TableDoor, stored: Answer): { partition: string; bounds: string }[] {
  const superfluous: { partition: string; bounds: string }[] = [];
  const byPartition = readRanges(stored);
  for (const [partition, bounds] of stored.rows) {
    const all = byPartition.get(partition ?? '') ?? [];
    const inner = all.find((tombstone) => boundsTextOf(tombstone) === bounds);
    if (inner === undefined) continue;
    const outer = all.find((other) => other !== inner && includes(other, inner, table.bound.clusteringOrder));
    if (
      outer !== undefined &&
      !(includes(inner, outer, table.bound.clusteringOrder) && boundsTextOf(outer) > (bounds ?? ''))
    ) {
      superfluous.push({ partition: partition ?? '', bounds: bounds ?? '' });
    }
  }
  return superfluous;
}

function boundsTextOf(tombstone: RangeTombstone): string {
  const { start, end } = tombstone;
  return JSON.stringify([start.inclusive, start.values, end.inclusive, end.values]);
}

/** The write times of a row in SQL: all slots but those of read sequences, which are no times. */
function writeTimes({ readSlots }: BoundTable): string {
  if (readSlots.length === 0) return 'unnest(t._cdc_versions) AS v';
  return `unnest(t._cdc_versions) WITH ORDINALITY AS w(v, slot) WHERE slot <> ALL ('{${readSlots.join(',')}}'::bigint[])`;
}

function allCovered(bound: BoundTable, time: string): string {
  if (bound.readSlots.length === 0) return `${time} >= ALL (t._cdc_versions)`;
  return `${time} >= ALL (SELECT v FROM ${writeTimes(bound)})`;
}

function someCovered(bound: BoundTable, time: string): string {
  return `EXISTS (SELECT 1 FROM (SELECT v FROM ${writeTimes(bound)}) AS times
    WHERE v <= ${time} AND v > '-9223372036854775808'::bigint)`;
}

/**
 * Deletes rows of the range all of whose write times the tombstone covers. Returns how many. Where a failover has taken the
 * tombstone back, what it covers must keep its own memory ⚠: nothing else would stop an older write.
 */
async function deleteCovered(pool: Pool, table: TableDoor, change: Wide, recordedOn: string): Promise<number> {
  const { bound } = table;
  const range = rangePredicate(bound, 't', change);
  const time = `$${range.values.length + 1}::bigint`;
  const covered = allCovered(bound, time);
  const text = `DELETE FROM ${bound.target} AS t WHERE t.ctid = ANY (ARRAY(
      SELECT t.ctid FROM ${bound.target} AS t WHERE ${range.sql} AND ${covered} LIMIT ${DELETE_CHUNK_ROWS} FOR UPDATE))
    AND ${range.sql} AND ${covered}`;
  return gated(pool, 'shared', bound.id, async (client) => {
    const [answer, server] = await pipeline(client, [
      { text, values: [...range.values, String(change.writeTime)] },
      SERVER_START,
    ]);
    checkSameServer(recordedOn, server);
    return { writes: [], result: answer?.rowCount ?? 0 };
  });
}

/** Covers up to a chunk of rows of which only a part is older than the tombstone. True while there may be more. */
async function coverPartly(
  pool: Pool,
  control: ControlStatements,
  table: TableDoor,
  change: Wide,
  clock: Clock,
  owed: OwedStatements,
  recordedOn: string,
): Promise<boolean> {
  const { bound } = table;
  const range = rangePredicate(bound, 't', change);
  const time = `$${range.values.length + 1}::bigint`;
  const names = [...bound.keys, ...bound.regular].map((column) => `t.${quoteIdentifier(column.column.target)}`);
  const some = someCovered(bound, time);
  const select = (lock: string): Statement => ({
    text: `SELECT ${names.join(', ')}, t._cdc_versions, t._cdc_expiries FROM ${bound.target} AS t
           WHERE ${range.sql} AND ${some} LIMIT ${REMOVAL_CHUNK_ROWS} ${lock}`,
    values: [...range.values, String(change.writeTime)],
  });
  // A look without the exclusive gate first: mostly there is nothing, and nobody has to wait.
  const [look] = await gated(pool, 'shared', bound.id, async (client) => ({
    writes: [],
    result: await pipeline(client, [select('')]),
  }));
  if (look === undefined || look.rows.length === 0) return false;
  return gated(pool, 'exclusive', bound.id, async (client) => {
    const [registered, images, server] = await pipeline(client, [
      control.generation(bound.id),
      select('FOR UPDATE'),
      SERVER_START,
    ]);
    checkSameServer(recordedOn, server);
    checkGeneration(bound, registered?.rows[0]?.[0]);
    const lines = images?.rows ?? [];
    const nowUs = BigInt(clock.nowMs()) * 1000n;
    const keys = lines.map((line) => rowKey(bound.keys.map((column, i) => column.mapping.fromTarget(line[i] ?? ''))));
    const [graveAnswer] = await pipeline(client, [
      control.graves(
        bound.id,
        keys.map((key) => key.text),
      ),
    ]);
    const graves = readGraves(bound, graveAnswer);
    const known = lines.map((line, i): KnownRow => {
      const key = keys[i] ?? rowKey([]);
      return {
        key,
        incoming: emptyRow(bound.regular.length),
        grave: graves.get(key.text) ?? null,
        ranges: [tombstoneOf(change)],
        image: imageFrom(bound, line, bound.keys.length),
      };
    });
    const plan = planRows(bound, known, nowUs);
    const writes = [...rowWrites(table, control, plan), ...owed(plan.rereads, nowUs)];
    return { writes, result: lines.length === REMOVAL_CHUNK_ROWS };
  });
}
