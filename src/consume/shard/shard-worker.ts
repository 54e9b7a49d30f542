/**
 * One assigned partition: the shell around `shard-state.ts`. It decodes what it is given, keeps one transaction in flight
 * and the next batches decoded behind it, and carries out the effects of the state machine.
 *
 * What can go wrong: everything that was begun under an older session (before a drop) may end later. A session is an
 * AbortController; results of an aborted one count for nothing, and a load waits until its transaction has ended, so that
 * the position that it reads is the one after it.
 */
import type { Logger } from 'pino';
import { hashOfRecord } from '../../deadletter/record-hash.ts';
import type { Decoder } from '../../decode/record.ts';
import { unreachable } from '../../shared/assert.ts';
import { LockstepError, messageOf } from '../../shared/errors.ts';
import type { BreakerReading, ShardNote } from '../../target/stores/shard-note.ts';
import type { ShardPosition } from '../../target/shard-store.ts';
import { BatchApplier } from './batch-applier.ts';
import type { Applied } from './batch-applier.ts';
import { breakerReading } from './breaker.ts';
import { partitionKey } from '../kafka/kafka-port.ts';
import type { FetchedBatch, TopicPartition } from '../kafka/kafka-port.ts';
import { schemaDoubtStop, unknownColumns } from '../schema-doubt.ts';
import { RecentFingerprints } from './recent-fingerprints.ts';
import { ShardIntake } from './shard-intake.ts';
import { initialState, step } from './shard-state.ts';
import type { Effect, ShardEvent, ShardState, Stop } from './shard-state.ts';
import type { ShardSnapshot, ShardWorkerContext } from './shard-worker-context.ts';
import { sourceTimeMs } from '../source-time.ts';
import { backoffMs, isAborted } from '../timers.ts';

export class ShardWorker {
  readonly #context: ShardWorkerContext;
  readonly #partition: TopicPartition;
  readonly #table: string;
  readonly #log: Logger;
  readonly #recent: RecentFingerprints;
  readonly #applier: BatchApplier;
  readonly #intake: ShardIntake;
  #state: ShardState = initialState;
  #session = new AbortController();
  #applying: Promise<void> | null = null;
  #noted: Promise<void> = Promise.resolve();
  #stored: ShardPosition | null = null;
  #position: bigint | null = null;
  #logEnd: bigint | null = null;
  #appliedSourceMs: number | null = null;
  /** Set while retrying; cleared by the next COMMIT. */
  #trouble: string | null = null;
  /** What stopped it last, until a COMMIT or a quiet probe shows that it is over. */
  #lastStop: Stop | null = null;
  /** What can't be unpacked where the queue ends. */
  #unreadable: Stop | null = null;

