import type { PoolClient, QueryArrayResult } from 'pg';
import type { ReadSequence, RowKey } from '../../change/change-event.ts';
import {
  EMPTY_TRIGGER,
  partExpiries,
  stateOfRead,
  withdrawn,
  withoutKnownExpiring,
  withoutSettled,
  type RereadPolicy,
  type RowTrigger,
  type SourceRow,
} from '../../change/hint.ts';
import { emptyRow, isGone, isKeptByMarker, type RowState } from '../../change/row-state.ts';
import { NEVER, type WriteTime } from '../../change/write-time.ts';
import type { RangeTombstone } from '../../change/range-tombstone.ts';
import type { Table } from '../../catalog/table.ts';
import type { Clock } from '../../shared/clock.ts';
import { LockstepError } from '../../shared/errors.ts';
import type { ShardId } from '../batch.ts';
import { checkGeneration, type BoundTable } from '../bound-table.ts';
import type { ControlStatements } from '../control-statements.ts';
import { partitionText, readGraves, readRanges } from '../probes.ts';
import type { QueueEntry, RereadQueue } from './reread-queue.ts';
import { imageFrom, keyParameters } from '../row-codec.ts';
import { planRows, stateAfter, type KnownRow, type OwedRead } from '../row-plan.ts';
import { rowWrites, type TableDoor } from '../row-writes.ts';
import { checkCommitted, gateStatement, pipeline, type GateMode, type Statement } from '../transaction.ts';

/** Reads rows of the source by key: one answer per key, in their order. Rejects with a classified LockstepError. */
export type ReadRows = (table: Table, keys: readonly RowKey[], signal: AbortSignal) => Promise<readonly SourceRow[]>;

/** A row that the target can't hold yet (a NOT NULL column is still empty) is read again after this long, doubling. */
export const FIRST_RETRY_US = 1_000_000n;
const MAX_RETRY_US = 60_000_000n;
/** A row that only a marker of unknown expiry keeps is looked at again when that has lasted twice as long, at least this often. */
const MAX_RECHECK_US = 3_600_000_000n;

/** A row to be read with all that it serves. */
export interface Wanted {
  readonly key: RowKey;
  readonly trigger: RowTrigger;
  readonly attempts: number;
  /** Newest tombstone over the row that the target knew before the read. */
  readonly coveredBefore: WriteTime;
}

type Answer = QueryArrayResult<(string | null)[]>;

/** Graveyard and range tombstones of rows. */
export function memoryOf(control: ControlStatements, bound: BoundTable, keys: readonly RowKey[]): Statement[] {
  return [
    control.graves(
      bound.id,
      keys.map((key) => key.text),
    ),
    control.ranges(bound.id, new Set(keys.map((key) => partitionText(bound, key.values)))),
  ];
}

/** One read and what it serves, to be merged. */
export interface Merge {
  readonly control: ControlStatements;
  readonly queue: RereadQueue;
  readonly clock: Clock;
  readonly table: TableDoor;
  readonly policy: RereadPolicy;
  readonly shard: ShardId;
  readonly entries: readonly QueueEntry[];
  readonly wanted: readonly Wanted[];
  readonly rows: readonly SourceRow[];
  readonly sequence: ReadSequence;
}

/**
 * One short transaction: gate, shard row, removal of exactly the entries that were served, then the merge of what the
 * source said. `stale`: an entry was gone or extended, nothing was written.
 */
export async function mergeUnder(
  client: PoolClient,
  mode: GateMode,
  merge: Merge,
): Promise<'merged' | 'stale' | 'needs-exclusive'> {
  const { control, queue, table, shard, entries, wanted } = merge;
  const { bound } = table;
  const keys = wanted.map(({ key }) => key);
  const [, , position, removed, graveAnswer, rangeAnswer, images] = await pipeline(client, [
    { text: 'BEGIN' },
    { name: `gate-${mode}`, text: gateStatement(mode), values: [bound.id] },
    control.lockPosition(shard, bound.id),
    queue.remove(shard, bound.id, entries),
    ...memoryOf(control, bound, keys),
    { name: `images-${bound.tag}`, text: table.statements.lockImages, values: keyParameters(bound, keys) },
  ]);
  if (position?.rows.length !== 1 || removed?.rowCount !== entries.length) {
    await client.query('ROLLBACK');
    return 'stale';
  }
  checkGeneration(bound, position.rows[0]?.[4]);
  if (mode === 'shared' && mayHaveMoved(position.rows[0] ?? [], entries)) {
    await client.query('ROLLBACK');
    return 'needs-exclusive';
  }
  const writes = writesOf(merge, graveAnswer, rangeAnswer, images);
  checkCommitted((await pipeline(client, [...writes, { text: 'COMMIT' }])).at(-1));
  return 'merged';
}

/** While the topic grows, and for entries from before that ended, another shard may carry the row (DESIGN §5). */
function mayHaveMoved(
  [, growing, grownUntil = null]: readonly (string | null)[],
  entries: readonly QueueEntry[],
): boolean {
  if (growing === 't') return true;
  return grownUntil !== null && entries.some(({ queuedAt }) => Number(queuedAt) <= Number(grownUntil));
}

