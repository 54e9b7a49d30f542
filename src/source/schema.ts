import type { Client } from 'cassandra-driver';
import { COUNTER_TABLE } from '../catalog/declared-schema.ts';
import type { DroppedColumn, SourceColumn, SourceTable, UnsupportedTable } from '../catalog/source-table.ts';
import type { ColumnKind } from '../catalog/table.ts';
import { parseOrCustom, userTypeLookup } from '../catalog/user-types.ts';
import type { UdtLookup } from '../change/parse-cql-type.ts';
import { LockstepError } from '../shared/errors.ts';

interface TableRow {
  readonly table_name: string;
  readonly id: { toString(): string };
  readonly flags: Iterable<string> | null;
  readonly default_time_to_live: number | null;
  readonly cdc: boolean | null;
}
interface ColumnRow {
  readonly table_name: string;
  readonly column_name: string;
  readonly kind: string;
  readonly position: number;
  readonly clustering_order: string;
  readonly type: string;
}
interface DroppedRow {
  readonly table_name: string;
  readonly column_name: string;
  readonly kind: string;
  readonly type: string;
  readonly dropped_time: Date;
}
interface TypeRow {
  readonly type_name: string;
  readonly field_names: readonly string[];
  readonly field_types: readonly string[];
}
interface ViewRow {
  readonly view_name: string;
  readonly base_table_name: string;
  readonly id: { toString(): string };
}

const KINDS: Readonly<Record<string, ColumnKind>> = {
  partition_key: 'partition',
  clustering: 'clustering',
  regular: 'regular',
  static: 'static',
};
const KIND_ORDER: readonly ColumnKind[] = ['partition', 'clustering', 'static', 'regular'];

/** Names stand in the order of their bytes, as Cassandra lists them, so that reading twice gives one order. */
function inSchemaOrder(a: SourceColumn, b: SourceColumn): number {
  return (
    KIND_ORDER.indexOf(a.kind) - KIND_ORDER.indexOf(b.kind) ||
    a.position - b.position ||
    (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)
  );
}

function sourceColumn(row: ColumnRow, lookup: UdtLookup): SourceColumn {
  const kind = KINDS[row.kind];
  if (kind === undefined) {
    throw new LockstepError(`column ${row.column_name} of ${row.table_name} has the unknown kind ${row.kind}`, {
      code: 'SOURCE_SCHEMA',
      kind: 'config',
      remedy: 'this version of Cassandra is newer than Lockstep; leave the table out',
    });
  }
  return {
    name: row.column_name,
    kind,
    // Regular and static columns have position −1 there.
    position: Math.max(row.position, 0),
    descending: row.clustering_order === 'desc',
    type: parseOrCustom(row.type, lookup),
    typeText: row.type,
  };
}

const MICROSECONDS_PER_MS = 1000n;

function droppedColumn(row: DroppedRow): DroppedColumn {
  return {
    name: row.column_name,
    kind: KINDS[row.kind] ?? 'regular',
    typeText: row.type,
    droppedAt: BigInt(row.dropped_time.getTime()) * MICROSECONDS_PER_MS,
  };
}

/** Why a table can't be followed; `flags` as `system_schema.tables` has them. */
function unsupportedTable(flags: ReadonlySet<string>): UnsupportedTable | null {
  if (flags.has('counter')) return COUNTER_TABLE;
  if (!flags.has('compound') || flags.has('dense') || flags.has('super')) {
    return {
      what: 'a table WITH COMPACT STORAGE, whose changes have hidden columns',
      remedy: 'ALTER TABLE … DROP COMPACT STORAGE in the source, or leave the table out',
    };
  }
  return null;
}

function viewOf(base: string): UnsupportedTable {
  return {
    what: `a materialised view of ${base}, and changes of views are not captured`,
    remedy: `map ${base} instead`,
  };
}

const VIRTUAL: UnsupportedTable = {
  what: 'a virtual table, which holds no data of its own',
  remedy: 'leave the table out',
};

function byTable<Row extends { readonly table_name: string }>(rows: readonly Row[]): (name: string) => readonly Row[] {
  const groups = Map.groupBy(rows, (row) => row.table_name);
  return (name) => groups.get(name) ?? [];
}

