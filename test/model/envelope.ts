/**
 * Envelopes as the real Debezium Cassandra connector (3.4.1.Final) writes them: fields, order and spelling of the captured
 * events in test/fixtures/debezium-cassandra. Written without the decoder's code.
 */
import { isWide, type Mutation, type RangeBound } from './mutation.ts';
import type { CqlName, ModelColumn, ModelSchema } from './schema.ts';

export const KEYSPACE = 'shop';

export interface Envelope {
  readonly key: string;
  readonly value: string;
}

const MARSHAL: Readonly<Record<CqlName, string>> = {
  int: 'Int32Type',
  bigint: 'LongType',
  text: 'UTF8Type',
  decimal: 'DecimalType',
  timeuuid: 'TimeUUIDType',
};

function printed(column: ModelColumn, value: string): string {
  return column.type === 'int' || column.type === 'bigint' ? value : JSON.stringify(value);
}

function cell(value: string, deletionTs: bigint | null): string {
  return `{"value":${value},"deletion_ts":${deletionTs ?? 'null'},"set":true}`;
}

function bound(schema: ModelSchema, { values, inclusive }: RangeBound, side: 'START' | 'END'): string {
  const entries = values.map((value, i) => {
    const { name, type, descending } = schema.clustering[i]!;
    const marshal = `org.apache.cassandra.db.marshal.${MARSHAL[type]}`;
    const printedType = descending ? `org.apache.cassandra.db.marshal.ReversedType(${marshal})` : marshal;
    return JSON.stringify({ name, value, type: printedType });
  });
  // The connector lists them in the order of a hash map.
  if (values.length > 1) entries.reverse();
  return `{"method":"${inclusive ? 'INCL' : 'EXCL'}_${side}_BOUND","values":[${entries.join(',')}]}`;
}

const OPS = { insert: 'i', update: 'u', 'delete-row': 'd', 'delete-partition': 'd', 'delete-range': 'r' } as const;

/** The cells of a mutation by column, and of a table without clustering columns the row delete as a partition delete. */
function afterOf(schema: ModelSchema, mutation: Mutation): string[] {
  const { partitionKey, clustering, regular } = schema;
  const where = isWide(mutation) ? mutation.partition : mutation.key;
  const fields = partitionKey.map((column, i) => `"${column.name}":${cell(printed(column, where[i]!), null)}`);
  const each = (column: ModelColumn, text: string): number => fields.push(`"${column.name}":${text}`);
  for (const [i, column] of clustering.entries()) {
    if (mutation.kind === 'delete-range') each(column, 'null');
    else if (mutation.kind === 'delete-partition') each(column, cell('null', mutation.time));
    else each(column, cell(printed(column, where[partitionKey.length + i]!), null));
  }
  for (const [i, column] of regular.entries()) {
    if (mutation.kind === 'delete-range') each(column, 'null');
    else if (mutation.kind === 'delete-partition' || mutation.kind === 'delete-row') {
      each(column, cell('null', mutation.time));
    } else {
      const value = mutation.cells[i];
      if (value === undefined) each(column, 'null');
      else each(column, value === null ? cell('null', null) : cell(printed(column, value), mutation.expiry));
    }
  }
  const range = mutation.kind === 'delete-range' ? mutation : null;
  fields.push(`"_range_start":${range === null ? 'null' : bound(schema, range.start, 'START')}`);
  fields.push(`"_range_end":${range === null ? 'null' : bound(schema, range.end, 'END')}`);
  return fields;
}

/** `emittedMs` and `place` differ between copies of one event, as they do in the connector's. */
export function envelopeOf(schema: ModelSchema, mutation: Mutation, emittedMs: number, place: number): Envelope {
  const keys = [...schema.partitionKey, ...schema.clustering];
  const where = isWide(mutation) ? mutation.partition : mutation.key;
  const key = keys.map(
    (column, i) => `"${column.name}":${where[i] === undefined ? 'null' : printed(column, where[i])}`,
  );
  const { time } = mutation;
  // Of a partition delete it is the maximum of the whole update, so at least the delete's time.
  const source =
    `{"version":"3.4.1.Final","connector":"cassandra","name":"cass1","ts_ms":${time / 1000n},"snapshot":"false",` +
    `"db":"NULL","sequence":null,"ts_us":${time},"ts_ns":${BigInt.asIntN(64, time * 1000n)},"cluster":"Test Cluster",` +
    `"file":"CommitLog-7-1.log","pos":${place},"keyspace":"${KEYSPACE}","table":"${schema.name}"}`;
  return {
    key: `{${key.join(',')}}`,
    value: `{"ts_ms":${emittedMs},"op":"${OPS[mutation.kind]}","source":${source},"after":{${afterOf(schema, mutation).join(',')}}}`,
  };
}
