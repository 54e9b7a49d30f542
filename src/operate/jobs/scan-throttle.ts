/**
 * Keeps scans from being the source's load (DESIGN §7): a budget of rows a second that all members share, and a brake that
 * looks at what a read of one row takes meanwhile. A pause for the sake of the source is one for every member.
 */
import { brakedPauseMs } from '../../reconcile/end-state/latency-brake.ts';
import type { Pacing } from '../../target/paced-door.ts';
import type { ScanBudget } from '../../target/stores/scan-budget.ts';

/** A row is read this often at most to see how the source is, ms. */
const PROBE_EVERY_MS = 1_000;
/** One source, one budget. */
const BUDGET = 'source';

export interface ThrottleLimits {
  /** Null: any number. */
  readonly rowsPerSecond: number | null;
  /** What a read of one row may take, ms; null: nobody looks. */
  readonly sourceLatency: number | null;
}

export class ScanThrottle {
  readonly #budget: Pick<ScanBudget, 'take'>;
  readonly #limits: ThrottleLimits;
  readonly #pacing: Pacing;
  #pauseMs = 0;
  #probedMs = Number.NEGATIVE_INFINITY;

  constructor(budget: Pick<ScanBudget, 'take'>, limits: ThrottleLimits, pacing: Pacing) {
    this.#budget = budget;
    this.#limits = limits;
    this.#pacing = pacing;
  }

  /** Resolves when the next page may be read, behind one of so many rows. `readOne` reads a row as an application would. */
  async page(rows: number, readOne: () => Promise<unknown>, signal: AbortSignal): Promise<void> {
    const { rowsPerSecond, sourceLatency } = this.#limits;
    const { elapsedMs, pause } = this.#pacing;
    if (sourceLatency !== null && elapsedMs() - this.#probedMs >= PROBE_EVERY_MS) {
      const beganMs = elapsedMs();
      // A source that does not answer is slow, whatever the reason; the scan itself finds out more.
      await readOne().catch(() => undefined);
      this.#probedMs = elapsedMs();
      this.#pauseMs = brakedPauseMs(this.#pauseMs, this.#probedMs - beganMs, sourceLatency);
    }
    const costMs = (rowsPerSecond === null ? 0 : (rows / rowsPerSecond) * 1000) + this.#pauseMs;
    if (costMs === 0) return;
    const waitMs = await this.#budget.take(BUDGET, costMs);
    // What was taken has to pass, too: the budget is for what was read already.
    await pause(waitMs + costMs, signal);
    signal.throwIfAborted();
  }
}
