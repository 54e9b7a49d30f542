/** A dead letter's record as a change that can be tried again. */
import { pathOf } from '../../consume/shard/apply-batch-of.ts';
import { itemOf, type ChangeItem } from '../../consume/shard/item.ts';
import type { IndexedLetter, LetterFailure } from '../../deadletter/letter-index.ts';
import type { Decoder, SourceRecord } from '../../decode/record.ts';
import { messageOf, type LockstepError } from '../../shared/errors.ts';

export interface LetterChange {
  readonly kind: 'change';
  readonly letter: IndexedLetter;
  readonly item: ChangeItem;
}

interface FailedLetter extends LetterFailure {
  readonly kind: 'failed';
  readonly letter: IndexedLetter;
}

/** What the door refused it for. */
export function failureOf(error: LockstepError): LetterFailure {
  return { code: error.code, reason: messageOf(error), path: pathOf(error) };
}

/**
 * @param record null or undefined where neither topic has its bytes any more.
 * @param decoderOf the decoder of a table as it is now, or null where the configuration does not name it.
 */
export function preparedLetter(
  letter: IndexedLetter,
  record: SourceRecord | undefined,
  decoderOf: (table: string) => Decoder | null,
): LetterChange | FailedLetter {
  const failed = (code: string, reason: string, path = ''): FailedLetter => ({
    kind: 'failed',
    letter,
    code,
    reason,
    path,
  });
  if (record === undefined) {
    return failed(
      'BYTES_GONE',
      'neither the DLQ topic nor the source topic has this record any more: compare the row with the source',
    );
  }
  const decoder = letter.table === null ? null : decoderOf(letter.table);
  if (decoder === null) {
    return failed('TABLE_UNKNOWN', `the configuration has no table of topic ${letter.shard.topic}: add it to tables`);
  }
  const item = itemOf(record, decoder);
  switch (item.kind) {
    case 'change':
      return { kind: 'change', letter, item };
    case 'refused':
      return failed(item.refusal.code, item.refusal.message, item.refusal.path);
    case 'skipped':
      return failed('NOT_A_CHANGE', 'the record is a Kafka tombstone: nothing to apply');
  }
}
