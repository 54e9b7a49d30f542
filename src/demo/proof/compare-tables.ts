/** Compares the two sides of a table, row by row and value by value, in both directions. */
import type { PlainRow, ProofColumn, TableImage } from './source-rows.ts';

/** What one table's comparison found. */
export interface TableComparison {
  readonly rowsSource: number;
  readonly rowsTarget: number;
  /** Values that were compared: rows on both sides times columns. */
  readonly valuesCompared: number;
  /** Rows of the source that the target lacks. */
  readonly missing: number;
  /** Rows of the target that the source lacks. */
  readonly extra: number;
  /** Rows on both sides with at least one different value. */
  readonly differing: number;
  /** Values that the proof could not read: no verdict about them. */
  readonly unreadable: number;
  /** The first few of each kind, for people. */
  readonly examples: readonly string[];
}

/** Examples kept; a person reads a few and then looks at the data. */
const MAX_EXAMPLES = 8;
const MAX_SHOWN = 60;

const shown = (value: string | null): string =>
  value === null ? 'null' : value.length > MAX_SHOWN ? `${value.slice(0, MAX_SHOWN)}…` : value;

function differences(columns: readonly ProofColumn[], source: PlainRow, target: PlainRow): string[] {
  return columns.flatMap(({ name }, index) => {
    const left = source[index] ?? null;
    const right = target[index] ?? null;
    return left === right ? [] : [`${name}: source ${shown(left)}, target ${shown(right)}`];
  });
}

/** Compares two images of one table. */
export function compareTables(
  columns: readonly ProofColumn[],
  source: TableImage,
  target: TableImage,
): TableComparison {
  const examples: string[] = [];
  const example = (text: string): void => {
    if (examples.length < MAX_EXAMPLES) examples.push(text);
  };
  let missing = 0;
  let differing = 0;
  let both = 0;
  for (const [key, row] of source.rows) {
    const other = target.rows.get(key);
    if (other === undefined) {
      missing += 1;
      example(`missing in the target: ${key}`);
      continue;
    }
    both += 1;
    const found = differences(columns, row, other);
    if (found.length === 0) continue;
    differing += 1;
    example(`${key}: ${found.join('; ')}`);
  }
  let extra = 0;
  for (const key of target.rows.keys()) {
    if (source.rows.has(key)) continue;
    extra += 1;
    example(`only in the target: ${key}`);
  }
  const unreadable = [...source.unreadable, ...target.unreadable];
  for (const text of unreadable) example(`unreadable ${text}`);
  return {
    rowsSource: source.rows.size,
    rowsTarget: target.rows.size,
    valuesCompared: both * columns.length,
    missing,
    extra,
    differing,
    unreadable: unreadable.length,
    examples,
  };
}

/** Rows that disagree, of whatever kind. */
export function mismatchesOf({ missing, extra, differing }: TableComparison): number {
  return missing + extra + differing;
}
