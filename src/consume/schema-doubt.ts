import type { Item } from './shard/item.ts';
import type { Stop } from './shard/shard-state.ts';

/** The decoder's code for a column that the table does not have (src/decode/debezium-cassandra/codes.ts). */
const UNKNOWN_COLUMN = 'UNKNOWN_COLUMN';

/** Columns for which records were refused because the decoder does not know them: the source may have added them. */
export function unknownColumns(items: readonly Item[]): readonly string[] {
  const names = new Set<string>();
  for (const item of items) {
    if (item.kind !== 'refused' || item.refusal.code !== UNKNOWN_COLUMN) continue;
    names.add(item.refusal.path.replace(/^after\./, ''));
  }
  return [...names];
}

/** Why a shard waits for the schema: it goes on by itself when that was read. */
export function schemaDoubtStop(columns: readonly string[]): Stop {
  return {
    code: 'SCHEMA_DOUBT',
    reason: `records carry ${columns.join(', ')}, which the table did not have when its schema was read: it is read again`,
  };
}
