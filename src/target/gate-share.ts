/**
 * How much a writer beside the stream may do at a time (DESIGN §5 "Locks"): the exclusive gate is asked for and held a fifth
 * of the time at most, some milliseconds a turn. What the writer does meanwhile, such as reading on, counts as pause.
 */

/** Share of wall time that the gate is asked for or held. */
const GATE_SHARE = 0.2;

/** The pause that is owed after the gate was asked for, and perhaps held, for so long. */
export function owedPauseMs(askedMs: number): number {
  return askedMs * (1 / GATE_SHARE - 1);
}

/** A turn should hold the gate about this long; the limit is 50 ms. */
const TURN_MS = 25;
const FIRST_ROWS = 100;
const MIN_ROWS = 10;
const MAX_ROWS = 1_000;

export class GateShare {
  #rows = FIRST_ROWS;
  #freeAtMs = Number.NEGATIVE_INFINITY;

  /** Rows of the next turn. */
  get rows(): number {
    return this.#rows;
  }

  /** How long the next turn has to wait. */
  waitMs(nowMs: number): number {
    return Math.max(0, this.#freeAtMs - nowMs);
  }

  /** The gate was asked for, and perhaps held, from one moment to the other. */
  asked(beganMs: number, nowMs: number): void {
    this.#freeAtMs = nowMs + owedPauseMs(nowMs - beganMs);
  }

  /** A turn held the gate for so long; waiting for it says nothing about how many rows fit into a turn. */
  held(rows: number, heldMs: number): void {
    if (rows < this.#rows && heldMs < TURN_MS) return;
    const fitting = (rows * TURN_MS) / Math.max(1, heldMs);
    // Half the way, so that one slow turn does not decide.
    this.#rows = Math.round(Math.max(MIN_ROWS, Math.min(MAX_ROWS, (this.#rows + fitting) / 2)));
  }
}