/** Reads rows of a system table; they are small and read page by page all the same. */
async function select<Row>(client: Client, query: string, keyspace: string): Promise<readonly Row[]> {
  const rows: Row[] = [];
  const result = await client.execute(query, [keyspace], { prepare: true });
  for await (const row of result) rows.push(row as unknown as Row);
  return rows;
}

const TABLES =
  'SELECT table_name, id, flags, default_time_to_live, cdc FROM system_schema.tables WHERE keyspace_name = ?';
const VIEWS = 'SELECT view_name, base_table_name, id FROM system_schema.views WHERE keyspace_name = ?';
const COLUMNS =
  'SELECT table_name, column_name, kind, position, clustering_order, type FROM system_schema.columns WHERE keyspace_name = ?';
const DROPPED =
  'SELECT table_name, column_name, kind, type, dropped_time FROM system_schema.dropped_columns WHERE keyspace_name = ?';
const TYPES = 'SELECT type_name, field_names, field_types FROM system_schema.types WHERE keyspace_name = ?';
const VIRTUAL_TABLES = 'SELECT table_name FROM system_virtual_schema.tables WHERE keyspace_name = ?';
const VIRTUAL_COLUMNS =
  'SELECT table_name, column_name, kind, position, clustering_order, type FROM system_virtual_schema.columns WHERE keyspace_name = ?';

/**
 * Reads the schema of a keyspace. Tables that can't be followed (counters, compact storage, views, virtual tables) are
 * in the list with the reason, so that a mapping onto one is refused by what it is and not as unknown. A column of a
 * type that is not known comes as `custom`.
 *
 * @throws LockstepError `config` where the keyspace does not exist; what the driver throws where the source is down.
 */
export async function readSchema(client: Client, keyspace: string): Promise<readonly SourceTable[]> {
  const [tables, views, columns, dropped, types, virtualTables, virtualColumns] = await Promise.all([
    select<TableRow>(client, TABLES, keyspace),
    select<ViewRow>(client, VIEWS, keyspace),
    select<ColumnRow>(client, COLUMNS, keyspace),
    select<DroppedRow>(client, DROPPED, keyspace),
    select<TypeRow>(client, TYPES, keyspace),
    select<{ readonly table_name: string }>(client, VIRTUAL_TABLES, keyspace),
    select<ColumnRow>(client, VIRTUAL_COLUMNS, keyspace),
  ]);
  if (tables.length === 0 && virtualTables.length === 0) await assertKeyspace(client, keyspace);
  const lookup = userTypeLookup(
    types.map((row) => ({
      name: row.type_name,
      fields: row.field_names.map((name, i) => ({ name, typeText: row.field_types[i] ?? '' })),
    })),
  );
  const columnsOf = byTable([...columns, ...virtualColumns]);
  const droppedOf = byTable(dropped);
  const describe = (name: string, rest: Pick<SourceTable, 'id' | 'defaultTtlSeconds' | 'cdc' | 'unsupported'>) => ({
    keyspace,
    name,
    columns: columnsOf(name)
      .map((row) => sourceColumn(row, lookup))
      .sort(inSchemaOrder),
    droppedColumns: droppedOf(name).map(droppedColumn),
    ...rest,
  });
  const unfollowed = { id: null, defaultTtlSeconds: 0, cdc: false };
  return [
    ...tables.map((row) =>
      describe(row.table_name, {
        id: row.id.toString(),
        defaultTtlSeconds: row.default_time_to_live ?? 0,
        cdc: row.cdc ?? false,
        unsupported: unsupportedTable(new Set(row.flags ?? [])),
      }),
    ),
    ...views.map((row) => describe(row.view_name, { ...unfollowed, unsupported: viewOf(row.base_table_name) })),
    ...virtualTables.map((row) => describe(row.table_name, { ...unfollowed, unsupported: VIRTUAL })),
  ];
}

async function assertKeyspace(client: Client, keyspace: string): Promise<void> {
  const query = 'SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = ?';
  const rows = await select<{ readonly keyspace_name: string }>(client, query, keyspace);
  if (rows.length > 0) return;
  throw new LockstepError(`the source has no keyspace ${JSON.stringify(keyspace)}`, {
    code: 'SOURCE_KEYSPACE',
    kind: 'config',
    remedy: 'correct tables[].source, or create the keyspace; names are lower-case unless they were created in quotes',
  });
}
