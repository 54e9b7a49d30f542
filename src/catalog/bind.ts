import { closest } from 'fastest-levenshtein';
import { LockstepError } from '../shared/errors.ts';
import { fitsIdentifier, MAX_IDENTIFIER_BYTES, RESERVED_PREFIX, SYSTEM_COLUMNS } from './identifier.ts';
import type { SourceColumn, SourceTable } from './source-table.ts';
import type { ColumnMapping, TableMapping } from './table-mapping.ts';
import type { Column, ColumnKind, Table } from './table.ts';
import { resolveTargetType } from './type-mapping.ts';

/** A source table bound to its target, or everything that stands against it, reported together. */
export type Binding =
  | { readonly kind: 'bound'; readonly table: Table }
  | { readonly kind: 'refused'; readonly errors: readonly LockstepError[] };

/** PostgreSQL indexes have 32 columns at most, and the token index puts one before the key. */
const MAX_KEY_COLUMNS = 31;
/** PostgreSQL's 1600 columns less the bookkeeping. */
const MAX_COLUMNS = 1590;

const USUAL: ColumnMapping = { target: null, type: null, exclude: false, allowLoss: [], sensitive: false };

/** Suffix of the table that holds static columns, keyed by the partition key. */
export const STATIC_SUFFIX = '__static';

type Report = (code: string, key: string, message: string, remedy: string) => void;

function checkColumnName(target: string, key: string, report: Report): void {
  if (!fitsIdentifier(target)) {
    const bytes = `PostgreSQL cuts names off after ${MAX_IDENTIFIER_BYTES} bytes`;
    report('TARGET_NAME', key, `target column ${JSON.stringify(target)} is no name: ${bytes}`, 'choose a shorter name');
  } else if (SYSTEM_COLUMNS.has(target)) {
    report('TARGET_NAME', key, `every PostgreSQL table has a system column ${target}`, 'choose another name');
  } else if (target.startsWith(RESERVED_PREFIX)) {
    report('TARGET_NAME', key, `names that begin with ${RESERVED_PREFIX} are Lockstep’s own`, 'choose another name');
  }
}

function checkTable(source: SourceTable, mapping: TableMapping, report: Report): void {
  if (source.unsupported !== null) {
    report('TABLE_UNSUPPORTED', 'source', `${mapping.source} is ${source.unsupported.what}`, source.unsupported.remedy);
  }
  const keys = source.columns.filter((column) => column.kind === 'partition' || column.kind === 'clustering');
  if (!keys.some((column) => column.kind === 'partition')) {
    report('TABLE_KEY', 'schema.partitionKey', 'the table has no partition key', 'name its columns');
  }
  if (keys.length > MAX_KEY_COLUMNS) {
    const limit = `PostgreSQL’s indexes take ${MAX_KEY_COLUMNS} with the token`;
    report('TABLE_KEY', 'source', `the key has ${keys.length} columns, ${limit}`, 'leave the table out');
  }
  if (source.columns.length > MAX_COLUMNS) {
    const remedy = 'exclude columns: exclude: true';
    report('TABLE_COLUMNS', 'columns', `${source.columns.length} columns, at most ${MAX_COLUMNS} fit`, remedy);
  }
  const names = new Set(source.columns.map((column) => column.name));
  const dropped = new Set(source.droppedColumns.map((column) => column.name));
  for (const name of Object.keys(mapping.columns)) {
    // An entry for a column that was dropped meanwhile is no mistake.
    if (names.has(name) || dropped.has(name)) continue;
    const near = names.size === 0 ? '' : `, the nearest is ${closest(name, [...names])}`;
    report(
      'MAPPING_COLUMN',
      `columns.${name}`,
      `the source table has no column ${JSON.stringify(name)}${near}`,
      'correct the name, as the source spells it, or remove the entry',
    );
  }
}

function checkTargetName(mapping: TableMapping, hasStatics: boolean, report: Report): readonly [string, string] {
  const [schema = '', table = ''] = mapping.target.split('.');
  const longest = hasStatics ? table + STATIC_SUFFIX : table;
  if (!fitsIdentifier(schema) || !fitsIdentifier(longest)) {
    const suffix = hasStatics ? ` (with ${STATIC_SUFFIX} for static columns)` : '';
    report(
      'TARGET_NAME',
      'target',
      `${mapping.target}${suffix} is longer than PostgreSQL’s ${MAX_IDENTIFIER_BYTES} bytes`,
      'choose a shorter name',
    );
  }
  if (table.startsWith(RESERVED_PREFIX)) {
    const message = `tables that begin with ${RESERVED_PREFIX} are Lockstep’s own`;
    report('TARGET_NAME', 'target', message, 'choose another name');
  }
  return [schema, table];
}

