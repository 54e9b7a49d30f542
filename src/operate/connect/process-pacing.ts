import { setTimeout as delay } from 'node:timers/promises';
import type { Pacing } from '../../target/paced-door.ts';

/** The process's own clock; a stop ends a pause, whoever paused looks at the signal. */
export const processPacing: Pacing = {
  elapsedMs: () => performance.now(),
  pause: (ms, signal) => delay(ms, undefined, { signal }).catch(() => undefined),
};
