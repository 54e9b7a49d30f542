/**
 * How long a scan pauses for the sake of the source: what it does to others shows in what a read of one row takes, as an
 * application would do it. Pure.
 */

const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 5_000;

/** The pause after each page from now on, where a read of one row has just taken so long; `limitMs` null: never. */
export function brakedPauseMs(pauseMs: number, readMs: number, limitMs: number | null): number {
  if (limitMs === null) return 0;
  if (readMs > limitMs) return Math.min(LONGEST_PAUSE_MS, Math.max(FIRST_PAUSE_MS, pauseMs * 2));
  return pauseMs / 2 < FIRST_PAUSE_MS ? 0 : pauseMs / 2;
}
