/** Rows as PostgreSQL sends them in COPY's text format. */
import { CopiedRows } from '../../src/target/scan/copied-rows.ts';

const ESCAPES: Readonly<Record<string, string>> = {
  '\\': '\\\\',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
};

function field(text: string | null): string {
  return text === null ? '\\N' : text.replace(/[\\\b\f\n\r\t\v]/g, (character) => ESCAPES[character] ?? character);
}

export function copyLine(row: readonly (string | null)[]): Buffer {
  return Buffer.from(`${row.map(field).join('\t')}\n`, 'utf8');
}

/** All of them have the same width. */
export function copied(rows: readonly (readonly (string | null)[])[]): CopiedRows {
  const all = new CopiedRows(rows[0]?.length ?? 0);
  for (const row of rows) all.add(copyLine(row));
  return all;
}
