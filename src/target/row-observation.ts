/** Rows as they stand in the target, with all that is in force over them: what a repair compares and sets (DESIGN §7). */
import type { QueryArrayResult } from 'pg';
import type { RowKey } from '../change/change-event.ts';
import { newestCovering } from '../change/range-tombstone.ts';
import type { ObservedRow } from '../change/repair.ts';
import { cover, type RowState } from '../change/row-state.ts';
import { NEVER, type WriteTime } from '../change/write-time.ts';
import type { ControlStatements } from './control-statements.ts';
import { partitionText, readGraves, readRanges } from './probes.ts';
import { memoryOf } from './rereads/reread-merge.ts';
import { imageFrom, keyParameters, valuesFrom } from './row-codec.ts';
import type { TableDoor } from './row-writes.ts';
import type { StoredRow } from './scan/token-scan.ts';
import type { Statement } from './transaction.ts';

export interface Observation {
  readonly key: RowKey;
  /** Null where there is no row. */
  readonly row: StoredRow | null;
  /** What the graveyard remembers of the row, as far as no tombstone covers it; null where it has no entry. */
  readonly memory: RowState | null;
  /** Newest tombstone over the row, of the row itself, its partition or a range; NEVER where there is none. */
  readonly coveredAt: WriteTime;
}

type Answer = QueryArrayResult<(string | null)[]>;

/** Three statements. `locked`: the rows are, until the end of the transaction; observing alone must not hold the stream up. */
export function observing(
  control: ControlStatements,
  { bound, statements }: TableDoor,
  keys: readonly RowKey[],
  locked: boolean,
): readonly Statement[] {
  const images = locked
    ? { name: `images-${bound.tag}`, text: statements.lockImages }
    : { name: `images-unlocked-${bound.tag}`, text: statements.images };
  return [...memoryOf(control, bound, keys), { ...images, values: keyParameters(bound, keys) }];
}

/** The answers to `observing`, one observation per key. */
export function observations(
  { bound }: TableDoor,
  keys: readonly RowKey[],
  [graveAnswer, rangeAnswer, imageAnswer]: readonly Answer[],
): readonly Observation[] {
  const graves = readGraves(bound, graveAnswer);
  const ranges = rangeAnswer === undefined ? new Map<string, never>() : readRanges(rangeAnswer);
  const rows = new Map<number, StoredRow>();
  for (const line of imageAnswer?.rows ?? []) {
    rows.set(Number(line[0]) - 1, { state: imageFrom(bound, line, 1), values: valuesFrom(bound, line, 1) });
  }
  return keys.map((key, i) => {
    const grave = graves.get(key.text) ?? null;
    const clustering = key.values.slice(bound.table.partitionKey.length);
    const own = ranges.get(partitionText(bound, key.values)) ?? [];
    const coveredAt = newestCovering(own, bound.clusteringOrder, clustering, grave?.deletedAt ?? NEVER);
    const memory = grave === null ? null : { ...cover(grave, coveredAt), deletedAt: NEVER };
    return { key, row: rows.get(i) ?? null, memory, coveredAt };
  });
}

/** What a repair is planned from. */
export function observedRow({ row, memory, coveredAt }: Observation): ObservedRow {
  return {
    state: row?.state ?? null,
    unversioned: (row?.values ?? []).map((value, i) => value !== null && (row?.state.cells[i] ?? null) === null),
    // A living row's own versions stand in it; what the graveyard remembers from before says nothing more.
    memory: row === null ? memory : null,
    coveredAt,
  };
}
