/** A schema of the model as the service knows the table. */
import type { Table } from '../../src/catalog/table.ts';
import type { BoundTable } from '../../src/target/bound-table.ts';
import { KEYSPACE } from '../model/envelope.ts';
import type { CqlName, ModelSchema } from '../model/schema.ts';
import { boundWithoutServer } from '../support/bound-table.ts';
import { column, scalar, tableOf } from '../support/door-rig.ts';

const TARGET_TYPES: Readonly<Record<CqlName, string>> = {
  int: 'integer',
  bigint: 'bigint',
  text: 'text',
  decimal: 'numeric',
  timeuuid: 'uuid',
};

/** Without the bytes that decide a tie. */
const LOSSY_TYPES: Readonly<Partial<Record<CqlName, string>>> = { decimal: 'numeric(9,2)' };

function tableFrom(schema: ModelSchema): Table {
  const { partitionKey, clustering, regular, usesTtl, isAsked } = schema;
  const columns = [
    ...partitionKey.map((each) => ({ each, kind: 'partition' as const })),
    ...clustering.map((each) => ({ each, kind: 'clustering' as const })),
    ...regular.map((each) => ({ each, kind: 'regular' as const })),
  ].map(({ each, kind }) =>
    column(
      each.name,
      kind,
      scalar(each.type),
      isAsked ? (LOSSY_TYPES[each.type] ?? TARGET_TYPES[each.type]) : TARGET_TYPES[each.type],
      { descending: each.descending },
    ),
  );
  const rereads = isAsked ? { rereads: { mode: 'apply', existenceChecks: true } as const } : {};
  return tableOf(schema.name, columns, { usesTtl, ...rereads, topic: `cass1.${KEYSPACE}.${schema.name}` });
}

const bound = new Map<string, Promise<BoundTable>>();

/** Compiled once a process. */
export function boundTableOf(schema: ModelSchema): Promise<BoundTable> {
  let table = bound.get(schema.name);
  if (table === undefined) {
    table = boundWithoutServer(tableFrom(schema));
    bound.set(schema.name, table);
  }
  return table;
}
