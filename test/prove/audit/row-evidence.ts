/**
 * Whose fault a differing row is. The events of the row are merged by rules written from Cassandra's documentation, apart
 * from src/change: where they can give what Cassandra has, the connector delivered it and Lockstep did not apply it; where
 * they can't, the connector lost a change, and the statement without an event says which.
 */
import type { ProofColumn } from '../../../src/demo/proof/source-rows.ts';
import type { WrittenStatement } from '../stage/history-log.ts';
import type { CapturedEvent } from './captured-event.ts';
import type { DifferingRow } from './image-difference.ts';

/** What the events allow a cell to be; undefined: anything, since the events do not say. */
type Allowed = ReadonlySet<string | null> | undefined;

export interface RowEvidence {
  readonly fault: 'lockstep' | 'connector' | 'unexplained';
  /** Why, in a sentence. */
  readonly finding: string;
  /** Statements that touched the row, in order. */
  readonly statements: readonly WrittenStatement[];
  readonly events: readonly CapturedEvent[];
}

/** What is known of the row when it is judged. */
export interface RowCase {
  readonly columns: readonly ProofColumn[];
  readonly multiCell: ReadonlySet<string>;
  /** Writers use TTLs in the table. */
  readonly usesTtl: boolean;
  readonly row: DifferingRow;
  readonly statements: readonly WrittenStatement[];
  readonly events: readonly CapturedEvent[];
  /** Statements, among those, of which an effect on this row has no event. */
  readonly missing: readonly WrittenStatement[];
  readonly nowUs: bigint;
}

/** Newest time of the deletes; they cover cells at or below it. */
const newestDelete = (events: readonly CapturedEvent[]): bigint | null =>
  events
    .filter(({ kind }) => kind !== 'insert' && kind !== 'update')
    .reduce<bigint | null>((newest, { timeUs }) => (newest === null || timeUs > newest ? timeUs : newest), null);

/** What a column may be after all events. */
function allowed(column: ProofColumn, rowCase: RowCase, deletedAt: bigint | null): Allowed {
  const cells = rowCase.events.flatMap(({ timeUs, cells: touched }) => {
    const cell = touched.get(column.name);
    return cell === undefined || (deletedAt !== null && timeUs <= deletedAt) ? [] : [{ timeUs, ...cell }];
  });
  if (rowCase.multiCell.has(column.name)) return cells.length === 0 ? new Set([null]) : undefined;
  const newest = cells.reduce<bigint | null>(
    (time, { timeUs }) => (time === null || timeUs > time ? timeUs : time),
    null,
  );
  const candidates = cells.filter(({ timeUs }) => timeUs === newest);
  if (candidates.length === 0) return new Set([null]);
  if (candidates.some(({ value }) => value === undefined)) return undefined;
  // At equal times: a tombstone, then what expires, then the later expiry; then bytes, which are left open here.
  if (candidates.some(({ value }) => value === null)) return new Set([null]);
  const expiring = candidates.filter(({ expiryUs }) => expiryUs !== null);
  const latest = expiring.reduce((most, { expiryUs }) => (expiryUs !== null && expiryUs > most ? expiryUs : most), 0n);
  if (expiring.length > 0 && latest <= rowCase.nowUs) return new Set([null]);
  const winners = expiring.length > 0 ? expiring.filter(({ expiryUs }) => expiryUs === latest) : candidates;
  return new Set(winners.map(({ value }) => value ?? null));
}

/** Whether the row may be there, and whether it may not. */
function existence(
  rowCase: RowCase,
  deletedAt: bigint | null,
  cells: readonly Allowed[],
): { may: boolean; mayNot: boolean } {
  const someCell = cells.some((values) => values === undefined || [...values].some((value) => value !== null));
  const sureCell = cells.some((values) => values !== undefined && !values.has(null));
  const markers = rowCase.events.filter(
    ({ kind, timeUs }) => kind === 'insert' && (deletedAt === null || timeUs > deletedAt),
  );
  // The newest marker counts, and its own TTL is in no event: one that may expire may be there or not.
  const newest = markers.reduce<bigint | null>(
    (time, { timeUs }) => (time === null || timeUs > time ? timeUs : time),
    null,
  );
  const lasting =
    newest !== null && markers.every((marker) => marker.timeUs !== newest || lastsForSure(marker, rowCase));
  return { may: someCell || markers.length > 0, mayNot: !sureCell && !lasting };
}

/** Whether the cells of an insert tell that its marker does not expire. */
function lastsForSure({ cells }: CapturedEvent, { usesTtl, multiCell }: RowCase): boolean {
  if (!usesTtl) return true;
  const told = [...cells].filter(([name, { value }]) => value !== null && !multiCell.has(name));
  return told.length > 0 && told.every(([, { expiryUs }]) => expiryUs === null);
}

/** Judges one row. */
export function judge(rowCase: RowCase): RowEvidence {
  const { columns, row, statements, events, missing } = rowCase;
  const deletedAt = newestDelete(events);
  const regular = columns.filter(({ kind }) => kind === 'regular');
  const cells = regular.map((column) => allowed(column, rowCase, deletedAt));
  const rows = existence(rowCase, deletedAt, cells);
  const contradictions: string[] = [];
  if (row.source === null && !rows.mayNot) contradictions.push('by the events the row is there; Cassandra has none');
  if (row.source !== null && !rows.may) contradictions.push('by the events there is no row; Cassandra has one');
  if (row.source !== null && rows.may) {
    for (const [index, column] of regular.entries()) {
      const at = columns.filter(({ kind }) => kind !== 'static').indexOf(column);
      const inSource = row.source[at] ?? null;
      const values = cells[index];
      const differs = row.target === null || (row.target[at] ?? null) !== inSource;
      if (differs && values !== undefined && !values.has(inSource)) {
        contradictions.push(
          `by the events ${column.name} is ${[...values].map(String).join(' or ')}; Cassandra has ${inSource}`,
        );
      }
    }
  }
  const shown = { statements, events };
  const names = missing.map(({ number }) => `#${number}`).join(', ');
  if (contradictions.length === 0 && missing.length === 0) {
    return {
      fault: 'lockstep',
      finding: 'the events give what Cassandra has, and every statement has its event',
      ...shown,
    };
  }
  if (contradictions.length === 0) {
    const undecided = cells.some((values) => values === undefined);
    return undecided
      ? { fault: 'connector', finding: `statement ${names} has no event, and the events leave the row open`, ...shown }
      : { fault: 'lockstep', finding: `the events give what Cassandra has, even without statement ${names}`, ...shown };
  }
  const why = contradictions.join('; ');
  return missing.length > 0
    ? { fault: 'connector', finding: `${why}. No event tells of statement ${names}`, ...shown }
    : { fault: 'unexplained', finding: `${why}, though every statement has its event`, ...shown };
}
