import type { Table } from './table.ts';
import type { ColumnCollation, TargetColumn, TargetIndex, TargetTable } from './target-table.ts';

/** What a reader needs of a connection: `pg`'s Client and Pool have it. */
export interface Queryable {
  query(sql: string, values?: unknown[]): Promise<{ rows: unknown[] }>;
}

/** What holds for the whole database. */
export interface TargetDatabase {
  readonly serverVersion: number;
  /** Must be UTF8: any other encoding refuses or changes text. */
  readonly encoding: string;
  readonly schemas: ReadonlySet<string>;
}

/** The answer as text that is parsed here: some connections parse JSON, those of the door leave everything text. */
function described(rows: readonly unknown[]): unknown {
  const [row] = rows as { description: string }[];
  return row === undefined ? null : JSON.parse(row.description);
}

export async function readTargetDatabase(client: Queryable): Promise<TargetDatabase> {
  const { rows } = await client.query(
    `SELECT json_build_object('version', current_setting('server_version_num')::integer,
       'encoding', current_setting('server_encoding'),
       'schemas', (SELECT coalesce(json_agg(nspname), '[]') FROM pg_namespace))::text AS description`,
  );
  const { version, encoding, schemas } = described(rows) as { version: number; encoding: string; schemas: string[] };
  return { serverVersion: version, encoding, schemas: new Set(schemas) };
}

/**
 * One query, one row: the table with its columns, indexes and whatever can stand in the way of a write, as JSON. All of
 * it is seen in one snapshot.
 */
const TABLE_QUERY = `
SELECT json_build_object(
  'kind', CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned' WHEN 'v' THEN 'view' WHEN 'm' THEN 'view'
    WHEN 'f' THEN 'foreign' ELSE 'other' END,
  'persistence', CASE c.relpersistence WHEN 'p' THEN 'permanent' WHEN 'u' THEN 'unlogged' ELSE 'temporary' END,
  'fillfactor', (SELECT option_value::integer FROM pg_options_to_table(c.reloptions) WHERE option_name = 'fillfactor'),
  'columns', (
    SELECT coalesce(json_agg(json_build_object(
      'name', a.attname,
      'type', CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) ELSE format_type(a.atttypid, a.atttypmod) END,
      'typeName', CASE WHEN t.typtype = 'd' THEN (SELECT b.typname FROM pg_type b WHERE b.oid = t.typbasetype) ELSE t.typname END,
      'domain', CASE WHEN t.typtype = 'd' THEN format_type(a.atttypid, NULL) END,
      'notNull', a.attnotnull OR t.typnotnull,
      'hasDefault', a.atthasdef OR t.typdefault IS NOT NULL,
      'generated', CASE a.attgenerated WHEN 's' THEN 'stored' WHEN 'v' THEN 'virtual' END,
      'identity', CASE a.attidentity WHEN 'a' THEN 'always' WHEN 'd' THEN 'by default' END,
      'collation', (
        SELECT json_build_object('name', l.collname, 'deterministic', l.collisdeterministic, 'provider', l.collprovider,
          -- The columns' names changed over the versions; a JSON of the row spares telling them apart.
          'locale', coalesce(to_jsonb(l)->>'collcollate', to_jsonb(l)->>'colllocale', to_jsonb(l)->>'colliculocale'),
          'databaseProvider', to_jsonb(d)->>'datlocprovider',
          'databaseLocale', CASE to_jsonb(d)->>'datlocprovider' WHEN 'c' THEN d.datcollate
            ELSE coalesce(to_jsonb(d)->>'datlocale', to_jsonb(d)->>'daticulocale') END)
        FROM pg_collation l, pg_database d WHERE l.oid = a.attcollation AND d.datname = current_database())
    ) ORDER BY a.attnum), '[]')
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
  'indexes', (
    SELECT coalesce(json_agg(json_build_object(
      'name', i.relname, 'method', m.amname, 'unique', x.indisunique, 'primary', x.indisprimary, 'valid', x.indisvalid,
      'partial', x.indpred IS NOT NULL, 'deferrable', NOT x.indimmediate,
      'keys', (
        SELECT json_agg((SELECT a.attname FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = k.attnum) ORDER BY k.position)
        FROM unnest(x.indkey::smallint[]) WITH ORDINALITY AS k(attnum, position)),
      'keyCount', x.indnkeyatts
    ) ORDER BY i.relname), '[]')
    FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_am m ON m.oid = i.relam WHERE x.indrelid = c.oid),
  'checks', (SELECT coalesce(json_agg(conname || ' ' || pg_get_constraintdef(oid) ORDER BY conname), '[]')
    FROM pg_constraint WHERE conrelid = c.oid AND contype = 'c'),
  'foreignKeys', (SELECT coalesce(json_agg(conname || ' ' || pg_get_constraintdef(oid) ORDER BY conname), '[]')
    FROM pg_constraint WHERE conrelid = c.oid AND contype = 'f'),
  -- tgtype: bit 0 FOR EACH ROW, bit 1 BEFORE, bit 6 INSTEAD OF
  'rowTriggers', (SELECT coalesce(json_agg(tgname ORDER BY tgname), '[]') FROM pg_trigger
    WHERE tgrelid = c.oid AND NOT tgisinternal AND tgenabled <> 'D' AND tgtype & 1 = 1 AND tgtype & 66 <> 0),
  'rules', (SELECT coalesce(json_agg(rulename ORDER BY rulename), '[]') FROM pg_rewrite
    WHERE ev_class = c.oid AND ev_type IN ('2', '3')),
  'rowSecurity', row_security_active(c.oid),
  'missingPrivileges', (SELECT coalesce(json_agg(p), '[]') FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS p
    WHERE NOT has_table_privilege(c.oid, p))
)::text AS description
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c')`;

