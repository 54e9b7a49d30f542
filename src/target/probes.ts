import type { PoolClient, QueryArrayResult } from 'pg';
import type { FoldedRow } from '../change/fold.ts';
import type { RangeTombstone } from '../change/range-tombstone.ts';
import type { RowState } from '../change/row-state.ts';
import type { ControlStatements } from './control-statements.ts';
import type { TableDoor } from './row-writes.ts';
import { imageFrom, keyParameters, stateFrom } from './row-codec.ts';
import { contestable } from './row-statements.ts';
import { numberArray } from './sql-text.ts';
import { losesToRange, needsImage, withMemory, type KnownRow } from './row-plan.ts';
import { pipeline, type Statement } from './transaction.ts';
import type { BoundTable } from './bound-table.ts';

type Answer = QueryArrayResult<(string | null)[]>;
/** As much of an answer as its rows are. */
interface Lines {
  readonly rows: readonly (readonly (string | null)[])[];
}

/** Statements that read what the target knows of a batch's rows, and which rows their images were asked for. */
export interface Probes {
  readonly statements: readonly Statement[];
  readonly hasRanges: boolean;
  readonly imageRows: readonly FoldedRow[];
  /** Rows that may meet a value of the same time whose order only the source knows. */
  readonly tieRows: readonly FoldedRow[];
}

/** Text of a row's partition key, as `PartitionDelete.partition.text` has it. */
export function partitionText(table: BoundTable, keyValues: readonly string[]): string {
  return JSON.stringify(keyValues.slice(0, table.table.partitionKey.length));
}

function imagesOf(table: TableDoor, rows: readonly FoldedRow[]): Statement {
  return {
    name: `images-${table.bound.tag}`,
    text: table.statements.lockImages,
    values: keyParameters(
      table.bound,
      rows.map((row) => row.key),
    ),
  };
}

/** The probe statements of the first round trip. */
export function probesOf(
  control: ControlStatements,
  table: TableDoor,
  rows: readonly FoldedRow[],
  nowUs: bigint,
): Probes {
  if (rows.length === 0) return { statements: [], hasRanges: false, imageRows: [], tieRows: [] };
  const { bound } = table;
  const statements: Statement[] = [
    control.graves(
      bound.id,
      rows.map((row) => row.key.text),
    ),
  ];
  // Without clustering columns a partition delete is a row delete: such a table has no wide tombstones.
  const hasRanges = bound.table.clustering.length > 0;
  if (hasRanges)
    statements.push(control.ranges(bound.id, new Set(rows.map((row) => partitionText(bound, row.key.values)))));
  const imageRows = rows.filter((row) => needsImage(bound, row.state, row.state, nowUs));
  if (imageRows.length > 0) statements.push(imagesOf(table, imageRows));
  const asked = new Set(imageRows);
  const tieRows = tiesOf(table, rows, asked, statements);
  return { statements, hasRanges, imageRows, tieRows };
}

/** Asks which of the rows that the upsert would decide alone meet an undecided tie there. */
function tiesOf(
  { bound, statements: { ties } }: TableDoor,
  rows: readonly FoldedRow[],
  asked: ReadonlySet<FoldedRow>,
  statements: Statement[],
): readonly FoldedRow[] {
  if (ties === null) return [];
  const positions = contestable(bound).map((column) => bound.regular.indexOf(column));
  const timeAt = (row: FoldedRow, i: number): bigint | null => {
    const cell = row.state.cells[i] ?? null;
    return cell?.value == null ? null : cell.writeTime;
  };
  const tieRows = rows.filter((row) => !asked.has(row) && positions.some((i) => timeAt(row, i) !== null));
  if (tieRows.length === 0) return [];
  statements.push({
    name: `ties-${bound.tag}`,
    text: ties,
    values: [
      ...keyParameters(
        bound,
        tieRows.map((row) => row.key),
      ),
      ...positions.map((i) => numberArray(tieRows.map((row) => timeAt(row, i)))),
    ],
  });
  return tieRows;
}

function readImages(
  table: BoundTable,
  asked: readonly FoldedRow[],
  answer: Answer,
  into: Map<string, RowState | null>,
): void {
  for (const row of asked) into.set(row.key.text, null);
  for (const line of answer.rows) {
    const row = asked[Number(line[0]) - 1];
    if (row !== undefined) into.set(row.key.text, imageFrom(table, line, 1));
  }
}