function bindColumn(source: SourceColumn, options: ColumnMapping, report: Report): Column | null {
  const key = `columns.${source.name}`;
  const inKey = source.kind === 'partition' || source.kind === 'clustering';
  if (options.exclude) {
    if (inKey) {
      const message = `${source.name} is part of the primary key`;
      report('KEY_EXCLUDED', `${key}.exclude`, message, 'remove exclude: rows could not be told apart without it');
    }
    if (options.target !== null || options.type !== null) {
      const message = 'an excluded column has neither target nor type';
      report('MAPPING_CONTRADICTION', `${key}.exclude`, message, 'remove exclude, or the other keys');
    }
    return null;
  }
  const target = options.target ?? source.name;
  checkColumnName(target, `${key}.target`, report);
  const resolved = resolveTargetType({ ...source, written: options.type, allowLoss: options.allowLoss });
  if (resolved.kind === 'refused') {
    const { code, message, remedy } = resolved.problem;
    const part = code === 'TYPE_LOSS' || code === 'KEY_LOSS' ? 'allowLoss' : 'type';
    report(code, `${key}.${part}`, message, remedy);
    return null;
  }
  return {
    name: source.name,
    target,
    kind: source.kind,
    descending: source.descending,
    type: source.type,
    targetType: resolved.target.text,
    notNull: inKey,
    allowLoss: options.allowLoss,
  };
}

function checkNamesOnce(columns: readonly Column[], report: Report): void {
  const first = new Map<string, Column>();
  for (const column of columns) {
    const before = first.get(column.target);
    if (before === undefined) first.set(column.target, column);
    else {
      const message = `${before.name} and ${column.name} would both be the target column ${column.target}`;
      report('TARGET_NAME', `columns.${column.name}.target`, message, 'give each a name of its own');
    }
  }
}

function withFloor(column: Column, source: SourceTable): Column {
  const droppedAt = source.droppedColumns
    .filter((dropped) => dropped.name === column.name)
    .reduce<bigint | null>(
      (newest, each) => (newest === null || each.droppedAt > newest ? each.droppedAt : newest),
      null,
    );
  return droppedAt === null ? column : { ...column, droppedAt };
}

/**
 * Binds a source table to its target: pure, from a schema that was read or declared. Every problem names the key of the
 * configuration, the value and the remedy, and all of them come together. What the live target table adds (NOT NULL)
 * comes from `withTargetNotNull`.
 */
export function bindTable(source: SourceTable, mapping: TableMapping): Binding {
  const errors: LockstepError[] = [];
  const report: Report = (code, key, message, remedy) => {
    errors.push(new LockstepError(`tables: ${mapping.source}: ${key}: ${message}`, { code, kind: 'config', remedy }));
  };
  checkTable(source, mapping, report);
  const hasStatics = source.columns.some((column) => column.kind === 'static');
  const [targetSchema, targetTable] = checkTargetName(mapping, hasStatics, report);

  const excluded: string[] = [];
  const columns: Column[] = [];
  // What is wrong with a table as a whole (a view, counters) is wrong with each column again: once is enough.
  for (const column of source.unsupported === null ? source.columns : []) {
    const options = mapping.columns[column.name] ?? USUAL;
    const bound = bindColumn(column, options, report);
    if (bound !== null) columns.push(bound);
    else if (options.exclude) excluded.push(column.name);
  }
  // Records from before a column was dropped still carry it; it says nothing any more.
  const present = new Set(source.columns.map((column) => column.name));
  for (const { name } of source.droppedColumns) if (!present.has(name)) excluded.push(name);
  checkNamesOnce(
    columns.filter((column) => column.kind !== 'static'),
    report,
  );
  checkNamesOnce(
    columns.filter((column) => column.kind === 'static' || column.kind === 'partition'),
    report,
  );
  if (errors.length > 0) return { kind: 'refused', errors };

  const positions = new Map(source.columns.map((column) => [column.name, column.position]));
  const ofKind = (kind: ColumnKind): readonly Column[] =>
    columns
      .filter((column) => column.kind === kind)
      .sort((a, b) => (positions.get(a.name) ?? 0) - (positions.get(b.name) ?? 0));
  return {
    kind: 'bound',
    table: {
      name: mapping.source,
      keyspace: source.keyspace,
      sourceTable: source.name,
      topic: mapping.topic,
      targetSchema,
      targetTable,
      partitionKey: ofKind('partition'),
      clustering: ofKind('clustering'),
      regular: ofKind('regular').map((column) => withFloor(column, source)),
      statics: ofKind('static'),
      excluded,
      usesTtl: mapping.usesTtl || source.defaultTtlSeconds > 0,
    },
  };
}
