/** Carries out the workload at a steady rate and keeps count of what Cassandra has acknowledged. */
import { setTimeout as delay } from 'node:timers/promises';
import type cassandra from 'cassandra-driver';
import { Changelog, type LoggedBatch } from '../../changelog.ts';
import { messageOf } from '../../shared/errors.ts';
import { DemoError } from '../demo-error.ts';
import { KEYSPACE, SHOP_KEYS } from '../shop/schema.ts';
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
  readonly #changelog = new Changelog({ keyspace: KEYSPACE, tables: SHOP_KEYS });
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
    return this.#changelog.nextWriteTimeUs();
  }

  /**
   * Writes once, by sending as often as it takes: the write time stays the same, so a request that was applied although
   * its answer was lost is the same change.
   *
   * @returns the change IDs, in the order of the statements.
   */
  async write({ statements, expiresInSeconds }: Write): Promise<readonly string[]> {
    const batch = this.#changelog.batch(
      statements.map(({ cql, params, change, timestampUs }) => ({
        query: cql,
        params,
        change,
        ...(timestampUs === null ? {} : { writeTimeUs: timestampUs }),
      })),
    );
    await this.#send(batch);
    this.#requests += 1;
    this.#changes += statements.length;
    if (expiresInSeconds !== null) {
      // Cassandra counts whole seconds from its own clock.
      this.#lastExpiryMs = Math.max(this.#lastExpiryMs, Date.now() + (expiresInSeconds + 1) * 1000);
    }
    return batch.changeIds;
  }

  async #send({ queries, options }: LoggedBatch): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        await this.#client.batch(queries, options);
        return;
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
      credit -= write.statements.length;
      const sent = writer
        .write(write)
        .then(() => undefined)
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
