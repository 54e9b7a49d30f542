/** What became of a person's decision about a finding, in words. Pure. */
import { LockstepError } from '../../shared/errors.ts';
import type { Finding } from '../../target/stores/finding-store.ts';
import type { ImageDocument } from '../../target/observation-document.ts';

/**
 * `equal`: the row shows what the source shows, so nothing was written and the finding is resolved. `stale`: it can't be
 * said now; what to do stands in the remedy. `refused`: the action does not fit this finding.
 */
export type ResolveOutcome =
  | { readonly kind: 'applied'; readonly before: ImageDocument | null; readonly after: ImageDocument | null }
  | { readonly kind: 'equal' | 'closed' }
  | { readonly kind: 'stale' | 'refused'; readonly reason: string; readonly remedy: string };

/** @throws LockstepError (usage): the finding was dealt with before. */
export function alreadyResolved({
  id,
  status,
  resolvedBy,
}: Pick<Finding, 'id' | 'status' | 'resolvedBy'>): LockstepError {
  const who = resolvedBy === null ? '' : ` by ${resolvedBy}`;
  return new LockstepError(`finding ${id} is not open any more: it is ${status}${who}`, {
    code: 'FINDING_RESOLVED',
    kind: 'usage',
    remedy:
      'lockstep reconcile findings --status PENDING lists those that are open; reconcile undo takes a repair back',
  });
}

export const stale = (reason: string, remedy: string): ResolveOutcome => ({ kind: 'stale', reason, remedy });
export const refused = (reason: string, remedy: string): ResolveOutcome => ({ kind: 'refused', reason, remedy });
/** Whatever was counted between the read and the write would be lost. */
export const COUNTERS_STAY = refused(
  'a counter is a sum that others go on adding to, so no value is written over it',
  'let what keeps the copy correct it; KEEP_TARGET accepts the difference',
);
export const EXHAUSTED = 'no write time is left above what both sides have';
export const IN_SOURCE = 'correct it in the source, or accept it: KEEP_TARGET';
export const CHANGED = 'the row has changed meanwhile, so nothing was written';
export const LATER = 'try again in a moment; where that does not help, compare the table and look at the finding again';
