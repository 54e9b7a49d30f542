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

function tableFrom(schema: ModelSchema): Table {
  const { partitionKey, clustering, regular, usesTtl } = schema;
  const columns = [
    ...partitionKey.map((each) => ({ each, kind: 'partition' as const })),
    ...clustering.map((each) => ({ each, kind: 'clustering' as const })),
    ...regular.map((each) => ({ each, kind: 'regular' as const })),
  ].map(({ each, kind }) =>
    column(each.name, kind, scalar(each.type), TARGET_TYPES[each.type], { descending: each.descending }),
  );
  return tableOf(schema.name, columns, { usesTtl, topic: `cass1.${KEYSPACE}.${schema.name}` });
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
