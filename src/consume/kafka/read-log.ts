/**
 * Reads a stretch of a topic's log beside the consumer group: what windows and redrives need. The records come as an
 * async iterable of batches, each partition in order; memory is bounded by what one fetch holds.
 *
 * kafkajs reads only as a member of a group, so a group of its own is made and forgotten for each reading.
 */
import { randomUUID } from 'node:crypto';
import type { Consumer, EachBatchPayload, Kafka } from 'kafkajs';
import { LockstepError, messageOf } from '../../shared/errors.ts';
import type { SourceRecord } from '../../decode/record.ts';
import { fetchedBatch } from './kafkajs-batch.ts';

/** Offsets [from, to) of one partition. */
export interface LogStretch {
  readonly partition: number;
  readonly from: bigint;
  readonly to: bigint;
}

const FETCH_BYTES = 2 * 1024 * 1024;
/** A broker that delivers nothing of a stretch that exists for this long has failed. */
const SILENCE_LIMIT_MS = 30_000;

/** Hands over a batch and waits until it has been taken: the reader's slowness is the back-pressure on Kafka. */
class Handover {
  #items: (readonly SourceRecord[])[] = [];
  #wake: (() => void) | null = null;
  #taken: (() => void) | null = null;
  #end: { readonly error: unknown } | 'done' | null = null;

  async give(records: readonly SourceRecord[]): Promise<void> {
    if (this.#end !== null) return;
    this.#items.push(records);
    this.#notify();
    await new Promise<void>((resolve) => {
      this.#taken = resolve;
    });
  }

  finish(end: { readonly error: unknown } | 'done'): void {
    this.#end ??= end;
    this.#notify();
    this.#taken?.();
  }

  #notify(): void {
    this.#wake?.();
    this.#wake = null;
  }

  async *[Symbol.asyncIterator](): AsyncIterator<readonly SourceRecord[]> {
    for (;;) {
      const next = this.#items.shift();
      if (next !== undefined) {
        yield next;
        this.#taken?.();
        continue;
      }
      if (this.#end === 'done') return;
      if (this.#end !== null) throw this.#end.error;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

/**
 * Every record of the stretches, each once. Rejects with a transient LockstepError where Kafka does not deliver all of
 * them; records that retention took meanwhile are left out (their offsets are passed).
 */
export async function* readLog(
  kafka: Kafka,
  topic: string,
  stretches: readonly LogStretch[],
  signal: AbortSignal,
): AsyncIterable<readonly SourceRecord[]> {
  const open = new Map(
    stretches.filter(({ from, to }) => to > from).map(({ partition, from, to }) => [partition, { next: from, to }]),
  );
  if (open.size === 0) return;
  const groupId = `lockstep-reader-${randomUUID()}`;
  const consumer = kafka.consumer({
    groupId,
    allowAutoTopicCreation: false,
    maxWaitTimeInMs: 100,
    maxBytes: FETCH_BYTES,
    maxBytesPerPartition: Math.max(65_536, Math.floor(FETCH_BYTES / open.size)),
    sessionTimeout: SILENCE_LIMIT_MS,
    retry: { retries: 3, initialRetryTime: 100, maxRetryTime: 1_000, restartOnFailure: () => Promise.resolve(false) },
  });
  const handover = new Handover();
  const failed = (error: unknown): void => {
    handover.finish({
      error: new LockstepError(`reading ${topic}: ${messageOf(error)}`, {
        code: 'KAFKA_UNAVAILABLE',
        kind: 'transient',
        cause: error,
      }),
    });
  };
  const onAbort = (): void => {
    handover.finish({ error: signal.reason });
  };
  signal.addEventListener('abort', onAbort, { once: true });
  let silence: NodeJS.Timeout | undefined;
  const heard = (): void => {
    clearTimeout(silence);
    silence = setTimeout(() => {
      failed(new Error(`nothing delivered for ${SILENCE_LIMIT_MS / 1000} s`));
    }, SILENCE_LIMIT_MS);
  };
  const take = async (payload: EachBatchPayload): Promise<void> => {
    const { batch } = payload;
    heard();
    const state = open.get(batch.partition);
    if (state !== undefined) {
      const { records, fetchedOffset, next } = fetchedBatch(batch);
      // A seek lets batches from elsewhere through first; only what continues the stretch is taken.
      const wanted = records.filter(({ offset }) => offset >= state.next && offset < state.to);
      if (wanted.length > 0) await handover.give(wanted);
      const last = wanted.at(-1);
      if (last !== undefined) state.next = last.offset + 1n;
      // Control records at the end are no records of ours, but they end the stretch all the same.
      if (fetchedOffset <= state.next && next > state.next) state.next = next;
      if (state.next >= state.to) {
        open.delete(batch.partition);
        consumer.pause([{ topic, partitions: [batch.partition] }]);
      }
      if (open.size === 0) handover.finish('done');
    }
    payload.resolveOffset(batch.lastOffset());
  };
  try {
    await start(consumer, topic, open, take, failed);
    heard();
    yield* handover;
  } catch (error) {
    if (error instanceof LockstepError || signal.aborted) throw error;
    failed(error);
    yield* handover;
  } finally {
    clearTimeout(silence);
    signal.removeEventListener('abort', onAbort);
    handover.finish('done');
    await consumer.disconnect().catch(() => undefined);
    await forgetGroup(kafka, groupId);
  }
}

async function start(
  consumer: Consumer,
  topic: string,
  open: ReadonlyMap<number, { readonly next: bigint }>,
  take: (payload: EachBatchPayload) => Promise<void>,
  failed: (error: unknown) => void,
): Promise<void> {
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  consumer.on(consumer.events.CRASH, ({ payload }) => {
    failed(payload.error);
  });
  const running = consumer.run({
    autoCommit: false,
    eachBatchAutoResolve: false,
    partitionsConsumedConcurrently: 1,
    eachBatch: take,
  });
  running.catch(failed);
  for (const [partition, { next }] of open) consumer.seek({ topic, partition, offset: String(next) });
}

/** The group was only needed to read; nobody is to find it later. */
async function forgetGroup(kafka: Kafka, groupId: string): Promise<void> {
  const admin = kafka.admin();
  try {
    await admin.connect();
    await admin.deleteGroups([groupId]);
  } catch {
    // It expires by itself.
  } finally {
    await admin.disconnect().catch(() => undefined);
  }
}
