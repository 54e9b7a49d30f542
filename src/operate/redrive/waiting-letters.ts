/**
 * Dead letters that wait for another row, tried again until it is there or their time is over. Only then do they count:
 * in `cdc_dead_letters_total`, in the log, for whoever is alarmed.
 */
import type { IndexedLetter, LetterFailure, LetterIndex } from '../../deadletter/letter-index.ts';
import { waitsForAnother } from '../../deadletter/waiting-codes.ts';
import type { Decoder, SourceRecord } from '../../decode/record.ts';
import { LockstepError } from '../../shared/errors.ts';
import type { ShardId } from '../../target/batch.ts';
import type { PacedDoor } from '../../target/paced-door.ts';
import { failureOf, preparedLetter, type LetterChange } from './prepared-letter.ts';

/** Letters tried in one turn of a shard: their records are in memory together. */
const PAGE_LETTERS = 100;

export interface WaitingParts {
  readonly index: LetterIndex;
  readonly door: PacedDoor;
  readonly read: (letters: readonly IndexedLetter[], signal: AbortSignal) => Promise<ReadonlyMap<bigint, SourceRecord>>;
  readonly decoderOf: (table: string) => Decoder | null;
  /** How long a letter may wait, ms since its first failure. */
  readonly waitMs: number;
  readonly onRedriven: (letter: IndexedLetter) => void;
  /** It is a dead letter now, with this code and reason. */
  readonly onGivenUp: (letter: IndexedLetter, code: string, reason: string) => void;
}

/**
 * Tries what is due of one shard, once each. Rejects with what is not a letter's own fault (PostgreSQL or Kafka away):
 * the letters stay due.
 */
export async function tryWaiting(parts: WaitingParts, shard: ShardId, signal: AbortSignal): Promise<void> {
  const letters = await parts.index.dueWaiting(shard, PAGE_LETTERS);
  if (letters.length === 0) return;
  const records = await parts.read(letters, signal);
  for (const letter of letters) {
    signal.throwIfAborted();
    const prepared = preparedLetter(letter, records.get(letter.id), parts.decoderOf);
    if (prepared.kind === 'failed') await waitOn(parts, letter, prepared);
    else await tryOnce(parts, prepared, signal);
  }
}

async function tryOnce(parts: WaitingParts, { letter, item }: LetterChange, signal: AbortSignal): Promise<void> {
  try {
    await parts.door.apply(
      {
        shard: letter.shard,
        table: letter.table ?? '',
        origin: 'redrive',
        changes: [{ offset: item.record.offset, change: item.change, id: item.id }],
        also: ([outcome]) => parts.index.redriven(letter, null, outcome ?? 'applied'),
        dryRun: false,
      },
      signal,
    );
    parts.onRedriven(letter);
  } catch (error) {
    if (!(error instanceof LockstepError) || error.kind !== 'row') throw error;
    await waitOn(parts, letter, failureOf(error));
  }
}

async function waitOn(parts: WaitingParts, letter: IndexedLetter, failure: LetterFailure): Promise<void> {
  const { code, reason } = failure;
  const mayWaitMs = waitsForAnother(code) ? parts.waitMs : 0;
  if (await parts.index.waitedInVain(letter, failure, mayWaitMs)) parts.onGivenUp(letter, code, reason);
}
