/** Waiting for a state of the outside world, with a deadline: the only loop in this folder that sleeps. */
import { setTimeout as delay } from 'node:timers/promises';

/** Options of {@link pollUntil}. */
export interface PollOptions {
  /** Give up after this long, in milliseconds. */
  readonly limitMs: number;
  /** Pause between two looks, in milliseconds. */
  readonly everyMs: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Looks until `look` returns something other than undefined, and returns that.
 * Returns undefined when the limit has passed; rejects with the signal's reason when aborted; passes on what `look` throws.
 */
export async function pollUntil<T>(
  look: () => Promise<T | undefined> | T | undefined,
  options: PollOptions,
): Promise<T | undefined> {
  const deadline = performance.now() + options.limitMs;
  for (;;) {
    options.signal?.throwIfAborted();
    const seen = await look();
    if (seen !== undefined) return seen;
    if (performance.now() >= deadline) return undefined;
    await delay(options.everyMs, undefined, options.signal ? { signal: options.signal } : {});
  }
}
