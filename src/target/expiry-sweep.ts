import type { Pool } from 'pg';
import { rowKey } from '../change/change-event.ts';
import { emptyRow } from '../change/row-state.ts';
import type { Clock } from '../shared/clock.ts';
import type { ShardId } from './batch.ts';
import type { ControlStatements } from './control-statements.ts';
import { rowWrites, type TableDoor } from './row-writes.ts';
import { imageFrom, keyParameters } from './row-codec.ts';
import { readGraves } from './probes.ts';
import { planRows, type KnownRow } from './row-plan.ts';
import { checkCommitted, gateStatement, pipeline, rollback } from './transaction.ts';

/** Rows swept per transaction: bounds how long the shard row is held. */
export const SWEEP_ROWS = 500;

/**
 * Takes what has expired out of sight: values whose expiry has passed lose their bytes and keep their write time; rows
 * whose last living cell went move to the graveyard. Done by the shard's owner under the shard row's lock, so that no
 * batch of the same shard looks into the graveyard between the removal and its memory.
 *
 * @returns how many queue entries were worked off; equal to SWEEP_ROWS where more may be due.
 */
export async function sweepExpired(
  pool: Pool,
  control: ControlStatements,
  table: TableDoor,
  shard: ShardId,
  clock: Clock,
): Promise<number> {
  const { bound } = table;
  const nowUs = BigInt(clock.nowMs()) * 1000n;
  const client = await pool.connect();
  let healthy = true;
  try {
    const [peeked] = await pipeline(client, [control.peekDue(shard, nowUs)]);
    if (peeked?.rows.length !== 1) return 0;
    const [, , , due] = await pipeline(client, [
      { text: 'BEGIN' },
      { name: 'gate-shared', text: gateStatement('shared'), values: [bound.id] },
      control.lockPosition(shard),
      control.takeDue(shard, bound.id, nowUs, SWEEP_ROWS),
    ]);
    const taken = due?.rows.length ?? 0;
    const texts = [...new Set((due?.rows ?? []).map(([text]) => text ?? '[]'))];
    const keys = texts.map((text) => rowKey(JSON.parse(text) as string[]));
    let writes: ReturnType<typeof rowWrites> = [];
    if (keys.length > 0) {
      const [graveAnswer, images] = await pipeline(client, [
        control.graves(bound.id, texts),
        { name: `images-${bound.id}`, text: table.statements.lockImages, values: keyParameters(bound, keys) },
      ]);
      const graves = readGraves(bound, graveAnswer);
      const known = (images?.rows ?? []).flatMap((line): KnownRow[] => {
        const key = keys[Number(line[0]) - 1];
        if (key === undefined) return [];
        return [
          {
            key,
            incoming: emptyRow(bound.regular.length),
            grave: graves.get(key.text) ?? null,
            ranges: [],
            image: imageFrom(bound, line, 1),
          },
        ];
      });
      const plan = planRows(bound, known, nowUs);
      writes = [...rowWrites(table, control, plan), ...control.expiryEntries(shard, bound.id, plan.expiring)];
    }
    checkCommitted((await pipeline(client, [...writes, { text: 'COMMIT' }])).at(-1));
    return taken;
  } catch (error) {
    healthy = await rollback(client);
    throw error;
  } finally {
    client.release(!healthy);
  }
}
