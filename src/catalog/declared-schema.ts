import { parseCqlType } from '../change/parse-cql-type.ts';
import { LockstepError } from '../shared/errors.ts';
import type { SourceColumn, SourceTable } from './source-table.ts';
import type { DeclaredSchema } from './table-mapping.ts';
import type { ColumnKind } from './table.ts';
import { userTypeLookup } from './user-types.ts';

export type DeclaredTable =
  | { readonly kind: 'declared'; readonly source: SourceTable }
  | { readonly kind: 'refused'; readonly errors: readonly LockstepError[] };

function problem(table: string, key: string, message: string, remedy: string): LockstepError {
  return new LockstepError(`tables: ${table}: schema.${key}: ${message}`, {
    code: 'SCHEMA_DECLARATION',
    kind: 'config',
    remedy,
  });
}

/** Names used by the key and static lists that are wrong: unknown, or used twice. */
function checkNames(table: string, declared: DeclaredSchema): LockstepError[] {
  const errors: LockstepError[] = [];
  const first = new Map<string, string>();
  const lists = [
    ['partitionKey', declared.partitionKey],
    ['clusteringKey', declared.clusteringKey],
    ['statics', declared.statics],
  ] as const;
  for (const [key, names] of lists) {
    for (const name of names) {
      const before = first.get(name);
      if (before !== undefined) {
        errors.push(problem(table, key, `${name} stands in ${before} already`, 'name each column once'));
      } else if (!Object.hasOwn(declared.columns, name)) {
        errors.push(problem(table, key, `${name} has no type`, `add schema.columns.${name}`));
      }
      first.set(name, key);
    }
  }
  for (const name of Object.keys(declared.clusteringOrder)) {
    if (declared.clusteringKey.includes(name)) continue;
    errors.push(problem(table, 'clusteringOrder', `${name} is no clustering column`, 'remove it, or add it there'));
  }
  return errors;
}

/** The source table that a configuration declares, for a table without a connection to its source. */
export function declaredTable(name: string, declared: DeclaredSchema): DeclaredTable {
  const [keyspace = '', table = ''] = name.split('.');
  const errors = checkNames(name, declared);
  const lookup = userTypeLookup(
    Object.entries(declared.types).map(([typeName, fields]) => ({
      name: typeName,
      fields: Object.entries(fields).map(([field, typeText]) => ({ name: field, typeText })),
    })),
  );
  const placeOf = (column: string): { readonly kind: ColumnKind; readonly position: number } => {
    const partition = declared.partitionKey.indexOf(column);
    if (partition >= 0) return { kind: 'partition', position: partition };
    const clustering = declared.clusteringKey.indexOf(column);
    if (clustering >= 0) return { kind: 'clustering', position: clustering };
    return { kind: declared.statics.includes(column) ? 'static' : 'regular', position: 0 };
  };
  const columns: SourceColumn[] = [];
  for (const [column, typeText] of Object.entries(declared.columns)) {
    try {
      const type = parseCqlType(typeText, lookup);
      const descending = declared.clusteringOrder[column] === 'desc';
      columns.push({ name: column, ...placeOf(column), descending, type, typeText });
    } catch (error) {
      if (!(error instanceof LockstepError) || error.kind !== 'config') throw error;
      errors.push(problem(name, `columns.${column}`, error.message, error.remedy ?? 'correct the type'));
    }
  }
  if (errors.length > 0) return { kind: 'refused', errors };
  const isCounter = columns.some(({ type }) => type.kind === 'scalar' && type.name === 'counter');
  return {
    kind: 'declared',
    source: {
      keyspace,
      name: table,
      id: null,
      columns,
      droppedColumns: [],
      defaultTtlSeconds: declared.defaultTtlSeconds,
      cdc: null,
      unsupported: isCounter ? COUNTER_TABLE : null,
    },
  };
}

/** Counters have no write times that a merge could use, and the connector emits nothing for them. */
export const COUNTER_TABLE = {
  what: 'a counter table, whose changes are not captured and carry no write times',
  remedy: 'leave the table out; reconciliation.counters compares a copy of it that something else keeps',
} as const;
