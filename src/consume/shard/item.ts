/** A record on its way through a shard: decoded once, kept with its bytes until its transaction has committed. */
import type { ChangeEvent } from '../../change/change-event.ts';
import { identify } from '../../change/change-id.ts';
import type { ChangeId, Fingerprint } from '../../change/change-id.ts';
import type { Decoder, Refusal, SourceRecord } from '../../decode/record.ts';
import { LockstepError } from '../../shared/errors.ts';
import { unreachable } from '../../shared/assert.ts';
import { refusalOfAmbiguity } from '../ambiguity.ts';

interface ItemBase {
  readonly record: SourceRecord;
  readonly bytes: number;
}

export interface ChangeItem extends ItemBase {
  readonly kind: 'change';
  readonly change: ChangeEvent;
  readonly id: ChangeId;
  readonly fingerprint: Fingerprint;
}

/** Can't become a change, or not one that may be applied as it stands. */
export interface RefusedItem extends ItemBase {
  readonly kind: 'refused';
  readonly refusal: Refusal;
  readonly stage: 'decode' | 'apply';
  readonly change: ChangeEvent | null;
  readonly id: ChangeId | null;
}

export interface SkippedItem extends ItemBase {
  readonly kind: 'skipped';
}

export type Item = ChangeItem | RefusedItem | SkippedItem;

/** Row key of a change for people: of the row, or of the partition that it deletes from. */
export function rowKeyOf(change: ChangeEvent): string {
  return change.kind === 'write' || change.kind === 'row-delete' ? change.key.text : change.partition.text;
}

/** What a record counts in the byte budget. */
export function bytesOf(record: SourceRecord): number {
  return (record.key?.length ?? 0) + (record.value?.length ?? 0);
}

/** Decodes one record. Throws only for a bug of the decoder, which is not the record's fault. */
export function itemOf(record: SourceRecord, decoder: Decoder): Item {
  const bytes = bytesOf(record);
  try {
    const decoded = decoder.decode(record);
    switch (decoded.kind) {
      case 'skipped':
        return { kind: 'skipped', record, bytes };
      case 'refused': {
        const { refusal, change = null, contents = null } = decoded;
        // With its ID the ledger accounts for it: a window that misses the change would cry for nothing.
        const id = change === null ? null : identify(change, contents).id;
        return { kind: 'refused', record, bytes, refusal, stage: 'decode', change, id };
      }
      case 'change': {
        const { change } = decoded;
        const { id, fingerprint } = identify(change, decoded.contents);
        const refusal = refusalOfAmbiguity(change);
        return refusal === null
          ? { kind: 'change', record, bytes, change, id, fingerprint }
          : { kind: 'refused', record, bytes, refusal, stage: 'apply', change, id };
      }
      default:
        return unreachable(decoded);
    }
  } catch (cause) {
    throw new LockstepError(`decoding ${record.topic}/${record.partition} at offset ${record.offset}`, {
      code: 'BUG_DECODER',
      kind: 'bug',
      remedy: 'Report it with the record; a decoder answers every record with a value.',
      cause,
    });
  }
}
