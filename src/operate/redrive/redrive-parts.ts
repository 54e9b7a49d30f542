import type { Pool } from 'pg';
import type { LetterBytes } from '../../consume/letter-bytes.ts';
import { LetterIndex } from '../../deadletter/letter-index.ts';
import { auditEntry } from '../../target/stores/audit-log.ts';
import type { Target } from '../../target/index.ts';
import { JobStore } from '../../target/stores/job-store.ts';
import { decoderOf } from '../connect/decoder-of.ts';
import { processPacing } from '../connect/process-pacing.ts';
import type { RedriveParts } from './redrive-job.ts';

/** What a redrive works with, over a target whose tables are decoded as they are bound at this moment. */
export function redriveParts(pool: Pool, controlSchema: string, target: Target, bytes: LetterBytes): RedriveParts {
  return {
    ...processPacing,
    index: new LetterIndex(pool, controlSchema),
    jobs: new JobStore(pool, controlSchema),
    door: target.outside,
    audit: (entry) => auditEntry(controlSchema, entry),
    read: (letters, signal) => bytes.read(letters, signal),
    decoderOf: (name) => {
      const bound = target.tables.find(({ table }) => table.name === name);
      return bound === undefined ? null : decoderOf(bound.table);
    },
  };
}