interface CollationRow {
  readonly name: string;
  readonly deterministic: boolean;
  readonly provider: string;
  readonly locale: string | null;
  readonly databaseProvider: string;
  readonly databaseLocale: string | null;
}
interface IndexRow extends Omit<TargetIndex, 'columns' | 'included'> {
  readonly keys: readonly (string | null)[];
  readonly keyCount: number;
}
interface ColumnRow extends Omit<TargetColumn, 'collation'> {
  readonly typeName: string;
  readonly collation: CollationRow | null;
}
interface TableRow extends Omit<TargetTable, 'schema' | 'name' | 'columns' | 'indexes'> {
  readonly columns: readonly ColumnRow[];
  readonly indexes: readonly IndexRow[];
}

/** Locales in which text sorts by code point, which is the order of UTF-8 bytes. Not so in ICU, whatever its name. */
const BYTEWISE_LOCALES = new Set(['C', 'POSIX', 'C.UTF-8', 'C.UTF8', 'C.utf8', 'PG_UNICODE_FAST']);

function collationFrom(row: CollationRow): ColumnCollation {
  const isDefault = row.provider === 'd';
  const provider = isDefault ? row.databaseProvider : row.provider;
  const locale = isDefault ? row.databaseLocale : row.locale;
  return {
    name: row.name,
    deterministic: row.deterministic,
    bytewise: provider !== 'i' && locale !== null && BYTEWISE_LOCALES.has(locale),
  };
}

/** Types that an extension brings are named with their schema unless it is on the search path. */
function typeText(row: ColumnRow): string {
  return row.typeName === 'citext' ? 'citext' : row.type;
}

function tableFrom(schema: string, name: string, { columns, indexes, ...rest }: TableRow): TargetTable {
  return {
    schema,
    name,
    ...rest,
    columns: columns.map(({ typeName, collation, ...column }) => ({
      ...column,
      type: typeText({ typeName, collation, ...column }),
      collation: collation === null ? null : collationFrom(collation),
    })),
    indexes: indexes.map(({ keys, keyCount, ...index }) => ({
      ...index,
      columns: keys.slice(0, keyCount),
      included: keys.slice(keyCount).filter((key) => key !== null),
    })),
  };
}

/** Reads a live table of the target, or null where there is none of that name. */
export async function readTargetTable(client: Queryable, schema: string, name: string): Promise<TargetTable | null> {
  const { rows } = await client.query(TABLE_QUERY, [schema, name]);
  const row = described(rows) as TableRow | null;
  return row === null ? null : tableFrom(schema, name, row);
}

/** The table with what its live target says about NOT NULL: the door must know which columns a sparse row lacks. */
export function withTargetNotNull(table: Table, target: TargetTable): Table {
  const notNull = new Set(target.columns.filter((column) => column.notNull).map((column) => column.name));
  return {
    ...table,
    regular: table.regular.map((column) => ({ ...column, notNull: notNull.has(column.target) })),
  };
}
