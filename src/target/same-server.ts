/**
 * Whether two transactions met the same run of the same server. A partition or range delete takes effect in transactions of
 * its own before its batch; a failover or a restore in between may have lost those although the position, which did not
 * move yet, shows nothing of it ⚠ (seen in simulation). Then the batch must not pass the delete: everything begins anew.
 */
import type { QueryArrayResult } from 'pg';
import { LockstepError } from '../shared/errors.ts';
import type { Statement } from './transaction.ts';

type Answer = QueryArrayResult<(string | null)[]>;

/** Differs after every restart, promotion and restore, to the microsecond; needs no privilege. */
export const SERVER_START: Statement = {
  name: 'server-start',
  text: 'SELECT extract(epoch FROM pg_postmaster_start_time())::text',
};

export function serverStartOf(answer: Answer | undefined): string {
  return answer?.rows[0]?.[0] ?? '';
}

/**
 * @param recordedOn the server on which tombstones were recorded; null where there were none.
 * @throws LockstepError `transient`: the batch is tried again, its tombstones first.
 */
export function checkSameServer(recordedOn: string | null, answer: Answer | undefined): void {
  if (recordedOn === null || serverStartOf(answer) === recordedOn) return;
  throw new LockstepError('the server was replaced or restarted after it recorded a partition or range delete', {
    code: 'SERVER_CHANGED',
    kind: 'transient',
    remedy: 'none needed: the delete is recorded again, and its batch repeated',
  });
}
