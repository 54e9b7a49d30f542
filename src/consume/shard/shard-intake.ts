/**
 * From fetched records to decoded ones that wait for the shard's transaction: holds the bytes in the budget, decodes in
 * slices, and lets no more than a little be decoded ahead. Its slowness is the back-pressure on Kafka.
 */
import type { Decoder, SourceRecord } from '../../decode/record.ts';
import type { ByteBudget } from '../byte-budget.ts';
import { bytesOf, itemOf } from './item.ts';
import type { Item } from './item.ts';
import type { ConsumeLimits } from '../limits.ts';
import { KeyForm } from '../key-form.ts';
import { ShardQueue } from './shard-queue.ts';
import type { Stretch } from './shard-queue.ts';
import type { Timers } from '../timers.ts';

export interface ShardIntakeOptions {
  readonly decoder: Decoder;
  readonly budget: ByteBudget;
  readonly limits: ConsumeLimits;
  readonly timers: Timers;
  /** Something can be taken. */
  readonly onStretch: () => void;
  /** The keys are written in this form from here on. Resolves when that is noted; false where it could not be. */
  readonly onKeyForm: (form: string, signal: AbortSignal) => Promise<boolean>;
}

/** A form that was noted is not noted again for this long, however often keys of two forms take turns, ms. */
const FORM_NOTED_MS = 1_000;
/** Forms remembered; made-up keys must not grow it without bound. */
const MAX_FORMS = 16;

/** What is asked of one fetch. */
export interface Intake {
  /** Records at and after `from`. */
  readonly records: readonly SourceRecord[];
  readonly from: bigint;
  readonly next: bigint;
  /** Aborts when the records are not wanted any more. */
  readonly signal: AbortSignal;
  readonly heartbeat: () => Promise<void>;
}

export class ShardIntake {
  readonly #options: ShardIntakeOptions;
  readonly #queue = new ShardQueue();
  #room: (() => void)[] = [];
  readonly #keyForm = new KeyForm();
  readonly #noted = new Map<string, number>();

  constructor(options: ShardIntakeOptions) {
    this.#options = options;
  }

  get isEmpty(): boolean {
    return this.#queue.isEmpty;
  }

  /**
   * Resolves when all is decoded and there is room for the next fetch, or when the signal aborts. Rejects with a bug of
   * the decoder, or with a heartbeat's rejection; what was decoded before stays queued.
   */
  async add(intake: Intake): Promise<void> {
    const { budget } = this.#options;
    const held = intake.records.reduce((sum, record) => sum + bytesOf(record), 0);
    if (!(await this.#acquire(held, intake))) return;
    const rest = { bytes: held };
    try {
      await this.#decode(intake, rest);
    } finally {
      if (rest.bytes > 0) budget.release(rest.bytes);
    }
    await this.#untilRoom(intake);
  }

  /** The next batch; its bytes stay held until `release`. */
  take(): Stretch | null {
    const stretch = this.#queue.take(this.#options.limits);
    this.#wake();
    return stretch;
  }

  release(stretch: Stretch): void {
    if (stretch.bytes > 0) this.#options.budget.release(stretch.bytes);
  }

  /** Forgets what is queued. Whoever adds at this moment is told by its signal. */
  clear(): void {
    const bytes = this.#queue.clear();
    if (bytes > 0) this.#options.budget.release(bytes);
    this.#wake();
  }

  /** False where the signal aborted first, and then nothing is held. */
  async #acquire(bytes: number, { signal, heartbeat }: Intake): Promise<boolean> {
    const { budget } = this.#options;
    if (bytes === 0) return !signal.aborted;
    const gate = new AbortController();
    const grant = budget.acquire(bytes, AbortSignal.any([signal, gate.signal]));
    let isOurs = false;
    try {
      isOurs = (await this.#withHeartbeats(grant, heartbeat)) && !signal.aborted;
    } finally {
      gate.abort();
      // Granted in the very moment in which the wait was given up.
      if (!isOurs) void grant.then((granted) => granted && budget.release(bytes));
    }
    return isOurs;
  }

  /** `rest.bytes` is what is held and not yet handed to the queue. */
  async #decode(intake: Intake, rest: { bytes: number }): Promise<void> {
    const { timers, limits, decoder, onStretch } = this.#options;
    const { records, next, signal } = intake;
    let from = intake.from;
    let items: Item[] = [];
    let bytes = 0;
    let sliceEnd = timers.elapsedMs() + limits.decodeSliceMs;
    const handOver = (to: bigint): void => {
      this.#queue.push({ items, from, next: to, bytes });
      rest.bytes -= bytes;
      items = [];
      bytes = 0;
      from = to;
      onStretch();
    };
    for (const record of records) {
      // Full batches go on while the rest of a large fetch is still being decoded, and not all of it is decoded ahead:
      // decoded changes take several times the room of their bytes.
      if (items.length >= limits.maxBatchChanges || bytes >= Math.min(limits.maxBatchBytes, limits.maxQueuedBytes)) {
        handOver(record.offset);
        await this.#untilRoom(intake);
        if (signal.aborted) return;
      }
      const item = itemOf(record, decoder);
      // Only keys of records that apply: a poison record's key says nothing about where keys go.
      const form = item.kind !== 'change' || record.key === null ? null : this.#keyForm.changed(record.key);
      if (form !== null && !(await this.#noteForm(form, signal))) return;
      items.push(item);
      bytes += item.bytes;
      if (timers.elapsedMs() < sliceEnd) continue;
      await timers.yield();
      if (signal.aborted) return;
      sliceEnd = timers.elapsedMs() + limits.decodeSliceMs;
    }
    handOver(next);
  }

  /** False where the records are not wanted any more. */
  async #noteForm(form: string, signal: AbortSignal): Promise<boolean> {
    const { timers, onKeyForm } = this.#options;
    const now = timers.elapsedMs();
    const last = this.#noted.get(form);
    if (last !== undefined && now - last < FORM_NOTED_MS) return true;
    if (!(await onKeyForm(form, signal)) || signal.aborted) {
      this.#keyForm.forget();
      return false;
    }
    if (this.#noted.size > MAX_FORMS) this.#noted.clear();
    this.#noted.set(form, now);
    return true;
  }

  async #untilRoom({ signal, heartbeat }: Intake): Promise<void> {
    while (!signal.aborted && this.#queue.bytes > this.#options.limits.maxQueuedBytes) {
      await this.#withHeartbeats(new Promise<void>((resolve) => this.#room.push(resolve)), heartbeat);
    }
  }

  #wake(): void {
    if (this.#queue.bytes > this.#options.limits.maxQueuedBytes) return;
    const waiting = this.#room;
    this.#room = [];
    for (const resolve of waiting) resolve();
  }

  /** kafkajs sends no heartbeats while a batch is being handled, and the group would take the partition away. */
  async #withHeartbeats<T>(wait: Promise<T>, heartbeat: () => Promise<void>): Promise<T> {
    const { timers, limits } = this.#options;
    for (;;) {
      const over = new AbortController();
      const late = Symbol('late');
      const result = await Promise.race([wait, timers.pause(limits.heartbeatMs, over.signal).then(() => late)]);
      over.abort();
      if (result !== late) return result as T;
      await heartbeat();
    }
  }
}
