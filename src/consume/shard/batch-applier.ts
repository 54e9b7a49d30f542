/**
 * Brings one stretch of records through the door, whatever it takes: retries what is transient for ever, has isolated
 * (isolation.ts) what fails for one of its rows, asks the breaker before anything is produced. The LockstepError's `kind`
 * alone decides (DESIGN §5, "Errors").
 */
import type { DeadLetter } from '../../deadletter/dead-letter.ts';
import type { DeadLetterSink } from '../../deadletter/dlq-producer.ts';
import { waitsForAnother } from '../../deadletter/waiting-codes.ts';
import type { Clock } from '../../shared/clock.ts';
import { unreachable } from '../../shared/assert.ts';
import { LockstepError, messageOf } from '../../shared/errors.ts';
import type { ApplyStats, Door, ShardId } from '../../target/batch.ts';
import { changesIn, partsOf, prepareBatch, type PreparedBatch } from './apply-batch-of.ts';
import { stopFor, type ApplyOutcome } from './apply-outcome.ts';
import { rowKeyOf, type ChangeItem } from './item.ts';
import { GuiltyShare } from './guilty-share.ts';
import { applyAll, type Attempt } from './isolation.ts';
import { breakerOpens, counted, noCounts, withBatch } from './breaker.ts';
import type { BreakerLimits, BreakerState } from './breaker.ts';
import type { ConsumeLimits } from '../limits.ts';
import type { ConsumeObserver } from '../observer.ts';
import type { RecentFingerprints } from './recent-fingerprints.ts';
import type { Stretch } from './shard-queue.ts';
import type { Stop } from './shard-state.ts';
import { backoffMs, isAborted } from '../timers.ts';
import type { Timers } from '../timers.ts';

export interface Applied {
  readonly prepared: PreparedBatch;
  readonly stats: ApplyStats;
  readonly seconds: number;
}

export interface BatchApplierOptions {
  readonly door: Door;
  readonly deadLetters: DeadLetterSink;
  readonly breaker: BreakerLimits;
  readonly limits: ConsumeLimits;
  readonly observer: ConsumeObserver;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly recent: RecentFingerprints;
  readonly table: string;
  /** Called after every COMMIT, before the next attempt: the position has moved. */
  readonly onCommitted: (applied: Applied) => void;
  /** A transient error keeps the shard from going on; null when it is over. */
  readonly onTrouble: (reason: string | null) => void;
}

/** The code by which the door reports SQLSTATE 57014 under statement_timeout; retried, but not for ever as a whole. */
const STATEMENT_TIMEOUT = 'STATEMENT_TIMEOUT';
/** deadlock_detected: with another table's writers, over a second unique index or a foreign key. */
const DEADLOCK = 'PG_40P01';
/** After so many in a row the batch goes alone (DESIGN §5 "Locks"). */
const DEADLOCKS_BEFORE_ALONE = 2;

/** Anything that is no LockstepError was not foreseen: a bug, which stops this shard and no other. */
function asLockstepError(error: unknown): LockstepError {
  if (error instanceof LockstepError) return error;
  return new LockstepError('unexpected error', { code: 'BUG_UNEXPECTED', kind: 'bug', cause: error });
}

export class BatchApplier {
  readonly #options: BatchApplierOptions;
  /** First failure and attempts of changes that failed alone; a larger batch's failures are not their own. */
  readonly #failures = new Map<bigint, { attempts: number; firstMs: number }>();
  /** Of the recent changes: how small the next transactions are. */
  readonly #guilty = new GuiltyShare();
  #counts = noCounts;
  /** What the open breaker says; null while it is closed. */
  #open: Stop | null = null;
  /** What opened it and when; null while it is closed. */
  #opened: BreakerState | null = null;

  constructor(options: BatchApplierOptions) {
    this.#options = options;
  }

  /** What the breaker has seen. */
  get breaker(): BreakerState {
    return this.#opened ?? { counts: this.#counts, openedMs: null };
  }

  /** Forgets the breaker's past: an operator says that the cause is gone. */
  resetBreaker(): void {
    this.#counts = noCounts;
    this.#open = null;
    this.#opened = null;
  }

  /** The position jumped: what failed before may never come again. The breaker's counts are about the topic and stay. */
  forgetFailures(): void {
    this.#failures.clear();
  }

