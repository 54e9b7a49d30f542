/** Names a proven difference by the write times of both sides (DESIGN §7 C). Pure. */
import { newestWrite } from '../../change/row-state.ts';
import { NEVER, type WriteTime } from '../../change/write-time.ts';
import { canonicalText } from '../../change/values/value-canonical.ts';
import type { BoundTable } from '../../target/bound-table.ts';
import type { StoredRow } from '../../target/scan/token-scan.ts';
import { EXPIRY_TOLERANCE_US, type Difference } from './compare-rows.ts';
import { isPresent, sourceValue, targetValue, type SourceImage, type TargetImage } from './row-images.ts';

export const FINDING_TYPES = ['MISSING_IN_POSTGRES', 'MISSING_IN_CASSANDRA', 'DATA_MISMATCH'] as const;
export type FindingType = (typeof FINDING_TYPES)[number];

/**
 * | cause | what the write times say |
 * |---|---|
 * | missed-insert | the target has nothing of the row |
 * | covered | the target has a tombstone at or above everything that the source shows |
 * | missed-delete | the target's row was written by changes; the source has none |
 * | expired | everything in the target's row expires, at a time that the source has passed |
 * | rogue-insert | no change wrote the target's row |
 * | missed-update | the source's write is newer, or its cell is gone |
 * | rogue-update | the target has the source's write time with another value, or a value that no change wrote |
 * | target-ahead | the target's write time is newer than anything the source shows |
 * | expiry | the same write with another expiry |
 * | corrupt | what the target holds is no value of the column's type |
 * | uncaptured | a static column, of which no event tells: the target is as old as the last scan that repaired it; or a counter |
 * | not-representable | the target can't hold the source's value exactly; its change is a dead letter |
 */
export type Cause =
  | 'missed-insert'
  | 'covered'
  | 'missed-delete'
  | 'expired'
  | 'rogue-insert'
  | 'missed-update'
  | 'rogue-update'
  | 'target-ahead'
  | 'expiry'
  | 'corrupt'
  | 'uncaptured'
  | 'not-representable';

export interface Classification {
  readonly type: FindingType;
  readonly cause: Cause;
  /** Names of the columns that differ; empty where the row as a whole is missing. */
  readonly columns: readonly string[];
}

/** Causes from which a change that the capture still holds would look the same: their proof needs the capture, too. */
const MISSED: ReadonlySet<Cause> = new Set(['missed-insert', 'missed-delete', 'missed-update', 'expiry']);

export function leansOnCapture(cause: Cause): boolean {
  return MISSED.has(cause) || cause === 'uncaptured';
}

/** Where columns differ for several reasons, the row's is the first of these. */
const WORST_FIRST: readonly Cause[] = [
  'not-representable',
  'corrupt',
  'rogue-update',
  'target-ahead',
  'missed-update',
  'expiry',
];

function columnCause(
  table: BoundTable,
  i: number,
  source: NonNullable<SourceImage>,
  target: StoredRow,
  nowUs: bigint,
): Cause {
  const column = table.regular[i];
  const cell = source.cells[i] ?? null;
  const stored = target.state.cells[i] ?? null;
  const expected = sourceValue(table, i, cell, nowUs);
  const shown = targetValue(target, i, nowUs);
  if (column === undefined) return 'missed-update';
  if (cell?.value != null && (column.mapping.check?.(cell.value) ?? null) !== null) return 'not-representable';
  if (shown !== null && stored === null) return 'rogue-update';
  const { type } = column.column;
  const hasCanonicalForm = expected !== null && canonicalText(type, expected) !== null;
  if (shown !== null && hasCanonicalForm && canonicalText(type, shown) === null) return 'corrupt';
  // MAXWRITETIME falls when the newest element goes: the times of such columns say nothing.
  if (cell === null || stored === null || table.policy?.multiCell[i] === true) return 'missed-update';
  if (cell.writeTime > stored.writeTime) return 'missed-update';
  if (cell.writeTime < stored.writeTime) return 'target-ahead';
  return expected === shown ? 'expiry' : 'rogue-update';
}

/**
 * Of static columns nothing is missed, because no event tells of them; of a counter nothing but its value is known.
 *
 * @param coveredAt Newest tombstone over the row in the target, or NEVER.
 */
export function classify(
  table: BoundTable,
  difference: Difference,
  source: SourceImage,
  target: TargetImage,
  coveredAt: WriteTime,
  nowUs: bigint,
): Classification {
  const found = byWriteTimes(table, difference, source, target, coveredAt, nowUs);
  const { ofStatics, ofCounters } = table.table;
  const isUncaptured = ofCounters === true || (ofStatics === true && MISSED.has(found.cause));
  return isUncaptured && found.cause !== 'not-representable' ? { ...found, cause: 'uncaptured' } : found;
}

function byWriteTimes(
  table: BoundTable,
  difference: Difference,
  source: SourceImage,
  target: TargetImage,
  coveredAt: WriteTime,
  nowUs: bigint,
): Classification {
  if (difference.kind === 'missing-in-target') {
    const newest = source === null ? NEVER : newestWrite({ marker: null, cells: source.cells });
    const cause = coveredAt !== NEVER && newest !== NEVER && newest <= coveredAt ? 'covered' : 'missed-insert';
    return { type: 'MISSING_IN_POSTGRES', cause, columns: [] };
  }
  if (difference.kind === 'missing-in-source') {
    return { type: 'MISSING_IN_CASSANDRA', cause: extraCause(target, nowUs), columns: [] };
  }
  const causes = new Set(
    source === null || target === null
      ? []
      : difference.columns.map((i) => columnCause(table, i, source, target, nowUs)),
  );
  return {
    type: 'DATA_MISMATCH',
    cause: WORST_FIRST.find((cause) => causes.has(cause)) ?? 'missed-update',
    columns: difference.columns.map((i) => table.regular[i]?.column.name ?? ''),
  };
}

function extraCause(target: TargetImage, nowUs: bigint): Cause {
  if (target === null || newestWrite(target.state) === NEVER) return 'rogue-insert';
  // The sweep is late, or the clocks are apart.
  return isPresent(target, nowUs + EXPIRED_SOON_US) ? 'missed-delete' : 'expired';
}

/** A row of which everything expires this soon is called expired: the source's nodes may be ahead of this clock. */
const EXPIRED_SOON_US = 30n * EXPIRY_TOLERANCE_US;
