import type { ChangeEvent } from '../change/change-event.ts';
import type { Refusal } from '../decode/record.ts';

/**
 * What becomes of a change whose meaning the envelope lost (DESIGN §4) where there is no source to ask: it is
 * dead-lettered, never guessed, never skipped. With a source it has become a hint (`src/change/hint.ts`).
 */
export function refusalOfAmbiguity(change: ChangeEvent): Refusal | null {
  if (change.ambiguity === null || change.hint !== undefined) return null;
  return {
    code: `AMBIGUOUS_${change.ambiguity.toUpperCase().replaceAll('-', '_')}`,
    message:
      `the event does not say what the row of ${change.table} became (${change.ambiguity}): ` +
      'its row must be read again from the source, and there is no source to ask (source.cassandra), or its key holds a type whose bytes are not known',
    path: '',
  };
}
