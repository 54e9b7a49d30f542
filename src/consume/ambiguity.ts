import type { ChangeEvent } from '../change/change-event.ts';
import type { Refusal } from '../decode/record.ts';

/**
 * What becomes of a change whose meaning the envelope lost (DESIGN §4). Until the queue of re-reads takes its place,
 * such a change is dead-lettered: never guessed, never skipped.
 */
export function refusalOfAmbiguity(change: ChangeEvent): Refusal | null {
  if (change.ambiguity === null) return null;
  return {
    code: `AMBIGUOUS_${change.ambiguity.toUpperCase().replaceAll('-', '_')}`,
    message:
      `the event does not say what the row of ${change.table} became (${change.ambiguity}): ` +
      'its row must be read again from the source',
    path: '',
  };
}
