/** How long failed attempts wait. */
export interface Backoff {
  /** Delay ceiling of the first repetition. */
  readonly initialDelayMs: number;
  /** Delay ceiling that doubling never passes. */
  readonly maxDelayMs: number;
}

/** Connections to systems that are down: quick enough to notice their return, slow enough not to be the problem. */
export const CONNECT_BACKOFF: Backoff = { initialDelayMs: 200, maxDelayMs: 10_000 };

/** Upkeep that fails: nobody waits for it, and it has a reason that others report. */
export const UPKEEP_BACKOFF: Backoff = { initialDelayMs: 2_000, maxDelayMs: 60_000 };

/**
 * Delay before repetition `attempt` (1 = after the first failure): doubling, half of it random, so that members which
 * failed together do not come back together. `random` is in [0, 1).
 */
export function backoffDelayMs(backoff: Backoff, attempt: number, random: number): number {
  const ceiling = Math.min(backoff.maxDelayMs, backoff.initialDelayMs * 2 ** Math.min(attempt - 1, 30));
  return Math.round(ceiling / 2 + (ceiling / 2) * random);
}
