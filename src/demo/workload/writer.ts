/** Carries out the workload at a steady rate and keeps count of what Cassandra has acknowledged. */
import { setTimeout as delay } from 'node:timers/promises';
import type cassandra from 'cassandra-driver';
import { messageOf } from '../../shared/errors.ts';
import { DemoError } from '../demo-error.ts';
import type { Write } from './write.ts';

/** How often the writer looks at what is due. */
const TICK_MS = 10;
/** Requests on their way at most; beyond it Cassandra is the limit and the rate falls behind. */
const MAX_IN_FLIGHT = 128;
/** A rate that fell behind is made up for, but not in one burst. */
const MAX_BEHIND_SECONDS = 1;
/** A machine under load times out now and then; one that does so for about a minute is broken. */
const ATTEMPTS = 20;
const RETRY_MS = 300;
const MAX_RETRY_MS = 3_000;

/** What was written so far. */
export interface WriterCounts {
  /** Changes acknowledged: one for each row written or deleted, each range or partition deleted. */
  readonly changes: number;
  readonly requests: number;
  readonly retries: number;
  /** Wall clock (ms) after which nothing that was written for a short while is alive; 0 where there is none. */
  readonly lastExpiryMs: number;
}

/** One per session: write times must rise over all its users. */
export class SourceWriter {
  readonly #client: cassandra.Client;
  #lastUs = 0;
  #changes = 0;
  #requests = 0;
  #retries = 0;
  #lastExpiryMs = 0;

  constructor(client: cassandra.Client) {
    this.#client = client;
  }

  get counts(): WriterCounts {
    return {
      changes: this.#changes,
      requests: this.#requests,
      retries: this.#retries,
      lastExpiryMs: this.#lastExpiryMs,
    };
  }

  /** A write time that no other write of this session has: millisecond clock plus a count, as drivers do. */
  nextTimeUs(): number {
    this.#lastUs = Math.max(Date.now() * 1000, this.#lastUs + 1);
    return this.#lastUs;
  }

  /**
   * Writes once, by sending as often as it takes: the write time stays the same, so a request that was applied although
   * its answer was lost is the same change.
   */
  async write(write: Write): Promise<void> {
    const timestamp = this.nextTimeUs();
    for (let attempt = 1; ; attempt += 1) {
      try {
        await this.#send(write, timestamp);
        break;
      } catch (error) {
        if (attempt >= ATTEMPTS) {
          throw new DemoError(
            'DEMO_SOURCE',
            `Cassandra refuses a write: ${messageOf(error)}`,
            'Look at the log of Cassandra in the stack directory.',
            error,
          );
        }
        this.#retries += 1;
        await delay(Math.min(MAX_RETRY_MS, RETRY_MS * attempt));
      }
    }
    this.#requests += 1;
    this.#changes += write.changes;
    if (write.expiresInSeconds !== null) {
      // Cassandra counts whole seconds from its own clock.
      this.#lastExpiryMs = Math.max(this.#lastExpiryMs, Date.now() + (write.expiresInSeconds + 1) * 1000);
    }
  }

  async #send({ statements, batch }: Write, timestamp: number): Promise<void> {
    const [first] = statements;
    if (batch === null && first !== undefined) {
      await this.#client.execute(first.cql, [...first.params], { prepare: true, timestamp });
      return;
    }
    await this.#client.batch(
      statements.map(({ cql, params }) => ({ query: cql, params: [...params] })),
      { prepare: true, timestamp, logged: batch === 'logged' },
    );
  }
}

/** Options of {@link runWorkload}. */
export interface WorkloadOptions {
  /** Changes per second. */
  readonly rate: number;
  /** Ends the workload; what is on its way is waited for. */
  readonly until: AbortSignal;
}

/** Writes at the given rate until told to stop, and returns once everything is acknowledged. Rejects when Cassandra refuses. */
export async function runWorkload(
  writer: SourceWriter,
  next: () => Write,
  { rate, until }: WorkloadOptions,
): Promise<void> {
  const inFlight = new Set<Promise<void>>();
  const failure: { error: Error | undefined } = { error: undefined };
  let credit = 0;
  let before = performance.now();
  while (!until.aborted && failure.error === undefined) {
    const now = performance.now();
    credit = Math.min(credit + ((now - before) / 1000) * rate, rate * MAX_BEHIND_SECONDS);
    before = now;
    while (credit > 0 && inFlight.size < MAX_IN_FLIGHT) {
      const write = next();
      credit -= write.changes;
      const sent = writer
        .write(write)
        .catch((error: unknown) => {
          failure.error ??= error instanceof Error ? error : new Error(String(error));
        })
        .finally(() => inFlight.delete(sent));
      inFlight.add(sent);
    }
    await delay(TICK_MS);
  }
  await Promise.all(inFlight);
  if (failure.error !== undefined) throw failure.error;
}
