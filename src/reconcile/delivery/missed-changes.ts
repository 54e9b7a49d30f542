/** What an entry of a changelog says of the change that the ledger lacks. Pure. */
import type { ChangeEvent } from '../../change/change-event.ts';
import { rowKey } from '../../change/change-event.ts';
import { writeTimeOf, type ChangeKind } from '../../change/changelog-entry.ts';
import type { ChangeId } from '../../change/change-id.ts';
import { itemOf } from '../../consume/shard/item.ts';
import type { Decoder } from '../../decode/record.ts';
import type { BatchChange } from '../../target/batch.ts';
import type { ChangelogEntry } from './changelog.ts';

/** A change whose rows have to be looked at in the source. */
export interface MissedRows {
  readonly id: ChangeId;
  readonly kind: ChangeKind;
  /** Of a row; of its partition where the kind is a partition or range delete. */
  readonly key: readonly string[];
  /** Why it is not applied as it is, where it could have been; null where nothing more is known of it. */
  readonly reason: string | null;
}

/** A change that can go through the door as it is. */
export interface MissedChange extends BatchChange {
  /** Of its record; null where it is known from its entry alone. */
  readonly partition: number | null;
}

export function rowsOf({ change, id }: BatchChange, reason: string | null): MissedRows {
  const isOfRow = change.kind === 'write' || change.kind === 'row-delete';
  return { id, kind: change.kind, key: (isOfRow ? change.key : change.partition).values, reason };
}

/**
 * A record is decoded anew. Of an entry without one, a row or partition delete is all there is to say, because the ID gives
 * back its exact write time; of a write the cells are not known, of a range delete the bounds.
 */
export function missedChange(table: string, entry: ChangelogEntry, decoder: Decoder): MissedChange | MissedRows | null {
  const { id, evidence } = entry;
  if (evidence.kind === 'record') {
    const { record } = evidence;
    const item = itemOf(record, decoder);
    if (item.kind === 'change') {
      return { offset: record.offset, change: item.change, id: item.id, partition: record.partition };
    }
    if (item.kind === 'skipped' || item.change === null) return null;
    return rowsOf({ offset: record.offset, change: item.change, id }, item.refusal.message);
  }
  const { changeKind: kind, key } = evidence;
  const change = deleteOf(table, id, kind, key);
  if (change !== null) return { offset: 0n, change, id, partition: null };
  return { id, kind, key, reason: null };
}

function deleteOf(table: string, id: ChangeId, kind: ChangeKind, key: readonly string[]): ChangeEvent | null {
  if (kind !== 'row-delete' && kind !== 'partition-delete') return null;
  const writeTime = writeTimeOf(id, { table, kind, key, bounds: null });
  if (writeTime === null) return null;
  const base = { table, writeTime, ambiguity: null };
  return kind === 'row-delete' ? { ...base, kind, key: rowKey(key) } : { ...base, kind, partition: rowKey(key) };
}
