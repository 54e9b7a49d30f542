/**
 * What a dry run has brought through the door before, by row. Its transactions are rolled back, so a later letter of the
 * same row — a copy that the connector delivered twice, an older write — would find the row as if nothing had come before
 * it, and be predicted as applied where the redrive will find it superseded. So it is tried behind those.
 */
import { LRUCache } from 'lru-cache';
import type { BatchChange } from '../../target/batch.ts';
import type { LetterChange } from './prepared-letter.ts';

/** Bytes of records that are remembered; beyond it the rows that were not met for longest are forgotten. */
const MAX_BYTES = 32 * 1024 * 1024;
/** Of a change beside its record's bytes. */
const CHANGE_BYTES = 200;

interface Remembered {
  readonly changes: readonly BatchChange[];
  readonly bytes: number;
}

/** The row that a change is about; null of partition and range deletes, which a dry run does not carry out. */
function rowOf({ letter, item: { change } }: LetterChange): string | null {
  if (change.kind !== 'write' && change.kind !== 'row-delete') return null;
  return `${letter.table ?? ''} ${change.key.text}`;
}

export function batchChangeOf({ item }: LetterChange): BatchChange {
  return { offset: item.record.offset, change: item.change, id: item.id };
}

export class EarlierChanges {
  readonly #rows = new LRUCache<string, Remembered>({ maxSize: MAX_BYTES, sizeCalculation: ({ bytes }) => bytes });

  /** Changes that went before those of a batch, of its rows. */
  of(batch: readonly LetterChange[]): readonly BatchChange[] {
    const rows = new Set(batch.map(rowOf));
    return [...rows].flatMap((row) => (row === null ? [] : (this.#rows.get(row)?.changes ?? [])));
  }

  /** These have gone through. */
  add(batch: readonly LetterChange[]): void {
    for (const each of batch) {
      const row = rowOf(each);
      if (row === null) continue;
      const before = this.#rows.get(row);
      this.#rows.set(row, {
        changes: [...(before?.changes ?? []), batchChangeOf(each)],
        bytes: (before?.bytes ?? 0) + each.item.bytes + CHANGE_BYTES,
      });
    }
  }
}
