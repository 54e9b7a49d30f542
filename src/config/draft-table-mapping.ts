import { z } from 'zod';
export const tableMappingSchema = z.strictObject({
  source: z.string().regex(/^\w+\.\w+$/).meta({ title: 'keyspace.table', examples: ['shop.orders'] }),
  topic: z.string().min(1),
  target: z.string().min(1),
  format: z.enum(['debezium-cassandra']).default('debezium-cassandra'),
  columns: z.record(z.string(), z.string()).default({}),
});