function writesOf(
  merge: Merge,
  graveAnswer: Answer | undefined,
  rangeAnswer: Answer | undefined,
  imageAnswer: Answer | undefined,
): readonly Statement[] {
  const { control, queue, clock, table, policy, shard, wanted, rows, sequence } = merge;
  const { bound } = table;
  const nowUs = BigInt(clock.nowMs()) * 1000n;
  const names = bound.regular.map(({ column }) => column.name);
  const graves = readGraves(bound, graveAnswer);
  const ranges = rangeAnswer === undefined ? new Map<string, RangeTombstone[]>() : readRanges(rangeAnswer);
  const images = new Map<string, RowState>();
  for (const line of imageAnswer?.rows ?? []) {
    const key = wanted[Number(line[0]) - 1]?.key;
    if (key !== undefined) images.set(key.text, imageFrom(bound, line, 1));
  }
  const known = wanted.map(({ key, trigger, coveredBefore }, i): KnownRow => {
    const row = rows[i] ?? null;
    const image = images.get(key.text) ?? null;
    const grave = graves.get(key.text) ?? null;
    const goneBefore = newestGone(image, grave);
    const read = stateOfRead(row, trigger, sequence, { names, policy, coveredBefore, goneBefore });
    const stored = image === null ? null : withoutSettled(image, read, trigger, { names, policy });
    return {
      key,
      incoming: withoutKnownExpiring(read, stored ?? grave ?? emptyRow(names.length), trigger, { names }),
      grave,
      ranges: ranges.get(partitionText(bound, key.values)) ?? [],
      image: stored === null || row !== null ? stored : withdrawn(stored),
    };
  });
  const plan = planRows(bound, known, nowUs);
  checkComplete(bound, plan.rereads, wanted, rows);
  const servedBy = new Map(wanted.map((each) => [each.key.text, each]));
  const isForeign = (key: RowKey): boolean => servedBy.get(key.text)?.trigger.foreign === true;
  const again = plan.rereads.flatMap(({ key, trigger }) => {
    const tried = servedBy.get(key.text)?.attempts ?? 0;
    // Another shard's row stays that: its next read needs the exclusive gate, too.
    const owed = { key, trigger: { ...trigger, foreign: trigger.foreign || isForeign(key) } };
    return queue.add(shard, bound.id, [owed], nowUs + retryAfterUs(tried), { attempts: tried + 1 });
  });
  return [
    ...rowWrites(table, control, plan),
    ...control.expiryEntries(
      shard,
      bound.id,
      plan.expiring.filter(({ key }) => !isForeign(key)),
    ),
    ...control.expiryEntries(
      shard,
      bound.id,
      plan.expiring.filter(({ key }) => isForeign(key)),
      'unknown shard',
    ),
    ...again,
    ...wanted.flatMap((each, i) => laterReads(merge, each, rows[i] ?? null, known[i], nowUs)),
  ];
}

/**
 * A row that the target can't hold without a column that the source itself has no value for: reading it again brings
 * nothing until somebody writes one, so it is told of, put off and in nobody's way.
 */
function checkComplete(
  bound: BoundTable,
  owed: readonly OwedRead[],
  wanted: readonly Wanted[],
  rows: readonly SourceRow[],
): void {
  for (const { key } of owed) {
    const row = rows[wanted.findIndex((each) => each.key.text === key.text)] ?? null;
    const cells = row?.cells;
    if (cells === undefined) continue;
    const missing = bound.regular.filter(({ column }, i) => column.notNull && (cells[i]?.value ?? null) === null);
    if (missing.length === 0) continue;
    const names = missing.map(({ column }) => column.target).join(', ');
    throw new LockstepError(`row ${key.text} of ${bound.table.name} has no value in the source for NOT NULL ${names}`, {
      code: 'INCOMPLETE_IN_SOURCE',
      kind: 'row',
      remedy: 'write a value in the source, or drop NOT NULL in the target; the row is read again by itself',
    });
  }
}

/** Write time of the marker that an earlier read found gone, or NEVER. */
export function newestGone(...states: readonly (RowState | null)[]): WriteTime {
  return states.reduce<WriteTime>((newest, state) => {
    const marker = state?.marker ?? null;
    return marker !== null && isGone(marker) && marker.writeTime > newest ? marker.writeTime : newest;
  }, NEVER);
}

/** How long a row that the target can't hold is put off. */
export function retryAfterUs(attempts: number): bigint {
  const doubled = FIRST_RETRY_US << BigInt(Math.min(attempts, 6));
  return doubled < MAX_RETRY_US ? doubled : MAX_RETRY_US;
}

/** Reads that are due when something expires of which no event will tell. */
export function laterReads(
  { queue, table, policy, shard }: Pick<Merge, 'queue' | 'table' | 'policy' | 'shard'>,
  { key, trigger }: Pick<Wanted, 'key' | 'trigger'>,
  row: SourceRow,
  known: KnownRow | undefined,
  nowUs: bigint,
): readonly Statement[] {
  if (row === null) return [];
  const { bound } = table;
  const later = (owed: RowTrigger, dueUs: bigint): Statement[] =>
    queue.add(shard, bound.id, [{ key, trigger: { ...owed, foreign: trigger.foreign } }], dueUs, { later: true });
  const statements: Statement[] = [];
  const parts = partExpiries(row, { names: bound.regular.map(({ column }) => column.name), policy });
  if (parts !== null) {
    const due = row.cells.flatMap((cell, i) =>
      policy.multiCell[i] === true && cell?.expiry != null ? [cell.expiry] : [],
    );
    const first = due.reduce((least, each) => (each < least ? each : least));
    statements.push(...later(parts, (first > nowUs ? first : nowUs) + FIRST_RETRY_US));
  }
  if (bound.table.usesTtl && known !== undefined && isKeptByMarker(stateAfter(bound, known), nowUs)) {
    // Write times do not tell how old the marker is: they may be anything.
    const since = trigger.since ?? nowUs;
    const age = nowUs - since;
    const wait = age < FIRST_RETRY_US ? FIRST_RETRY_US : age < MAX_RECHECK_US ? age : MAX_RECHECK_US;
    statements.push(...later({ ...EMPTY_TRIGGER, marker: trigger.marker, since }, nowUs + wait));
  }
  return statements;
}
