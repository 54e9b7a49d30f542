import { z } from 'zod';
import { LOSSES } from './target-choices.ts';

/**
 * One entry of `tables` in lockstep.yaml: what is captured, where it arrives, and how columns differ from the usual
 * mapping. The configuration's schema takes this as its own part.
 */

const name = z.string().min(1);

const columnMapping = z.strictObject({
  target: name.nullable().default(null).describe('Name of the target column, if not that of the source.'),
  type: name
    .nullable()
    .default(null)
    .meta({ title: 'a PostgreSQL type', examples: ['numeric(12,2)', 'bigint', 'text'] })
    .describe('Type of the target column, if not the usual one (docs/type-mapping.md).'),
  exclude: z.boolean().default(false).describe('Leaves the column out of the target. Not possible for key columns.'),
  allowLoss: z
    .array(z.enum(LOSSES))
    .default([])
    .describe('Losses that are allowed by name; a value that would lose anything else is refused.'),
  sensitive: z.boolean().default(false).describe('Values are masked where dead letters are shown.'),
});

const cqlType = name.meta({ title: 'a CQL type', examples: ['uuid', 'frozen<list<int>>'] });

const declaredSchema = z
  .strictObject({
    columns: z
      .record(name, cqlType)
      .describe('CQL type of every column, by its name in the source: key, static and regular columns.'),
    partitionKey: z.array(name).min(1).describe('Columns of the partition key, in order.'),
    clusteringKey: z.array(name).default([]).describe('Clustering columns, in order.'),
    clusteringOrder: z
      .record(name, z.enum(['asc', 'desc']))
      .default({})
      .describe('Clustering columns that are not in ascending order.'),
    statics: z.array(name).default([]).describe('Static columns.'),
    types: z
      .record(name, z.record(name, cqlType))
      .default({})
      .describe('User-defined types: their fields in order, with CQL types.'),
    defaultTtlSeconds: z.int().min(0).max(630_720_000).default(0).describe('default_time_to_live of the table.'),
  })
  .describe('The source schema, where it is not read from the source.');

export const tableMappingSchema = z.strictObject({
  source: z
    .string()
    .regex(/^\w+\.\w+$/)
    .meta({ title: 'keyspace.table', examples: ['shop.orders'] })
    .describe('The source table.'),
  topic: z
    .string()
    .regex(/^[a-zA-Z0-9._-]{1,249}$/)
    .meta({ title: 'a Kafka topic name', examples: ['cass1.shop.orders'] })
    .describe('The topic that its changes arrive on.'),
  target: z
    .string()
    .regex(/^[^.]+\.[^.]+$/)
    .meta({ title: 'schema.table', examples: ['public.orders'] })
    .describe('The target table. `lockstep schema apply` creates it.'),
  format: z.enum(['debezium-cassandra']).default('debezium-cassandra').describe('Envelope of the changes.'),
  columns: z.record(name, columnMapping).default({}).describe('Columns that differ from the usual mapping.'),
  usesTtl: z
    .boolean()
    .default(false)
    .describe('Set it where writers use TTLs; a table with a default TTL is known to.'),
  schemaChange: z
    .enum(['evolve', 'validate', 'ignore'])
    .default('validate')
    .describe(
      'When the source table changes while running. evolve: new columns are added to the target; validate: the table stops until its target fits (`lockstep schema apply`), the others go on; ignore: new columns are left out, named in log and metric.',
    ),
  mode: z
    .enum(['apply', 'reread'])
    .default('apply')
    .describe(
      'apply: changes are applied, and what their envelope lost is read from the source; reread: every write only tells that its row must be read from the source.',
    ),
  existenceChecks: z
    .boolean()
    .default(true)
    .describe(
      'Whether a row delete in a table with clustering columns is followed by a read: the delete may have swallowed an insert of the same batch. Only where there is a source connection.',
    ),
  schema: declaredSchema.nullable().default(null),
});

/** A table's mapping as configured, defaults filled in. */
export type TableMapping = z.output<typeof tableMappingSchema>;
export type ColumnMapping = z.output<typeof columnMapping>;
export type DeclaredSchema = z.output<typeof declaredSchema>;
