import { setTimeout as delay } from 'node:timers/promises';
import { LockstepError } from '../../shared/errors.ts';
import { backoffDelayMs, type Backoff } from '../upkeep/backoff.ts';

/** Something that runs until it is stopped: a watch, a job worker. Stopping is aborting the signal. */
export interface Service {
  /** Names it in the log. */
  readonly id: string;
  /** Resolves once it has stopped after `signal`; rejects only when it can never go on. */
  run(signal: AbortSignal): Promise<void>;
}

/** What the one loop that retries needs from outside. */
export interface RetryOptions {
  readonly backoff: Backoff;
  readonly signal: AbortSignal;
  /** Told of each failure and how long the wait is. */
  readonly onRetry: (error: unknown, attempt: number, delayMs: number) => void;
  readonly random?: () => number;
  readonly sleep?: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** Kinds that no repetition mends: they end the process with an exit code of their own. */
const FINAL_KINDS: ReadonlySet<string> = new Set(['config', 'usage', 'bug']);

/** True where trying again may help. Only a LockstepError can say that it does not. */
export function isRetryable(error: unknown): boolean {
  return !(error instanceof LockstepError && FINAL_KINDS.has(error.kind));
}

/**
 * Repeats `attempt` with back-off until it succeeds: the only place of this room that sleeps between attempts.
 * Rejects with what can't be mended by repetition, and with the signal's reason once aborted.
 */
export async function retry<T>(attempt: (signal: AbortSignal) => Promise<T>, options: RetryOptions): Promise<T> {
  const { backoff, signal, random = Math.random } = options;
  const sleep = options.sleep ?? ((ms: number, abort: AbortSignal) => delay(ms, undefined, { signal: abort }));
  for (let failures = 1; ; failures += 1) {
    signal.throwIfAborted();
    try {
      return await attempt(signal);
    } catch (error) {
      // A stop while the attempt was under way is a stop, whatever the attempt made of it.
      signal.throwIfAborted();
      if (!isRetryable(error)) throw error;
      const delayMs = backoffDelayMs(backoff, failures, random());
      options.onRetry(error, failures, delayMs);
      await sleep(delayMs, signal);
    }
  }
}
