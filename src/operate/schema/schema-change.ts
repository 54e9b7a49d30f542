import { bindTable } from '../../catalog/bind.ts';
import type { SourceTable } from '../../catalog/source-table.ts';
import type { ColumnMapping, TableMapping } from '../../catalog/table-mapping.ts';
import { keyColumns, type Column, type Table } from '../../catalog/table.ts';
import { withRereads, type ResolvedTable } from './source-tables.ts';

/** Why a table can't go on, for operators. */
export interface SchemaStop {
  readonly code: string;
  readonly reason: string;
}

/** What a fresh reading of the source's schema means for a table that is running. */
export type SchemaVerdict =
  | { readonly kind: 'same' }
  /** To be bound anew, once its target fits. `ignored`: new columns that the policy leaves out. */
  | {
      readonly kind: 'changed';
      readonly table: Table;
      readonly source: SourceTable;
      readonly what: readonly string[];
      readonly ignored: readonly string[];
    }
  | { readonly kind: 'stop'; readonly stop: SchemaStop };

/** Another table under the same name: the watch asks whether it may be accepted. */
export const TABLE_RECREATED = 'SOURCE_TABLE_RECREATED';

/** All of a column that decoding and writing depend on; NOT NULL is the live target's matter. */
function signature({ name, target, type, targetType, kind, descending, droppedAt }: Column): string {
  return JSON.stringify([name, target, type, targetType, kind, descending, droppedAt?.toString() ?? null]);
}

function columnsOf(table: Table): ReadonlyMap<string, string> {
  return new Map([...table.regular, ...table.statics].map((column) => [column.name, signature(column)]));
}

/** The differences in words: what the log and a stop say. */
function differences(before: Table, after: Table): readonly string[] {
  const old = columnsOf(before);
  const fresh = columnsOf(after);
  const what: string[] = [];
  for (const [name, text] of fresh) {
    if (!old.has(name)) what.push(`column ${name} was added`);
    else if (old.get(name) !== text) what.push(`column ${name} was changed, or dropped and added again`);
  }
  for (const name of old.keys()) if (!fresh.has(name)) what.push(`column ${name} was dropped`);
  const known = new Set(before.excluded ?? []);
  const left = (after.excluded ?? []).filter((name) => !known.has(name) && !old.has(name));
  if (left.length > 0) what.push(`${left.join(', ')} left out`);
  if (before.usesTtl !== after.usesTtl) what.push('the default TTL was changed');
  return what;
}

function stop(code: string, reason: string): SchemaVerdict {
  return { kind: 'stop', stop: { code, reason } };
}

/** The mapping with columns left out. */
export function ignoring(mapping: TableMapping, names: readonly string[]): TableMapping {
  const leftOut: ColumnMapping = { target: null, type: null, exclude: true, allowLoss: [], sensitive: false };
  const excluded = names.map((name): [string, ColumnMapping] => [name, leftOut]);
  return { ...mapping, columns: { ...mapping.columns, ...Object.fromEntries(excluded) } };
}

/**
 * Judges a fresh reading of a table's schema against the one that is in force. Pure. A key can't be followed: rows would
 * be other rows; and a table that was dropped, or dropped and created again, needs a person, because the target still
 * holds the rows of the old one. `current.source.id` is the table that the target's rows are from.
 */
export function judgeSchema(
  current: ResolvedTable,
  fresh: SourceTable | undefined,
  mapping: TableMapping,
): SchemaVerdict {
  const { table } = current;
  if (fresh === undefined) {
    return stop(
      'SOURCE_TABLE_DROPPED',
      `${table.name} is gone from the source. Remove it from the configuration, or create it again and accept it.`,
    );
  }
  if (current.source.id !== null && fresh.id !== null && current.source.id !== fresh.id) {
    return stop(
      TABLE_RECREATED,
      `${table.name} was dropped and created again; ${table.targetSchema}.${table.targetTable} holds the rows of the former table. ` +
        'Empty the target; the table then goes on by itself. Backfill it afterwards.',
    );
  }
  const known = new Set(current.source.columns.map(({ name }) => name));
  const isNew = ({ name }: { readonly name: string }) => !known.has(name) && mapping.columns[name] === undefined;
  const ignored = mapping.schemaChange === 'ignore' ? fresh.columns.filter(isNew).map(({ name }) => name) : [];
  const bound = bindTable(fresh, ignoring(mapping, ignored));
  if (bound.kind === 'refused') {
    const [first] = bound.errors;
    return stop(
      first?.code ?? 'SCHEMA_CHANGED',
      bound.errors.map((error) => `${error.message}: ${error.remedy ?? ''}`).join('; '),
    );
  }
  const keyOf = (of: Table) => keyColumns(of).map(signature).join();
  if (keyOf(table) !== keyOf(bound.table)) {
    return stop(
      'SOURCE_KEY_CHANGED',
      `the primary key of ${table.name} was changed (a column renamed or altered): map the table anew, with a new target, and backfill`,
    );
  }
  const what = differences(table, bound.table);
  if (what.length === 0) return { kind: 'same' };
  // What is left out stays left out: the source as it was, with the columns that were known then.
  const source = { ...fresh, columns: fresh.columns.filter(({ name }) => !ignored.includes(name)) };
  const rebound = withRereads(bound.table, table.rereads !== undefined, mapping);
  return { kind: 'changed', table: rebound, source: ignored.length === 0 ? fresh : source, what, ignored };
}
