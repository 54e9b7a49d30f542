/** Reads a table out of PostgreSQL by plain SQL, every column as text. */
import type pg from 'pg';
import { fromPostgres } from './postgres-value.ts';
import { ImageBuilder, type ProofColumn, type TableImage } from './source-rows.ts';

/** Names a target table. */
export interface TargetName {
  readonly schema: string;
  readonly table: string;
}

/** Rows fetched at once. */
const PAGE_ROWS = 2000;

/** One notation for every value, whatever the database's defaults. */
const NOTATION = [
  "SET LOCAL timezone = 'UTC'",
  "SET LOCAL datestyle = 'ISO, YMD'",
  "SET LOCAL bytea_output = 'hex'",
  // Enough digits to lead back to the same floating-point number.
  'SET LOCAL extra_float_digits = 1',
];

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** Every row of the target table, in one snapshot. The client must have no transaction open. */
export async function readTarget(
  client: pg.Client,
  target: TargetName,
  columns: readonly ProofColumn[],
): Promise<TableImage> {
  const builder = new ImageBuilder(columns);
  const selected = columns.map(({ name }) => `${quoted(name)}::text`).join(', ');
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  try {
    for (const setting of NOTATION) await client.query(setting);
    await client.query(
      `DECLARE proof NO SCROLL CURSOR FOR SELECT ${selected} FROM ${quoted(target.schema)}.${quoted(target.table)}`,
    );
    for (;;) {
      const { rows } = await client.query<(string | null)[]>({
        text: `FETCH ${PAGE_ROWS} FROM proof`,
        rowMode: 'array',
      });
      for (const row of rows) builder.add((column, index) => fromPostgres(column.type, row[index] ?? null));
      if (rows.length < PAGE_ROWS) break;
    }
  } finally {
    await client.query('ROLLBACK');
  }
  return builder.image;
}
