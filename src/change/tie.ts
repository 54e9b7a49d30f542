/** Equal-time conflicts that what is known of the two values can't decide (DESIGN §1): the source is asked. Pure. */
import type { Cell } from './change-event.ts';
import { TTL_SLACK_US } from './write-time.ts';

/**
 * Whether the order of two different values of one column and one time can't be told any more: the stored form has lost
 * the serialised bytes (jsonb, numeric(p,s), a negative scale, NaN). Canonical texts; symmetric.
 */
export type UndecidedTie = (left: string, right: string) => boolean;

/**
 * Whether two cells of one column are a conflict that only the source can settle. Expiries that are close to one another
 * and not equal count as such for every type: one of them may come from a remaining TTL in whole seconds.
 */
export function isContested(left: Cell, right: Cell, undecided: UndecidedTie | null): boolean {
  if (left.writeTime !== right.writeTime || left.sequence !== undefined || right.sequence !== undefined) return false;
  if (left.value === null || right.value === null || left.value === right.value) return false;
  if (left.expiry === null || right.expiry === null) {
    return left.expiry === right.expiry && undecided?.(left.value, right.value) === true;
  }
  const apart = left.expiry - right.expiry;
  if (apart > TTL_SLACK_US || apart < -TTL_SLACK_US) return false;
  return apart !== 0n || undecided?.(left.value, right.value) === true;
}
