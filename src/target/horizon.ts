import type { PoolClient } from 'pg';
import { belowHorizon, reachesPurged, showsPurged } from '../change/horizon.ts';
import { EMPTY_TRIGGER } from '../change/hint.ts';
import { emptyRow, isEmpty, mergeRows } from '../change/row-state.ts';
import { NEVER, type WriteTime } from '../change/write-time.ts';
import { LockstepError } from '../shared/errors.ts';
import type { BoundTable } from './bound-table.ts';
import { withImages } from './probes.ts';
import { covered, withMemory, type KnownRow, type OwedRead } from './row-plan.ts';
import type { TableDoor } from './row-writes.ts';

/** How far memory was purged, and now. */
export interface Horizon {
  /** Newest write time of a purged tombstone or memory of the table. */
  readonly purgedUntil: WriteTime;
  readonly nowUs: bigint;
}

/** The rows of a batch as far as they can be merged, and what the source must be asked for. */
export interface WithinHorizon {
  readonly rows: readonly KnownRow[];
  readonly owed: readonly OwedRead[];
}

/**
 * Keeps back what only a purged tombstone could have judged: changes at or below the purged horizon that would make
 * something visible. Where there is a source the row is read again instead; without one they are refused. Rows that reach
 * back so far get their images, which is rare; all others pass untouched.
 *
 * @returns the rows with the images that were read, without what is kept back.
 * @throws LockstepError `row` with code TOO_OLD, where there is no source; the batch is halved until the guilty change stands alone.
 */
export async function withinHorizon(
  client: PoolClient,
  table: TableDoor,
  rows: readonly KnownRow[],
  { purgedUntil, nowUs }: Horizon,
): Promise<WithinHorizon> {
  const { bound } = table;
  const old = rows.filter((row) => reachesPurged(row.incoming, purgedUntil));
  if (old.length === 0) return { rows, owed: [] };
  const unread = old.filter((row) => row.image === 'unread');
  const read = unread.length === 0 ? [] : await withImages(client, table, unread);
  const images = new Map(read.map((row) => [row.key.text, row]));
  const known: KnownRow[] = [];
  const owed: OwedRead[] = [];
  for (const row of rows.map((each) => images.get(each.key.text) ?? each)) {
    if (!reachesPurged(row.incoming, purgedUntil)) {
      known.push(row);
      continue;
    }
    const { key } = row;
    const nothing = emptyRow(bound.regular.length);
    const stored = row.image === 'unread' || row.image === null ? nothing : row.image;
    const memory = withMemory(bound, { ...row, incoming: nothing });
    const before = mergeRows(stored, memory, bound.valueOrders);
    const after = covered(bound, row, mergeRows(before, row.incoming, bound.valueOrders));
    if (!showsPurged(before, row.incoming, after, purgedUntil, nowUs)) {
      known.push(row);
    } else if (bound.policy !== null) {
      const { rest, read } = askedOf(bound, row, { purgedUntil, nowUs });
      owed.push(read);
      if (rest !== null) known.push(rest);
    } else {
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
  return { rows: known, owed };
}

/** The row without what is too old, if anything is left of it, and the read for that. */
function askedOf(
  bound: BoundTable,
  row: KnownRow,
  { purgedUntil, nowUs }: Horizon,
): { readonly rest: KnownRow | null; readonly read: OwedRead } {
  const { rest, columns, marker } = belowHorizon(row.incoming, purgedUntil, nowUs);
  const names = [...columns].map(([i, time]) => [bound.regular[i]?.column.name ?? '', time] as const);
  return {
    rest: rest.deletedAt === NEVER && isEmpty(rest) ? null : { ...row, incoming: rest },
    read: { key: row.key, trigger: { ...EMPTY_TRIGGER, columns: Object.fromEntries(names), marker } },
  };
}
