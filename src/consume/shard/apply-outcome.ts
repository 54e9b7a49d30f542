import type { LockstepError } from '../../shared/errors.ts';
import { messageOf } from '../../shared/errors.ts';
import type { Stop } from './shard-state.ts';

/** How a stretch ended. Before `stopped` and `cancelled` parts of it may have committed; the position knows. */
export type ApplyOutcome =
  | { readonly kind: 'committed' }
  | { readonly kind: 'fenced' }
  | { readonly kind: 'stopped'; readonly stop: Stop }
  /** The signal aborted between two attempts. */
  | { readonly kind: 'cancelled' };

/** What operators read of an error that keeps a shard from going on. */
export function stopFor(error: LockstepError): Stop {
  const remedy = error.remedy === undefined ? '' : `; ${error.remedy}`;
  return { code: error.code, reason: messageOf(error).replace(/[.;]$/, '') + remedy };
}