/** Reads and locks the images of rows that the upsert would have decided alone. */
export async function withImages(client: PoolClient, table: TableDoor, rows: readonly KnownRow[]): Promise<KnownRow[]> {
  const asked = rows.map((row) => ({ key: row.key, state: row.incoming }));
  const images = new Map<string, RowState | null>();
  const [answer] = await pipeline(client, [imagesOf(table, asked)]);
  if (answer !== undefined) readImages(table.bound, asked, answer, images);
  return rows.map((row) => ({ ...row, image: images.get(row.key.text) ?? null }));
}

/** The graves of an answer to `ControlStatements.graves`, by row key text. */
export function readGraves(table: BoundTable, answer: Lines | undefined): Map<string, RowState> {
  return new Map(
    (answer?.rows ?? []).map(([key, deletedAt, versions, expiries]) => [
      key ?? '',
      stateFrom(table, BigInt(deletedAt ?? '0'), [], versions ?? '{}', expiries ?? null),
    ]),
  );
}

export function readRanges(answer: Lines): Map<string, RangeTombstone[]> {
  const ranges = new Map<string, RangeTombstone[]>();
  for (const [partition, bounds, writeTime] of answer.rows) {
    const tombstone = rangeFrom(bounds ?? '', writeTime ?? '0');
    const known = ranges.get(partition ?? '');
    if (known === undefined) ranges.set(partition ?? '', [tombstone]);
    else known.push(tombstone);
  }
  return ranges;
}

/** Inverse of `boundsText`. */
function rangeFrom(bounds: string, writeTime: string): RangeTombstone {
  const [startInclusive, start, endInclusive, end] = JSON.parse(bounds) as [boolean, string[], boolean, string[]];
  return {
    start: { values: start, inclusive: startInclusive },
    end: { values: end, inclusive: endInclusive },
    writeTime: BigInt(writeTime),
  };
}

/**
 * Puts the answers together per row. Rows whose memory turns out to decide differently (a grave or a range left only a
 * cell tombstone of their changes, or took something out of them), and rows that meet an undecided tie, get their images by one more round trip; that is
 * rare.
 */
export async function readProbes(
  client: PoolClient,
  table: TableDoor,
  rows: readonly FoldedRow[],
  probes: Probes,
  answers: readonly Answer[],
  nowUs: bigint,
): Promise<KnownRow[]> {
  if (rows.length === 0) return [];
  const { bound } = table;
  const graves = readGraves(bound, answers[0]);
  const rangeAnswer = probes.hasRanges ? answers[1] : undefined;
  const ranges = rangeAnswer === undefined ? new Map<string, RangeTombstone[]>() : readRanges(rangeAnswer);
  const images = new Map<string, RowState | null>();
  if (probes.imageRows.length > 0) {
    const answer = answers[probes.hasRanges ? 2 : 1];
    if (answer !== undefined) readImages(bound, probes.imageRows, answer, images);
  }
  const tieAnswer = probes.tieRows.length === 0 ? undefined : answers[probes.statements.length - 1];
  const tied = new Set((tieAnswer?.rows ?? []).map(([n]) => probes.tieRows[Number(n) - 1]?.key.text));
  const known = rows.map((row) => ({
    key: row.key,
    incoming: row.state,
    contested: row.contested,
    grave: graves.get(row.key.text) ?? null,
    ranges: ranges.size === 0 ? [] : (ranges.get(partitionText(bound, row.key.values)) ?? []),
  }));
  const late = known.filter(
    (row) =>
      !images.has(row.key.text) &&
      (tied.has(row.key.text) ||
        ((row.grave !== null || row.ranges.length > 0) &&
          (losesToRange(bound, row) || needsImage(bound, row.incoming, withMemory(bound, row), nowUs)))),
  );
  if (late.length > 0) {
    const asked = late.map((row) => ({ key: row.key, state: row.incoming }));
    const [answer] = await pipeline(client, [imagesOf(table, asked)]);
    if (answer !== undefined) readImages(bound, asked, answer, images);
  }
  return known.map((row) => ({
    ...row,
    image: images.has(row.key.text) ? (images.get(row.key.text) ?? null) : 'unread',
  }));
}
