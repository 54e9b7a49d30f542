import type pg from 'pg';
import type { RowState } from '../../src/change/row-state.ts';
import type { BoundTable } from '../../src/target/bound-table.ts';
import { imageFrom } from '../../src/target/row-codec.ts';
import { quoteIdentifier } from '../../src/target/sql-text.ts';

/** A range tombstone shows in a row only by what it removed, so the row's own `deletedAt` is left out. */
export function comparable(state: Pick<RowState, 'marker' | 'cells'>): unknown {
  return { marker: state.marker, cells: state.cells };
}

/** What stands in the target: rows with values, write times and expiries, by row key text. */
export async function storedRows(pool: pg.Pool, bound: BoundTable): Promise<Map<string, unknown>> {
  const names = [...bound.keys, ...bound.regular].map((entry) => quoteIdentifier(entry.column.target));
  const result = await pool.query<(string | null)[]>({
    text: `SELECT ${names.join(', ')}, _cdc_versions, _cdc_expiries FROM ${bound.target}`,
    rowMode: 'array',
  });
  return new Map(
    result.rows.map((row) => [
      JSON.stringify(bound.keys.map((entry, i) => entry.mapping.fromTarget(row[i] ?? ''))),
      comparable(imageFrom(bound, row, bound.keys.length)),
    ]),
  );
}