  constructor(partition: TopicPartition, table: string, decoder: Decoder, context: ShardWorkerContext) {
    this.#context = context;
    this.#partition = partition;
    this.#table = table;
    this.#log = context.logger.child({ ...partition, table });
    this.#recent = new RecentFingerprints(context.limits.recentFingerprints);
    this.#intake = new ShardIntake({
      ...context,
      decoder,
      onStretch: () => this.#pump(),
      onKeyForm: async (form, signal) => {
        const note = async () => {
          await context.noteKeyForm(partition.topic, form);
          return true;
        };
        return (await this.#persist(note, signal)) === true;
      },
    });
    this.#applier = new BatchApplier({
      ...context,
      recent: this.#recent,
      table,
      onCommitted: (applied) => this.#onCommitted(applied),
      onTrouble: (reason) => this.#onTrouble(reason),
    });
  }

  get topic(): string {
    return this.#partition.topic;
  }

  get key(): string {
    return partitionKey(this.#partition);
  }

  /** Stops it from outside; probes ask again whether it may go on. */
  halt(stop: Stop): void {
    this.#dispatch({ kind: 'failed', stop });
  }

  assign(): void {
    this.#dispatch({ kind: 'assigned' });
  }

  /** Drops what is queued; resolves when the transaction in flight has ended. */
  async revoke(): Promise<void> {
    this.#dispatch({ kind: 'revoked' });
    await this.#applying;
  }

  /** An operator says that what stopped the shard is repaired. */
  resume(): void {
    this.#applier.resetBreaker();
    this.#dispatch({ kind: 'probe' });
  }

  /** The log end as the broker knows it, for shards that fetch nothing. */
  noteLogEnd(end: bigint): void {
    this.#logEnd = end;
    if (this.#position === null) return;
    const depth = end - this.#position;
    this.#context.observer.backlog(this.#partition.topic, this.#partition.partition, Number(depth < 0n ? 0n : depth));
  }

  /** The position of a shard that has nothing under way; null of any other. */
  get restingAt(): bigint | null {
    if (this.#state.phase !== 'running' || this.#applying !== null) return null;
    return this.#state.expected === this.#state.position ? this.#state.position : null;
  }

  /** The stored position, read while this shard rested at `restedAt`: another one is what a batch would be fenced by. */
  compareStored(next: bigint, restedAt: bigint): void {
    if (next === restedAt || this.restingAt !== restedAt) return;
    this.#log.warn(
      { stored: String(next), position: String(restedAt) },
      'the stored position is elsewhere: read again',
    );
    this.#dispatch({ kind: 'fenced' });
  }

  snapshot(): ShardSnapshot {
    return {
      ...this.#partition,
      table: this.#table,
      incarnation: this.#stored?.shard.incarnation ?? 0,
      state: this.#stateName(),
      reason:
        this.#state.phase === 'stopped' ? this.#state.stop.reason : (this.#trouble ?? this.#lastStop?.reason ?? null),
      position: this.#position,
      logEnd: this.#logEnd,
      owner: this.#stored?.owner ?? null,
      epoch: this.#stored?.epoch ?? null,
      appliedSourceMs: this.#appliedSourceMs,
      breaker: this.#breaker(),
    };
  }

  #breaker(): BreakerReading {
    return breakerReading(this.#applier.breaker, this.#state.phase === 'stopped');
  }

  /** Takes over one fetch: resolves when it is decoded and there is room for the next. */
  async onBatch(fetched: FetchedBatch, heartbeat: () => Promise<void>): Promise<void> {
    const accepted = this.#dispatch({
      kind: 'fetched',
      fetchedOffset: fetched.fetchedOffset,
      next: fetched.next,
      hashAt: (offset) => {
        const record = fetched.records.find((each) => each.offset === offset);
        return record === undefined ? null : hashOfRecord(record.key, record.value);
      },
    }).find((effect) => effect.kind === 'accept');
    const { signal } = this.#session;
    this.#logEnd = fetched.logEnd;
    if (accepted !== undefined) await this.#take(fetched, accepted, signal, heartbeat);
    if (fetched.unreadable !== null && !signal.aborted && this.#state.phase === 'running') {
      this.#unreadable = {
        code: fetched.unreadable.code,
        reason:
          `the record batch at offset ${fetched.next} can't be unpacked: ${fetched.unreadable.message}. ` +
          'Raise the limit on unpacked bytes if the data is wanted.',
      };
      this.#pump();
    }
  }

  async #take(
    { records }: FetchedBatch,
    { from, next }: Extract<Effect, { kind: 'accept' }>,
    signal: AbortSignal,
    heartbeat: () => Promise<void>,
  ): Promise<void> {
    const first = records.findIndex((record) => record.offset >= from);
    const wanted = first < 0 ? [] : records.slice(first);
    this.#context.observer.recordsConsumed(this.#partition.topic, wanted.length);
    try {
      await this.#intake.add({ records: wanted, from, next, signal, heartbeat });
    } catch (error) {
      if (error instanceof LockstepError) {
        this.#fail(error);
        return;
      }
      // A heartbeat said that the group is being rebalanced: what this fetch brought has not all been taken.
      this.#dispatch({ kind: 'interrupted' });
      throw error;
    }
  }

  #pump(): void {
    if (this.#applying !== null || this.#state.phase !== 'running') return;
    if (this.#intake.isEmpty && this.#unreadable === null) return;
    this.#applying = this.#applyAll(this.#session.signal).finally(() => {
      this.#applying = null;
      // A new session may have filled the queue while the old transaction ended.
      this.#pump();
    });
  }

  async #applyAll(signal: AbortSignal): Promise<void> {
    const shard = this.#stored?.shard;
    if (shard === undefined) return;
    while (!signal.aborted) {
      const stretch = this.#intake.take();
      if (stretch === null) break;
      const unknown = unknownColumns(stretch.items);
      if (unknown.length > 0 && this.#context.schemaDoubt(this.#partition.topic, unknown)) {
        this.#intake.release(stretch);
        this.#dispatch({ kind: 'failed', stop: schemaDoubtStop(unknown) });
        return;
      }
      const outcome = await this.#applier.apply(shard, stretch, signal);
      this.#intake.release(stretch);
      if (isAborted(signal)) return;
      if (outcome.kind === 'fenced') this.#dispatch({ kind: 'fenced' });
      else if (outcome.kind === 'stopped') this.#dispatch({ kind: 'failed', stop: outcome.stop });
    }
    if (!signal.aborted && this.#unreadable !== null) this.#dispatch({ kind: 'failed', stop: this.#unreadable });
  }

  #onCommitted({ prepared, stats, seconds }: Applied): void {
    const { observer, kafka, clock } = this.#context;
    const { batch, letters } = prepared;
    this.#position = batch.next;
    this.#dispatch({ kind: 'committed', next: batch.next });
    if (this.#lastStop !== null) this.#recovered();
    kafka.mirror(this.#partition, batch.next);
    observer.batchApplied(seconds, batch.changes.length);
    observer.changes(this.#table, 'processed', batch.changes.length);
    observer.superseded(this.#table, stats.superseded);
    if (batch.duplicates.length > 0) observer.duplicates(this.#table, batch.duplicates.length);
    for (const { record, code, message: reason, isWaiting } of letters) {
      const what = { offset: String(record.offset), code, reason };
      if (isWaiting) {
        this.#log.info(what, 'waits for another row');
        continue;
      }
      observer.changes(this.#table, 'dead_lettered', 1);
      observer.deadLettered(this.#table, code, 1);
      this.#log.warn(what, 'dead letter');
    }
    if (this.#logEnd !== null) this.noteLogEnd(this.#logEnd);
    const newest = prepared.applied.at(-1);
    if (newest === undefined) return;
    this.#appliedSourceMs = sourceTimeMs(newest);
    observer.staleness(this.#table, Math.max(0, clock.nowMs() - this.#appliedSourceMs) / 1000);
  }

  #onTrouble(reason: string | null): void {
    if (reason === this.#trouble) return;
    if (reason !== null && this.#trouble === null) this.#log.warn({ reason }, 'retrying until it works');
    if (reason === null) this.#log.info('works again');
    this.#trouble = reason;
    this.#showState();
  }

  /** Carries out the step; returns its effects for those who asked. */
  #dispatch(event: ShardEvent): readonly Effect[] {
    const { state, effects } = step(this.#state, event);
    const changed = state.phase !== this.#state.phase;
    this.#state = state;
    if (changed) this.#showState();
    if (changed && state.phase === 'running') this.#onRunning();
    for (const effect of effects) this.#carryOut(effect);
    return effects;
  }

  #carryOut(effect: Effect): void {
    const { kafka } = this.#context;
    switch (effect.kind) {
      case 'hold':
        kafka.hold(this.#partition);
        return;
      case 'drop':
        this.#drop();
        return;
      case 'load':
        void this.#load(this.#session.signal);
        return;
      case 'seek':
        kafka.seek(this.#partition, effect.offset);
        return;
      case 'record-gap':
        void this.#recordGap(effect.from, effect.to, this.#session.signal);
        return;
      case 'report-stop':
        void this.#reportStop(effect.stop, this.#session.signal);
        return;
      case 'note-unverified':
        this.#log.warn(
          { offset: String(effect.mark.offset) },
          'the record before the position is gone, so it can not be compared: taken to be the same topic',
        );
        return;
      case 'accept':
      case 'discard':
        return;
      default:
        unreachable(effect);
    }
  }

  #drop(): void {
    this.#session.abort();
    this.#session = new AbortController();
    this.#recent.clear();
    this.#applier.forgetFailures();
    this.#unreadable = null;
    this.#intake.clear();
  }

  async #load(signal: AbortSignal): Promise<void> {
    await this.#applying;
    const loaded = await this.#persist(() => this.#context.load(this.#partition), signal);
    if (loaded === null || signal.aborted) return;
    const { position, range } = loaded;
    // The transaction that was waited for noted its changes after the drop, and the database may have lost them since ⚠.
    this.#recent.clear();
    this.#stored = position;
    this.#position = position.next;
    this.noteLogEnd(range.end);
    this.#dispatch({
      kind: 'loaded',
      next: position.next,
      mark: position.lastRecord,
      logStart: range.start,
      logEnd: range.end,
    });
  }

  #onRunning(): void {
    const stored = this.#stored;
    this.#log.info({ next: String(this.#position), logEnd: String(this.#logEnd) }, 'shard running');
    // What stopped a former process, or what a load and a comparison have just disproved, needs no COMMIT as a proof.
    const isDisproved = this.#lastStop === null || this.#lastStop.code === 'TOPIC_RECREATED';
    if (isDisproved && stored !== null && stored.state !== 'running') this.#recovered();
  }

  async #recordGap(from: bigint, to: bigint, signal: AbortSignal): Promise<void> {
    const { observer, recordGap } = this.#context;
    const stored = this.#stored;
    if (stored === null) return;
    const { topic, partition } = this.#partition;
    const gone = { from: String(from), to: String(to) };
    this.#log.error(gone, 'records are gone from the log before they were read: a gap is recorded');
    const afterMs = stored.lastRecord?.timestampMs ?? null;
    const moved = await this.#persist(() => recordGap(stored.shard, from, to, afterMs), signal);
    if (moved === true) observer.gap(topic, partition, from, to);
    if (moved !== null && !signal.aborted) this.#dispatch({ kind: 'gap-recorded' });
  }

  async #reportStop(stop: Stop, signal: AbortSignal): Promise<void> {
    const { timers, limits } = this.#context;
    if (this.#lastStop?.code !== stop.code) this.#log.error({ code: stop.code, reason: stop.reason }, 'shard stopped');
    this.#lastStop = stop;
    await this.#note(stop.code, { reason: stop.reason, breaker: this.#breaker() });
    await timers.pause(limits.probeMs, signal);
    if (signal.aborted) return;
    this.#dispatch({ kind: 'probe' });
    const breaker = this.#breaker();
    if (breaker.state === 'half-open') void this.#note(stop.code, { reason: stop.reason, breaker });
  }

  /** Shows `running` again, here and in the store. */
  #recovered(): void {
    if (this.#lastStop !== null) this.#log.info({ code: this.#lastStop.code }, 'shard goes on');
    this.#lastStop = null;
    this.#showState();
    void this.#note('running', { reason: null, breaker: null });
  }

  /** Shows a state in the store, after those before it; what can't be written is shown here all the same. */
  #note(state: string, note: ShardNote): Promise<void> {
    const shard = this.#stored?.shard;
    if (shard === undefined) return Promise.resolve();
    this.#noted = this.#noted.then(() => this.#context.setState(shard, state, note)).catch(() => undefined);
    return this.#noted;
  }

  /** Bookkeeping outside batches: transient errors are retried for ever, others stop the shard (null). */
  async #persist<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T | null> {
    const { timers, limits, observer } = this.#context;
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      try {
        const result = await work();
        if (this.#trouble !== null && !isAborted(signal)) this.#onTrouble(null);
        return result;
      } catch (error) {
        if (isAborted(signal)) return null;
        if (!(error instanceof LockstepError) || error.kind !== 'transient') {
          this.#fail(error);
          return null;
        }
        observer.retried(error.code);
        this.#onTrouble(`${error.code}: ${messageOf(error)}`);
        await timers.pause(backoffMs(attempt, limits.retryMinMs, limits.retryMaxMs, timers.random()), signal);
      }
    }
    return null;
  }

  #fail(error: unknown): void {
    const code = error instanceof LockstepError ? error.code : 'BUG_UNEXPECTED';
    this.#dispatch({ kind: 'failed', stop: { code, reason: messageOf(error) } });
  }

  #stateName(): string {
    if (this.#state.phase === 'stopped') return this.#state.stop.code;
    if (this.#state.phase === 'released') return 'released';
    if (this.#lastStop !== null) return this.#lastStop.code;
    return this.#trouble === null ? this.#state.phase : 'retrying';
  }

  #showState(): void {
    this.#context.observer.shardState(this.#partition.topic, this.#partition.partition, this.#stateName());
  }
}
