import { setTimeout as delay } from 'node:timers/promises';
import { backoffDelayMs, type Backoff } from './backoff.ts';
import type { Service } from '../service/service.ts';

/** Work that is repeated while the service runs. */
export interface Repeated {
  readonly everyMs: number;
  /** An attempt that takes longer counts as failed (it may still end later). */
  readonly timeoutMs: number;
  /** The signal aborts when the service stops. */
  readonly work: (signal: AbortSignal) => Promise<void>;
  /** `failures` counts those in a row: the first is news, the others are not. */
  readonly onError: (error: unknown, failures: number) => void;
  /** How the pause grows while it fails; left out: it does not. */
  readonly backoff?: Backoff;
}

/** A service that repeats its work until it is stopped; a failure is reported and does not end it. */
export function repeating(id: string, repeated: Repeated): Service {
  return { id, run: (signal) => repeat(repeated, signal) };
}

async function repeat({ everyMs, timeoutMs, work, onError, backoff }: Repeated, signal: AbortSignal): Promise<void> {
  let failures = 0;
  // A stop does not wait for a system that does not answer; whatever `work` was doing counts for nothing then.
  const stopped = new Promise<void>((resolve) => {
    signal.addEventListener(
      'abort',
      () => {
        resolve();
      },
      { once: true },
    );
  });
  const isStopped = () => signal.aborted;
  while (!isStopped()) {
    const timer = new AbortController();
    const timeout = delay(timeoutMs, undefined, { signal: timer.signal }).then(
      () => {
        throw new Error(`no answer within ${timeoutMs / 1000} s`);
      },
      () => undefined,
    );
    try {
      await Promise.race([work(signal), timeout, stopped]);
      failures = 0;
    } catch (error) {
      // Work that a stop interrupted has not failed.
      if (isStopped()) return;
      failures += 1;
      onError(error, failures);
    } finally {
      timer.abort();
    }
    // A stop ends the pause; that is no error.
    const pauseMs =
      failures === 0 || backoff === undefined ? everyMs : backoffDelayMs(backoff, failures, Math.random());
    await delay(pauseMs, undefined, { signal }).catch(() => undefined);
  }
}
