import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '../telemetry/logger.ts';

/** A part and how it is closed. */
export type Closing = readonly [name: string, close: () => PromiseLike<unknown> | undefined];

/** Nothing that is committed depends on closing; a system that is gone must not hold up the end. */
const CLOSE_TIMEOUT_MS = 2_000;

/** Closes parts in order, each within its time. Failures are logged and stop nothing. */
export async function closeAll(closings: readonly Closing[], logger: Logger): Promise<void> {
  for (const [name, close] of closings) {
    const timer = new AbortController();
    try {
      const limit = delay(CLOSE_TIMEOUT_MS, 'late', { signal: timer.signal }).catch(() => 'cancelled');
      const outcome = await Promise.race([Promise.resolve(close()).then(() => 'closed'), limit]);
      if (outcome === 'late') logger.warn({ part: name, timeoutMs: CLOSE_TIMEOUT_MS }, 'did not close in time');
    } catch (error) {
      logger.warn({ part: name, err: error }, 'closing failed');
    } finally {
      timer.abort();
    }
  }
}
