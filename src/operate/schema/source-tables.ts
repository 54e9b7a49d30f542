import { closest } from 'fastest-levenshtein';
import { bindTable } from '../../catalog/bind.ts';
import { declaredTable } from '../../catalog/declared-schema.ts';
import type { SourceTable } from '../../catalog/source-table.ts';
import type { TableMapping } from '../../catalog/table-mapping.ts';
import type { Table } from '../../catalog/table.ts';
import { LockstepError } from '../../shared/errors.ts';

/** A configured table with what the source says about it, bound to its target. */
export interface ResolvedTable {
  readonly source: SourceTable;
  readonly table: Table;
}

/** Every table that could be bound, and everything that stands against the others. */
export interface ResolvedTables {
  readonly resolved: readonly ResolvedTable[];
  readonly errors: readonly LockstepError[];
}

/** Reads a keyspace of the source; null where there is no connection to it. */
export type ReadKeyspace = ((keyspace: string) => Promise<readonly SourceTable[]>) | null;

function missingTable(mapping: TableMapping, present: readonly SourceTable[]): LockstepError {
  const names = present.map(({ keyspace, name }) => `${keyspace}.${name}`);
  const near = names.length === 0 ? '' : `; the nearest is ${closest(mapping.source, names)}`;
  return new LockstepError(`tables: ${mapping.source}: source: the source has no such table${near}`, {
    code: 'SOURCE_TABLE',
    kind: 'config',
    remedy: 'correct tables[].source, or create the table WITH cdc = true',
  });
}

/** The table with what the configuration says about reading its rows again, where there is a source to read from. */
export function withRereads(
  table: Table,
  hasSource: boolean,
  { mode, existenceChecks }: Pick<TableMapping, 'mode' | 'existenceChecks'>,
): Table {
  return hasSource ? { ...table, rereads: { mode, existenceChecks } } : table;
}

/**
 * Binds the configured tables: from the declared schema where there is one, else from the source.
 * Rejects with what reading the source rejects with; whatever is wrong with a mapping is in `errors`, all of it.
 */
export async function resolveTables(mappings: readonly TableMapping[], read: ReadKeyspace): Promise<ResolvedTables> {
  const keyspaces = new Map<string, readonly SourceTable[]>();
  const resolved: ResolvedTable[] = [];
  const errors: LockstepError[] = [];
  for (const mapping of mappings) {
    let source: SourceTable | undefined;
    if (mapping.schema !== null) {
      const declared = declaredTable(mapping.source, mapping.schema);
      if (declared.kind === 'refused') {
        errors.push(...declared.errors);
        continue;
      }
      source = declared.source;
    } else {
      const [keyspace = '', name] = mapping.source.split('.');
      const present = keyspaces.get(keyspace) ?? (await read?.(keyspace)) ?? [];
      keyspaces.set(keyspace, present);
      source = present.find((table) => table.name === name);
      if (source === undefined) {
        errors.push(missingTable(mapping, present));
        continue;
      }
    }
    const binding = bindTable(source, mapping);
    if (binding.kind === 'bound') resolved.push({ source, table: withRereads(binding.table, read !== null, mapping) });
    else errors.push(...binding.errors);
  }
  return { resolved, errors };
}

/** One error of kind `config` that says all of several; exit code 78. */
export function togetherAsConfigError(errors: readonly LockstepError[]): LockstepError {
  const [first] = errors;
  if (first !== undefined && errors.length === 1) return first;
  const lines = errors.map(
    ({ message, remedy }) => `  ${message}${remedy === undefined ? '' : `\n    remedy: ${remedy}`}`,
  );
  return new LockstepError(`${errors.length} problems\n${lines.join('\n')}`, {
    code: first?.code ?? 'CONFIG_VALUE',
    kind: 'config',
  });
}
