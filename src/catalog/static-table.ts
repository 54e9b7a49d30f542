import { STATIC_SUFFIX } from './bind.ts';
import type { Table } from './table.ts';

/** Behind the names of the source table and of its topic: neither Cassandra nor Kafka has such names. */
const STATICS_OF = '#static';

/** The name of the table that a name, perhaps that of its static columns, belongs to. */
export function sourceTableName(name: string): string {
  return name.endsWith(STATICS_OF) ? name.slice(0, -STATICS_OF.length) : name;
}

/** What the table of a source table's static columns is called. */
export function staticsName(name: string): string {
  return name + STATICS_OF;
}

/**
 * The static columns of a table as a table of its own, keyed by the partition key; null where there are none. No event
 * tells of static columns (facts): the table is filled by scans, and is as old as the last one.
 */
export function staticTable(table: Table): Table | null {
  if (table.statics.length === 0 || table.ofStatics === true) return null;
  const { excluded: _excluded, ...rest } = table;
  return {
    ...rest,
    name: staticsName(table.name),
    topic: table.topic + STATICS_OF,
    targetTable: table.targetTable + STATIC_SUFFIX,
    clustering: [],
    regular: table.statics,
    statics: [],
    ofStatics: true,
  };
}
