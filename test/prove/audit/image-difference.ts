/** Reads one table on both sides and says which rows differ, by key. */
import type cassandra from 'cassandra-driver';
import type pg from 'pg';
import type { ProofColumn, TableImage } from '../../../src/demo/proof/source-rows.ts';
import { readSource } from '../../../src/demo/proof/source-rows.ts';
import { readTarget, type TargetName } from '../../../src/demo/proof/target-rows.ts';

/** A row that is not the same on both sides; null where a side has none. */
export interface DifferingRow {
  /** Plain forms of the key as one text. */
  readonly key: string;
  readonly source: readonly (string | null)[] | null;
  readonly target: readonly (string | null)[] | null;
}

export interface Difference {
  readonly rowsCompared: number;
  readonly valuesCompared: number;
  readonly differing: readonly DifferingRow[];
  readonly unreadable: readonly string[];
}

/** A decimal of a clustering column without the zeros behind its last digit: 1.0 and 1.00 are one value to its comparator. */
function withoutScale(plain: string): string {
  const [unscaled = '0', power = '0'] = plain.split('/10^');
  let digits = BigInt(unscaled);
  let scale = Number(power);
  if (digits === 0n) return '0/10^0';
  for (; scale > 0 && digits % 10n === 0n; scale -= 1) digits /= 10n;
  return `${digits}/10^${scale}`;
}

/** A key in the form in which equal keys of the source have equal text. */
export function comparableKey(columns: readonly ProofColumn[], key: readonly (string | null)[]): string {
  const keyColumns = columns.filter(({ isKey }) => isKey);
  return JSON.stringify(
    key.map((value, index) => {
      const column = keyColumns[index];
      const isDecimal = column?.type.kind === 'scalar' && column.type.name === 'decimal';
      return value !== null && isDecimal && column.kind === 'clustering' ? withoutScale(value) : value;
    }),
  );
}

function byComparableKey(columns: readonly ProofColumn[], image: TableImage): Map<string, readonly (string | null)[]> {
  const keys = columns.filter(({ isKey }) => isKey).length;
  return new Map([...image.rows.values()].map((row) => [comparableKey(columns, row.slice(0, keys)), row]));
}

/** Compares every row and every value of a table. */
export async function compareTable(
  source: cassandra.Client,
  postgres: pg.Client,
  names: { readonly keyspace: string; readonly table: string; readonly target: TargetName },
  allColumns: readonly ProofColumn[],
): Promise<Difference> {
  const columns = allColumns.filter(({ kind }) => kind !== 'static');
  const keys = columns.filter(({ isKey }) => isKey).length;
  const targetImage = await readTarget(postgres, names.target, columns);
  const sourceImage = await readSource(source, names.keyspace, names.table, columns);
  const target = byComparableKey(columns, targetImage);
  const left = byComparableKey(columns, sourceImage);
  const differing: DifferingRow[] = [];
  let both = 0;
  for (const [key, row] of left) {
    const other = target.get(key) ?? null;
    if (other !== null) both += 1;
    if (other === null || row.some((value, index) => index >= keys && value !== other[index])) {
      differing.push({ key, source: row, target: other });
    }
  }
  for (const [key, row] of target) if (!left.has(key)) differing.push({ key, source: null, target: row });
  return {
    rowsCompared: left.size,
    valuesCompared: both * columns.length,
    differing,
    unreadable: [...sourceImage.unreadable, ...targetImage.unreadable],
  };
}
