import type { Table } from '../../catalog/table.ts';
import { createDebeziumCassandraDecoder } from '../../decode/debezium-cassandra/index.ts';
import type { Decoder } from '../../decode/record.ts';
import { representableOnly } from '../../decode/representable.ts';

/** The decoder of a table's topic: what the target can't hold exactly is refused. */
export function decoderOf(table: Table): Decoder {
  return representableOnly(table, createDebeziumCassandraDecoder(table));
}
