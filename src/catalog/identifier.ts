/** PostgreSQL identifiers: how they are quoted, which are too long, which are reserved. The one place for it. */

/** NAMEDATALEN − 1. PostgreSQL cuts longer names off without an error, so two names could become one. */
export const MAX_IDENTIFIER_BYTES = 63;

export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

export function qualified(schema: string, name: string): string {
  return `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`;
}

export function fitsIdentifier(name: string): boolean {
  return name.length > 0 && !name.includes('\u0000') && Buffer.byteLength(name, 'utf8') <= MAX_IDENTIFIER_BYTES;
}

/** Columns that every PostgreSQL table has already; a user column of that name is refused. */
export const SYSTEM_COLUMNS: ReadonlySet<string> = new Set(['tableoid', 'xmin', 'cmin', 'xmax', 'cmax', 'ctid']);

/** Names that begin so belong to Lockstep: bookkeeping columns and control tables. */
export const RESERVED_PREFIX = '_cdc_';
