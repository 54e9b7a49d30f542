import type { Pool, PoolClient } from 'pg';
import { rowKey, type RowKey } from '../change/change-event.ts';
import { emptyRow } from '../change/row-state.ts';
import type { Clock } from '../shared/clock.ts';
import type { ShardId } from './batch.ts';
import { checkGeneration } from './bound-table.ts';
import type { ControlStatements } from './control-statements.ts';
import { rowWrites, type TableDoor } from './row-writes.ts';
import { imageFrom, keyParameters } from './row-codec.ts';
import { readGraves } from './probes.ts';
import { asForeign } from './rereads/owed-reads.ts';
import type { RereadQueue } from './rereads/reread-queue.ts';
import { planRows, type KnownRow } from './row-plan.ts';
import { checkCommitted, gateStatement, pipeline, rollback, type GateMode, type Statement } from './transaction.ts';

/** Rows swept per transaction: bounds how long the shard row is held. */
export const SWEEP_ROWS = 500;

/**
 * Takes what has expired out of sight: values whose expiry has passed lose their bytes and keep their write time; rows
 * whose last living cell went move to the graveyard. Done by the shard's owner under the shard row's lock, so that no
 * batch of the same shard looks into the graveyard between the removal and its memory. While the topic grows, and for
 * work that was queued before that ended or beside the stream, another shard may carry the row: then the gate is exclusive.
 *
 * @returns how many queue entries were worked off; equal to SWEEP_ROWS where more may be due.
 */
export async function sweepExpired(
  pool: Pool,
  control: ControlStatements,
  queue: RereadQueue,
  table: TableDoor,
  shard: ShardId,
  clock: Clock,
): Promise<number> {
  const nowUs = BigInt(clock.nowMs()) * 1000n;
  const swept = await sweepUnder('shared', pool, control, queue, table, shard, nowUs);
  return swept ?? (await sweepUnder('exclusive', pool, control, queue, table, shard, nowUs)) ?? 0;
}

/** Null where the work needs the exclusive gate; nothing was done then. */
async function sweepUnder(
  mode: GateMode,
  pool: Pool,
  control: ControlStatements,
  queue: RereadQueue,
  table: TableDoor,
  shard: ShardId,
  nowUs: bigint,
): Promise<number | null> {
  const { bound } = table;
  const client = await pool.connect();
  let healthy = true;
  try {
    const [, , position, due] = await pipeline(client, [
      { text: 'BEGIN' },
      { name: `gate-${mode}`, text: gateStatement(mode), values: [bound.id] },
      control.lockPosition(shard, bound.id),
      control.takeDue(shard, bound.id, nowUs, SWEEP_ROWS),
    ]);
    checkGeneration(bound, position?.rows[0]?.[4]);
    const taken = due?.rows ?? [];
    if (mode === 'shared' && needsExclusive(position?.rows[0], taken)) {
      healthy = await rollback(client);
      return null;
    }
    const writes = taken.length === 0 ? [] : await sweepRows(client, control, queue, table, shard, taken, nowUs);
    checkCommitted((await pipeline(client, [...writes, { text: 'COMMIT' }])).at(-1));
    return taken.length;
  } catch (error) {
    healthy = await rollback(client);
    throw error;
  } finally {
    client.release(!healthy);
  }
}

type Line = readonly (string | null)[];

/** Queued beside the stream: whose shard the row is, nobody knows. */
function isOfUnknownShard([, queuedAt]: Line): boolean {
  return Number(queuedAt) === 0;
}

/**
 * Whether the rows may be another shard's ⚠: its batch may be about to write a row that a sweep removes, and would miss
 * what the sweep leaves in the graveyard.
 */
function needsExclusive(position: Line | undefined, taken: readonly Line[]): boolean {
  const [, growing, grownUntil = null] = position ?? [];
  if (growing === 't' || taken.some(isOfUnknownShard)) return true;
  if (grownUntil === null) return false;
  return taken.some(([, queuedAt]) => Number(queuedAt) <= Number(grownUntil));
}

async function sweepRows(
  client: PoolClient,
  control: ControlStatements,
  queue: RereadQueue,
  table: TableDoor,
  shard: ShardId,
  taken: readonly Line[],
  nowUs: bigint,
): Promise<readonly Statement[]> {
  const { bound } = table;
  const texts = [...new Set(taken.map(([text]) => text ?? '[]'))];
  const foreign = new Set(taken.filter(isOfUnknownShard).map(([text]) => text ?? '[]'));
  const isForeign = ({ key }: { readonly key: RowKey }): boolean => foreign.has(key.text);
  const keys = texts.map((text) => rowKey(JSON.parse(text) as string[]));
  const [graveAnswer, images] = await pipeline(client, [
    control.graves(bound.id, texts),
    { name: `images-${bound.tag}`, text: table.statements.lockImages, values: keyParameters(bound, keys) },
  ]);
  const graves = readGraves(bound, graveAnswer);
  const known = (images?.rows ?? []).flatMap((line): KnownRow[] => {
    const key = keys[Number(line[0]) - 1];
    if (key === undefined) return [];
    const grave = graves.get(key.text) ?? null;
    return [{ key, incoming: emptyRow(bound.regular.length), grave, ranges: [], image: imageFrom(bound, line, 1) }];
  });
  const plan = planRows(bound, known, nowUs);
  return [
    ...rowWrites(table, control, plan),
    ...control.expiryEntries(
      shard,
      bound.id,
      plan.expiring.filter((entry) => !isForeign(entry)),
    ),
    ...control.expiryEntries(shard, bound.id, plan.expiring.filter(isForeign), 'unknown shard'),
    // The last living cell of a row with an unknown marker went: only the source knows whether the row is still there.
    ...queue.add(
      shard,
      bound.id,
      plan.rereads.map((owed) => (isForeign(owed) ? asForeign(owed) : owed)),
      nowUs,
    ),
  ];
}
