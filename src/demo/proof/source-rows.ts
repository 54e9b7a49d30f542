/** Reads a table out of Cassandra by `SELECT JSON *`. */
import type cassandra from 'cassandra-driver';
import { parse } from 'lossless-json';
import { fromCassandra } from './cassandra-value.ts';
import { parseProofType, type ProofType, type UserTypes } from './cql-type.ts';
import { Unreadable } from './plain-value.ts';

/** A column as the proof sees it. */
export interface ProofColumn {
  readonly name: string;
  readonly type: ProofType;
  readonly isKey: boolean;
  readonly kind: ColumnKind;
}

/** What a column is of its table, as `system_schema.columns` spells it. */
export type ColumnKind = 'partition_key' | 'clustering' | 'static' | 'regular';

/** One row: the plain form of every column, in the order of the columns. */
export type PlainRow = readonly (string | null)[];

/** A side of the comparison: rows by the plain form of their key. */
export interface TableImage {
  readonly rows: ReadonlyMap<string, PlainRow>;
  /** Values that could not be read, each with its reason. */
  readonly unreadable: readonly string[];
}

const PAGE_ROWS = 1000;

/** Columns of a table, key columns first, each group in its own order. Static columns belong to no row and are left to the caller. */
export async function sourceColumns(client: cassandra.Client, keyspace: string, table: string): Promise<ProofColumn[]> {
  const types = await client.execute(
    'SELECT type_name, field_names, field_types FROM system_schema.types WHERE keyspace_name = ?',
    [keyspace],
    { prepare: true },
  );
  const userTypes: UserTypes = new Map(
    types.rows.map((row) => {
      const fieldTypes = row['field_types'] as string[];
      return [
        row['type_name'] as string,
        (row['field_names'] as string[]).map((name, index) => ({ name, type: fieldTypes[index] ?? '' })),
      ];
    }),
  );
  const { rows } = await client.execute(
    'SELECT column_name, type, kind, position FROM system_schema.columns WHERE keyspace_name = ? AND table_name = ?',
    [keyspace, table],
    { prepare: true },
  );
  const rank = (kind: string): number => ['partition_key', 'clustering'].indexOf(kind) >>> 0;
  return rows
    .map((row) => ({
      name: row['column_name'] as string,
      type: parseProofType(row['type'] as string, userTypes),
      kind: row['kind'] as ColumnKind,
      position: row['position'] as number,
    }))
    .sort((a, b) => rank(a.kind) - rank(b.kind) || a.position - b.position || (a.name < b.name ? -1 : 1))
    .map(({ name, type, kind }) => ({
      name,
      type,
      kind,
      isKey: kind === 'partition_key' || kind === 'clustering',
    }));
}

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;
const isFloating = ({ type }: ProofColumn): boolean =>
  type.kind === 'scalar' && (type.name === 'float' || type.name === 'double');

async function* jsonRows(client: cassandra.Client, cql: string): AsyncGenerator<Readonly<Record<string, unknown>>> {
  // Iterating fetches the pages after the first one.
  for await (const row of await client.execute(cql, [], { prepare: true, fetchSize: PAGE_ROWS })) {
    yield parse(row['[json]'] as string) as Record<string, unknown>;
  }
}

/**
 * Cassandra spells names that are not all lower case with quotes around them in JSON, and does not double those inside.
 * Throws where there is no such column: reading null instead would look like a difference, or hide one.
 */
function valueIn(row: Readonly<Record<string, unknown>>, name: string): unknown {
  const spelled = [name, quoted(name), `"${name}"`].find((each) => each in row);
  if (spelled === undefined) throw new Error(`no column ${name} in ${Object.keys(row).join(', ')}`);
  return row[spelled];
}

/** Key of a row as one text. */
export function keyText(columns: readonly ProofColumn[], row: PlainRow): string {
  return JSON.stringify(row.filter((_, index) => columns[index]?.isKey));
}

/** Puts rows of either side together, noting what can't be read instead of guessing. */
export class ImageBuilder {
  readonly #columns: readonly ProofColumn[];
  readonly #rows = new Map<string, PlainRow>();
  readonly #unreadable: string[] = [];

  constructor(columns: readonly ProofColumn[]) {
    this.#columns = columns;
  }

  /** Adds a row; `read` gives the plain form of a column. */
  add(read: (column: ProofColumn, index: number) => string | null): void {
    const row = this.#columns.map((column, index) => {
      try {
        return read(column, index);
      } catch (error) {
        if (!(error instanceof Unreadable)) throw error;
        this.#unreadable.push(`${column.name}: ${error.message}`);
        return `unreadable: ${error.message}`;
      }
    });
    this.#rows.set(keyText(this.#columns, row), row);
  }

  get image(): TableImage {
    return { rows: this.#rows, unreadable: this.#unreadable };
  }
}

/**
 * Every row of the source table. `SELECT JSON` prints NaN and the infinities as null, so floating-point columns are read as
 * `CAST(… AS text)`, which prints them all. `distinct`: each partition once, of which the columns are keys and static ones.
 */
export async function readSource(
  client: cassandra.Client,
  keyspace: string,
  table: string,
  columns: readonly ProofColumn[],
  { distinct = false }: { readonly distinct?: boolean } = {},
): Promise<TableImage> {
  const selected = columns.map((column) =>
    isFloating(column) ? `CAST(${quoted(column.name)} AS text) AS ${quoted(column.name)}` : quoted(column.name),
  );
  const clustering = columns.filter(({ kind }) => kind === 'clustering');
  const builder = new ImageBuilder(columns);
  const cql = `SELECT JSON ${distinct ? 'DISTINCT ' : ''}${selected.join(', ')} FROM ${quoted(keyspace)}.${quoted(table)}`;
  for await (const row of jsonRows(client, cql)) {
    // A partition that has static values and no row: Cassandra shows it as a row without a clustering key.
    if (clustering.some(({ name }) => valueIn(row, name) === null)) continue;
    builder.add((column) => fromCassandra(column.type, valueIn(row, column.name)));
  }
  return builder.image;
}
