/**
 * The outside door at a pace that leaves the stream its room (DESIGN §5 "Locks"): the gate is asked for and held for a
 * fifth of the time at most, and a gate that is busy is asked for again later.
 */
import { LockstepError } from '../shared/errors.ts';
import { owedPauseMs } from './gate-share.ts';
import type { OutsideBatch, OutsideDoor, OutsideOutcome } from './outside-door.ts';

/** A transient failure, mostly a busy gate, is tried again after this long, doubled up to the next. */
const BUSY_MIN_MS = 20;
const BUSY_MAX_MS = 2_000;

export interface Pacing {
  readonly elapsedMs: () => number;
  /** Resolves after the time or when the signal aborts. */
  readonly pause: (ms: number, signal: AbortSignal) => Promise<void>;
}

export class PacedDoor {
  readonly #door: Pick<OutsideDoor, 'apply'>;
  readonly #pacing: Pacing;

  constructor(door: Pick<OutsideDoor, 'apply'>, pacing: Pacing) {
    this.#door = door;
    this.#pacing = pacing;
  }

  /**
   * As the door's `apply`, but what is transient is tried again until the signal aborts or `goesOn` says no. The pause
   * that the gate is owed comes after the transaction, before this resolves.
   */
  async apply(
    batch: OutsideBatch,
    signal: AbortSignal,
    goesOn: () => Promise<boolean> = () => Promise.resolve(true),
  ): Promise<readonly OutsideOutcome[]> {
    const { elapsedMs, pause } = this.#pacing;
    for (let busyMs = BUSY_MIN_MS; ; busyMs = Math.min(BUSY_MAX_MS, busyMs * 2)) {
      const startedMs = elapsedMs();
      try {
        const outcomes = await this.#door.apply(batch);
        await pause(owedPauseMs(elapsedMs() - startedMs), signal);
        return outcomes;
      } catch (error) {
        if (!(error instanceof LockstepError) || error.kind !== 'transient') throw error;
        signal.throwIfAborted();
        await pause(busyMs, signal);
        if (!(await goesOn())) throw error;
      }
    }
  }
}