  /** Never rejects. The signal ends the pauses between attempts; a transaction in flight is waited for. */
  async apply(shard: ShardId, stretch: Stretch, signal: AbortSignal): Promise<ApplyOutcome> {
    if (this.#open !== null) {
      if (await this.#stillFails(shard, stretch, signal)) return { kind: 'stopped', stop: this.#open };
      this.resetBreaker();
    }
    const parts = partsOf(stretch, this.#guilty.partsFor(changesIn(stretch)));
    return applyAll(parts, {
      place: `${shard.topic}/${shard.partition}`,
      signal,
      attempt: (part) => this.#attempt(shard, part, signal),
      refusalOf: async (part, item) => {
        const failure = await this.#tried(shard, part, item);
        return failure instanceof LockstepError && failure.kind === 'row' ? failure : null;
      },
      foundGuilty: (item) => {
        this.#guilty.add(0, 1);
        this.#noteFailure(item);
      },
    });
  }

  /** What the door says of one change of a stretch alone, found out without committing anything; null = it goes through. */
  async #tried(shard: ShardId, stretch: Stretch, item: ChangeItem): Promise<LockstepError | 'fenced' | null> {
    const { batch } = this.#prepare(shard, { ...stretch, items: [item] });
    try {
      const { kind } = await this.#options.door.apply(batch, { trial: true });
      return kind === 'fenced' ? kind : null;
    } catch (thrown) {
      return asLockstepError(thrown);
    }
  }

  /** Tries the same batch until it commits, must be cut, or can't go on. */
  async #attempt(shard: ShardId, stretch: Stretch, signal: AbortSignal): Promise<Attempt> {
    const { limits, observer, timers, onTrouble } = this.#options;
    const prepared = this.#prepare(shard, stretch);
    // What waits for another row has not failed yet.
    const failed = prepared.letters.filter(({ isWaiting }) => !isWaiting);
    const size = { records: stretch.items.length, deadLetters: failed.length };
    if (breakerOpens(this.#counts, size, this.#options.breaker)) {
      this.#open = this.#breakerStop(failed);
      this.#opened = { counts: withBatch(this.#counts, size), openedMs: this.#options.clock.nowMs() };
      return { kind: 'stopped', stop: this.#open };
    }
    let timeouts = 0;
    let deadlocks = 0;
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await this.#once(prepared, size, deadlocks >= DEADLOCKS_BEFORE_ALONE);
      } catch (thrown) {
        const error = asLockstepError(thrown);
        switch (error.kind) {
          case 'transient':
            break;
          case 'row':
            return { kind: 'cut', error };
          case 'fenced':
            return { kind: 'fenced' };
          case 'batch':
          case 'config':
          case 'usage':
          case 'bug':
            return { kind: 'stopped', stop: stopFor(error) };
          default:
            return unreachable(error.kind);
        }
        observer.retried(error.code);
        onTrouble(`${error.code}: ${messageOf(error)}`);
        deadlocks = error.code === DEADLOCK ? deadlocks + 1 : 0;
        timeouts += error.code === STATEMENT_TIMEOUT ? 1 : 0;
        if (timeouts >= limits.timeoutsBeforeBisection) return { kind: 'cut', error };
      }
      if (signal.aborted) return { kind: 'cancelled' };
      await timers.pause(backoffMs(attempt, limits.retryMinMs, limits.retryMaxMs, timers.random()), signal);
      if (isAborted(signal)) return { kind: 'cancelled' };
    }
  }

  async #once(
    prepared: PreparedBatch,
    size: { records: number; deadLetters: number },
    alone: boolean,
  ): Promise<ApplyOutcome> {
    const { door, deadLetters, timers, onCommitted, onTrouble, recent, breaker } = this.#options;
    if (prepared.letters.length > 0) await deadLetters.put(prepared.letters);
    const startedMs = timers.elapsedMs();
    const result = await door.apply(prepared.batch, alone ? { alone } : {});
    if (result.kind === 'fenced') return { kind: 'fenced' };
    deadLetters.forget(prepared.letters);
    const { asked } = result.stats;
    for (const item of prepared.applied) {
      // Of what the source is asked for each copy counts ⚠: a replica may tell before a read at quorum can see it.
      if (!asked.has(rowKeyOf(item.change))) recent.add(item.fingerprint);
    }
    this.#guilty.add(prepared.batch.changes.length, 0);
    for (const letter of prepared.letters) this.#failures.delete(letter.record.offset);
    this.#counts = counted(this.#counts, size, breaker);
    onTrouble(null);
    onCommitted({ prepared, stats: result.stats, seconds: (timers.elapsedMs() - startedMs) / 1000 });
    return { kind: 'committed' };
  }

  /**
   * Half-open: whether the records at the position still fail, found out without committing or producing anything, so
   * that asking every probe costs no dead letter. Each change is tried alone. What can't be found out still fails.
   */
  async #stillFails(shard: ShardId, stretch: Stretch, signal: AbortSignal): Promise<boolean> {
    const { breaker } = this.#options;
    const sample = stretch.items.slice(0, breaker.minRecords);
    const enough = breaker.maxRatio * sample.length;
    let failing = 0;
    for (const item of sample) {
      if (signal.aborted) return true;
      if (item.kind === 'refused') failing += 1;
      const failure = item.kind === 'change' ? await this.#tried(shard, stretch, item) : null;
      if (failure === 'fenced') return false;
      if (failure !== null && failure.kind !== 'row') return true;
      if (failure !== null && !waitsForAnother(failure.code)) failing += 1;
      if (failing > 0 && failing >= enough) return true;
    }
    return false;
  }

  #prepare(shard: ShardId, stretch: Stretch): PreparedBatch {
    const { recent, table, clock } = this.#options;
    const nowMs = clock.nowMs();
    return prepareBatch(stretch, {
      shard,
      table,
      nowMs,
      isRecent: (fingerprint) => recent.has(fingerprint),
      failureOf: (offset) => this.#failures.get(offset) ?? { attempts: 1, firstMs: nowMs },
    });
  }

  #noteFailure({ record }: ChangeItem): void {
    const before = this.#failures.get(record.offset);
    this.#failures.set(record.offset, {
      attempts: (before?.attempts ?? 0) + 1,
      firstMs: before?.firstMs ?? this.#options.clock.nowMs(),
    });
  }

  #breakerStop(letters: readonly DeadLetter[]): Stop {
    const first = letters[0];
    const example =
      first === undefined ? '' : ` For example offset ${first.record.offset}: ${first.code}, ${first.message}.`;
    const { maxRatio, minRecords } = this.#options.breaker;
    return {
      code: 'DEAD_LETTER_BREAKER_OPEN',
      reason:
        `at least ${maxRatio * 100} % of the recent records (${minRecords} or more) can't be applied, ` +
        `so the fault is not in the records; nothing of this batch went to the DLQ.${example}`,
    };
  }
}
