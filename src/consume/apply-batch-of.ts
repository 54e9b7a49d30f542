/** Stretches of records as batches for the door, and their halves (pure). */
import type { Fingerprint } from '../change/change-id.ts';
import type { DeadLetter } from '../deadletter/dead-letter.ts';
import { hashOfRecord } from '../deadletter/record-hash.ts';
import { waitsForAnother } from '../deadletter/waiting-codes.ts';
import type { ApplyBatch, BatchChange, DeadLetterEntry, RecordMark, ShardId } from '../target/batch.ts';
import { unreachable } from '../shared/assert.ts';
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
 * same transaction. A copy whose first one fails is found to be none when the batch is halved, because this is asked
 * again for each half.
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

/** Two halves by offset with as many changes each, or null where one change is left. Left goes first. */
export function halves(stretch: Stretch): readonly [Stretch, Stretch] | null {
  const total = stretch.items.reduce((count, item) => count + (item.kind === 'change' ? 1 : 0), 0);
  if (total < 2) return null;
  let before = 0;
  const cut = stretch.items.findIndex((item) => {
    if (item.kind !== 'change') return false;
    before += 1;
    return before > Math.floor(total / 2);
  });
  return splitAt(stretch, cut);
}

/** Two parts by offset, the second beginning with the item at `cut`. */
export function splitAt(stretch: Stretch, cut: number): readonly [Stretch, Stretch] {
  const left = stretch.items.slice(0, cut);
  const right = stretch.items.slice(cut);
  const middle = right[0]?.record.offset ?? stretch.next;
  const leftBytes = left.reduce((sum, item) => sum + item.bytes, 0);
  return [
    { items: left, from: stretch.from, next: middle, bytes: leftBytes },
    { items: right, from: middle, next: stretch.next, bytes: stretch.bytes - leftBytes },
  ];
}

/** A change as the door refused it. */
export function refused({ record, bytes, change, id }: ChangeItem, code: string, message: string): RefusedItem {
  return { kind: 'refused', record, bytes, refusal: { code, message, path: '' }, stage: 'apply', change, id };
}

/** The stretch with its only change refused, for the reason that the door gave. Null where it has not exactly one. */
export function withoutItsChange(stretch: Stretch, code: string, message: string): Stretch | null {
  const guilty = stretch.items.filter((item) => item.kind === 'change');
  const [only] = guilty;
  if (guilty.length !== 1 || only === undefined) return null;
  const instead = refused(only, code, message);
  return { ...stretch, items: stretch.items.map((item) => (item === only ? instead : item)) };
}
