/** Waiting as an argument, so that tests own it: a fake resolves the pauses in the order it likes. */
export interface Timers {
  /** Resolves after `ms`, or at once when the signal aborts (cancellation is no error). */
  pause(ms: number, signal?: AbortSignal): Promise<void>;
  /** Lets pending I/O and other work run. */
  yield(): Promise<void>;
  /** A monotonic clock in milliseconds, for durations. */
  elapsedMs(): number;
  /** A number in [0, 1). */
  random(): number;
}

export const systemTimers: Timers = {
  pause(ms, signal) {
    return new Promise((resolve) => {
      if (signal?.aborted === true) {
        resolve();
        return;
      }
      const done = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal?.addEventListener('abort', done, { once: true });
    });
  },
  yield: () => new Promise((resolve) => setImmediate(resolve)),
  elapsedMs: () => performance.now(),
  random: () => Math.random(),
};

/** `signal.aborted`, asked anew: the compiler believes that it can't have changed since the last question. */
export function isAborted(signal: AbortSignal): boolean {
  return signal.aborted;
}

/** Exponential back-off with full jitter: between half and all of `min × 2^attempt`, at most `max`. `attempt` from 0. */
export function backoffMs(attempt: number, minMs: number, maxMs: number, random: number): number {
  const ceiling = Math.min(maxMs, minMs * 2 ** Math.min(attempt, 30));
  return Math.round(ceiling / 2 + (ceiling / 2) * random);
}
