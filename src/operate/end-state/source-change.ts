/** Whether the source's table is still the one that a comparison knows: else its PASS would be about something else. */
import { isDeepStrictEqual } from 'node:util';
import type { Client } from 'cassandra-driver';
import type { SourceTable } from '../../catalog/source-table.ts';
import { keyColumns, type Table } from '../../catalog/table.ts';
import { messageOf } from '../../shared/errors.ts';
import { readSchema } from '../../source/schema.ts';

async function sourceTable(client: Client, table: Table): Promise<SourceTable | undefined> {
  return (await readSchema(client, table.keyspace)).find(({ name }) => name === table.sourceTable);
}

/** Cassandra's ID of the table; null where the source has none of the name. */
export async function sourceId(client: Client, table: Table): Promise<string | null> {
  return (await sourceTable(client, table))?.id ?? null;
}

/** What has changed since the table had this ID, as it is bound here; null where nothing has. */
export async function changedSince(client: Client, table: Table, id: string | null): Promise<string | null> {
  try {
    return sourceChange(table, id, await sourceTable(client, table));
  } catch (error) {
    return `the source's schema can not be read: ${messageOf(error)}`;
  }
}

/** Looks at the source now, and, whenever it is called, tells what has changed since; null where nothing has. */
export async function schemaWatch(client: Client, table: Table): Promise<() => Promise<string | null>> {
  const id = await sourceId(client, table);
  return () => changedSince(client, table, id);
}

/**
 * What has changed, in words; null where nothing has. Pure.
 *
 * @param id Cassandra's ID of the table when the comparison began; null where it was not known.
 * @param now The table as the source has it; undefined where it has none of the name.
 */
export function sourceChange(table: Table, id: string | null, now: SourceTable | undefined): string | null {
  if (now === undefined) return `the source has no table ${table.keyspace}.${table.sourceTable} any more`;
  if (id !== null && now.id !== id)
    return `${table.keyspace}.${table.sourceTable} was dropped and created again meanwhile`;
  const excluded = new Set(table.excluded ?? []);
  const known = new Map(
    [...keyColumns(table), ...table.regular, ...table.statics].map((column) => [column.name, column] as const),
  );
  const changes = now.columns.flatMap(({ name, type }) => {
    const column = known.get(name);
    known.delete(name);
    if (column === undefined) return excluded.has(name) ? [] : [`column ${name} was added`];
    return isDeepStrictEqual(column.type, type) ? [] : [`the type of column ${name} was changed`];
  });
  const gone = [...known.keys()].map((name) => `column ${name} was dropped`);
  const dropped = now.droppedColumns.flatMap(({ name, droppedAt }) => {
    const before = [...table.regular, ...table.statics].find((column) => column.name === name);
    const isAgain = before !== undefined && !known.has(name) && before.droppedAt !== droppedAt;
    return isAgain ? [`column ${name} was dropped and added again`] : [];
  });
  const all = [...changes, ...gone, ...dropped];
  return all.length === 0 ? null : `the source's schema changed meanwhile: ${all.join(', ')}`;
}
