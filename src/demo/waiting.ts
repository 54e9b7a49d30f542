/** Waiting for a state of the outside world, with a deadline: what the demo does instead of sleeping. */
import { setTimeout as delay } from 'node:timers/promises';

/** Options of {@link waitFor}. */
export interface WaitOptions {
  readonly limitMs: number;
  readonly everyMs: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Looks until `look` says yes. False when the limit has passed; rejects with the signal's reason when aborted, and with
 * what `look` throws.
 */
export async function waitFor(look: () => Promise<boolean> | boolean, options: WaitOptions): Promise<boolean> {
  const deadline = performance.now() + options.limitMs;
  for (;;) {
    options.signal?.throwIfAborted();
    if (await look()) return true;
    if (performance.now() >= deadline) return false;
    await pause(options.everyMs, options.signal);
  }
}

/** Lets time pass; rejects with the signal's reason when aborted. */
export async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  try {
    await delay(ms, undefined, signal === undefined ? {} : { signal });
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
}
