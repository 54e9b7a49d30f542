/** Stretches of records as batches for the door, and their parts (pure). */
import type { Fingerprint } from '../../change/change-id.ts';
import type { DeadLetter } from '../../deadletter/dead-letter.ts';
import { hashOfRecord } from '../../deadletter/record-hash.ts';
import { waitsForAnother } from '../../deadletter/waiting-codes.ts';
import type { ApplyBatch, BatchChange, DeadLetterEntry, RecordMark, ShardId } from '../../target/batch.ts';
import { unreachable } from '../../shared/assert.ts';
import { stopFor } from './apply-outcome.ts';
import type { LockstepError } from '../../shared/errors.ts';
import { rowKeyOf } from './item.ts';
import type { ChangeItem, Item, RefusedItem } from './item.ts';
import type { Stretch } from './shard-queue.ts';

/** A batch for the door with what must happen around it. */
export interface PreparedBatch {
  readonly batch: ApplyBatch;
  /** To be in the DLQ topic before the transaction begins. */
  readonly letters: readonly DeadLetter[];
  /** Changes that enter the recent fingerprints after COMMIT. */
  readonly applied: readonly ChangeItem[];
}

export interface BatchContext {
  readonly shard: ShardId;
  readonly table: string;
  readonly nowMs: number;
  /** Whether a fingerprint was committed by this shard a moment ago. */
  readonly isRecent: (fingerprint: Fingerprint) => boolean;
  /** When a record first failed and how often it was tried. */
  readonly failureOf: (offset: bigint) => { readonly attempts: number; readonly firstMs: number };
}

function markOf(item: Item | undefined): RecordMark | null {
  if (item === undefined) return null;
  const { record } = item;
  return { offset: record.offset, timestampMs: record.timestampMs, hash: hashOfRecord(record.key, record.value) };
}

function letterOf(item: RefusedItem, context: BatchContext): DeadLetter {
  const { record, refusal, change } = item;
  const failure = context.failureOf(record.offset);
  return {
    shard: context.shard,
    record,
    table: context.table,
    code: refusal.code,
    message: refusal.message,
    path: refusal.path,
    stage: item.stage === 'decode' ? 'VALUE_CONVERTER' : 'TASK_PUT',
    isWaiting: item.stage === 'apply' && waitsForAnother(refusal.code),
    changeId: item.id,
    rowKey: change === null ? null : rowKeyOf(change),
    attempts: failure.attempts,
    firstFailureMs: failure.firstMs,
    lastFailureMs: context.nowMs,
  };
}

function entryOf(letter: DeadLetter): DeadLetterEntry {
  const { record } = letter;
  return {
    offset: record.offset,
    code: letter.code,
    reason: letter.message,
    path: letter.path,
    changeId: letter.changeId,
    rowKey: letter.rowKey,
    status: letter.isWaiting ? 'waiting' : 'pending',
    timestampMs: record.timestampMs,
    sha256: hashOfRecord(record.key, record.value),
    valueBytes: record.value?.length ?? 0,
  };
}

/**
 * One batch out of a stretch. Copies within the batch are duplicates of the first one, whose fate they share: it is the
 * same transaction. A copy whose first one fails is found to be none when the batch is cut, because this is asked
 * again for each part.
 */
export function prepareBatch(stretch: Stretch, context: BatchContext): PreparedBatch {
  const changes: BatchChange[] = [];
  const applied: ChangeItem[] = [];
  const letters: DeadLetter[] = [];
  const duplicates: string[] = [];
  const seen = new Set<Fingerprint>();
  let skipped = 0;
  for (const item of stretch.items) {
    switch (item.kind) {
      case 'change':
        // Of a hint each copy counts ⚠: a replica may have told of its write before a read at quorum could see it.
        if (item.change.hint === undefined && (seen.has(item.fingerprint) || context.isRecent(item.fingerprint))) {
          duplicates.push(item.id);
        } else {
          seen.add(item.fingerprint);
          applied.push(item);
          changes.push({ offset: item.record.offset, change: item.change, id: item.id });
        }
        break;
      case 'refused':
        letters.push(letterOf(item, context));
        break;
      case 'skipped':
        skipped += 1;
        break;
      default:
        unreachable(item);
    }
  }
  return {
    letters,
    applied,
    batch: {
      shard: context.shard,
      table: context.table,
      from: stretch.from,
      next: stretch.next,
      lastRecord: markOf(stretch.items.at(-1)),
      changes,
      deadLetters: letters.map(entryOf),
      duplicates,
      skipped,
    },
  };
}

export function changesIn({ items }: Stretch): number {
  return items.reduce((count, { kind }) => count + (kind === 'change' ? 1 : 0), 0);
}

/** At most so many parts by offset, in order, with about as many changes each; a stretch of one change is one part. */
export function partsOf(stretch: Stretch, count: number): readonly Stretch[] {
  const changesAt = stretch.items.flatMap((item, index) => (item.kind === 'change' ? [index] : []));
  const each = Math.max(1, Math.ceil(changesAt.length / count));
  const starts = [0, ...changesAt.filter((_, nth) => nth > 0 && nth % each === 0)];
  return starts.map((start, nth) => {
    const end = starts[nth + 1];
    const items = stretch.items.slice(start, end);
    return {
      items,
      from: nth === 0 ? stretch.from : offsetAt(stretch, start),
      next: end === undefined ? stretch.next : offsetAt(stretch, end),
      bytes: items.reduce((sum, item) => sum + item.bytes, 0),
    };
  });
}

function offsetAt(stretch: Stretch, index: number): bigint {
  return stretch.items[index]?.record.offset ?? stretch.next;
}

/** A change as the door refused it. */
export function refused({ record, bytes, change, id }: ChangeItem, error: LockstepError): RefusedItem {
  const { code, reason: message } = stopFor(error);
  return {
    kind: 'refused',
    record,
    bytes,
    refusal: { code, message, path: pathOf(error) },
    stage: 'apply',
    change,
    id,
  };
}

/** Where in the record the cause is, if it is one column; '' = nobody knows. */
export function pathOf({ columns }: LockstepError): string {
  return columns.length === 1 ? `after.${columns[0]}` : '';
}

/** The stretch with its only change refused, for the reason that the door gave. Null where it has not exactly one. */
export function withoutItsChange(stretch: Stretch, error: LockstepError): Stretch | null {
  const guilty = stretch.items.filter((item) => item.kind === 'change');
  const [only] = guilty;
  if (guilty.length !== 1 || only === undefined) return null;
  const instead = refused(only, error);
  return { ...stretch, items: stretch.items.map((item) => (item === only ? instead : item)) };
}
