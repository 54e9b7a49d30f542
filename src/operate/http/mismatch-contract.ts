/** Findings as several routes answer them. */
import { z } from 'zod';
import { FINDING_TYPES } from '../../reconcile/end-state/classify.ts';
import { FINDING_STATUSES } from '../../target/stores/finding-store.ts';
import { time } from './contract.ts';

const count = z.number().int();

export const mismatchHead = z.object({
  mismatch_id: count,
  primary_key_value: z.string().describe('JSON text: the key values in order, as the target stores them.'),
  mismatch_type: z.enum(FINDING_TYPES),
  cassandra_checksum: z.string().nullable(),
  postgres_checksum: z.string().nullable(),
  detected_at: time,
  resolution_status: z.enum(FINDING_STATUSES),
});

const cell = z.object({
  value: z.string().nullable(),
  write_time: z.string().optional(),
  expiry: z.string().optional(),
  read: z.string().optional(),
});
export const image = z
  .object({
    columns: z.record(z.string(), cell),
    marker: z.object({ write_time: z.string(), expiry: z.string().optional() }).optional(),
  })
  .nullable()
  .describe('Canonical text by column; times in µs. Null: no row.');

export const mismatch = mismatchHead.extend({
  table_name: z.string(),
  cause: z.string(),
  columns: z.array(z.string()),
  cassandra_data: image,
  postgres_data: image,
  resolution_notes: z.string().nullable(),
  resolved_by: z.string().nullable(),
  job_id: z.string().describe('The run that saw it last.'),
  seen: count,
  last_seen_at: time,
  resolved_at: time.nullable(),
});
