/** Business rules and their findings as several routes answer them. */
import { z } from 'zod';
import { FINDING_STATUSES } from '../../target/stores/finding-store.ts';
import { time } from './contract.ts';

const count = z.number().int();
const values = z.record(z.string(), z.string().nullable()).nullable().describe('Values by column. Null: no such key.');

export const ruleFinding = z.object({
  mismatch_id: count.describe('Its own numbering: resolve it as rule-N.'),
  rule: z.string(),
  severity: z.enum(['warning', 'critical']),
  key: z.string().describe('JSON text: the values of the rule’s key.'),
  mismatch_type: z.enum(['MISSING_IN_POSTGRES', 'MISSING_IN_CASSANDRA', 'VALUE_MISMATCH']),
  columns: z.array(z.string()),
  cassandra_values: values,
  postgres_values: values,
  resolution_status: z.enum(FINDING_STATUSES),
  resolution_notes: z.string().nullable(),
  resolved_by: z.string().nullable(),
  job_id: z.string().describe('The run that saw it last.'),
  seen: count,
  detected_at: time,
  last_seen_at: time,
  resolved_at: time.nullable(),
});
