import type { PoolClient } from 'pg';
import { reachesPurged, showsPurged } from '../change/horizon.ts';
import { emptyRow, mergeRows } from '../change/row-state.ts';
import type { WriteTime } from '../change/write-time.ts';
import { LockstepError } from '../shared/errors.ts';
import { withImages } from './probes.ts';
import { covered, withMemory, type KnownRow } from './row-plan.ts';
import type { TableDoor } from './row-writes.ts';

/** How far memory was purged, and now. */
export interface Horizon {
  /** Newest write time of a purged tombstone or memory of the table. */
  readonly purgedUntil: WriteTime;
  readonly nowUs: bigint;
}

/**
 * Refuses what only a purged tombstone could have judged: a change at or below the purged horizon that would make
 * something visible. Rows that reach back so far get their images, which is rare; all others pass untouched.
 *
 * @returns the rows, with the images that were read.
 * @throws LockstepError `row` with code TOO_OLD; the batch is halved until the guilty change stands alone.
 */
export async function withinHorizon(
  client: PoolClient,
  table: TableDoor,
  rows: readonly KnownRow[],
  { purgedUntil, nowUs }: Horizon,
): Promise<readonly KnownRow[]> {
  const { bound } = table;
  const old = rows.filter((row) => reachesPurged(row.incoming, purgedUntil));
  if (old.length === 0) return rows;
  const unread = old.filter((row) => row.image === 'unread');
  const read = unread.length === 0 ? [] : await withImages(client, table, unread);
  const images = new Map(read.map((row) => [row.key.text, row]));
  const known = rows.map((row) => images.get(row.key.text) ?? row);
  for (const row of known) {
    if (!reachesPurged(row.incoming, purgedUntil)) continue;
    const { key } = row;
    const nothing = emptyRow(bound.regular.length);
    const stored = row.image === 'unread' || row.image === null ? nothing : row.image;
    const memory = withMemory(bound, { ...row, incoming: nothing });
    const before = mergeRows(stored, memory, bound.valueOrders);
    const after = covered(bound, row, mergeRows(before, row.incoming, bound.valueOrders));
    if (showsPurged(before, row.incoming, after, purgedUntil, nowUs)) {
      throw new LockstepError(
        `row ${key.text} of ${bound.table.name} would show what was written at or before ${purgedUntil}, and tombstones of that time were purged`,
        {
          code: 'TOO_OLD',
          kind: 'row',
          remedy:
            'compare the row with the source and backfill it; raise retention.horizon if changes arrive that late as a rule',
        },
      );
    }
  }
  return known;
}
