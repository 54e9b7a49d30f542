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

/** How many rows fit into a turn. */
export class TurnSize {
  readonly #maxRows: number;
  #rows = FIRST_ROWS;

  constructor(maxRows: number) {
    this.#maxRows = maxRows;
  }

  /** Rows of the next turn. */
  get rows(): number {
    return this.#rows;
  }

  /** A turn held the gate for so long; waiting for it says nothing about how many rows fit into a turn. */
  held(rows: number, heldMs: number): void {
    if (rows < this.#rows && heldMs < TURN_MS) return;
    const fitting = (rows * TURN_MS) / Math.max(1, heldMs);
    // Half the way, so that one slow turn does not decide.
    this.#rows = Math.round(Math.max(MIN_ROWS, Math.min(this.#maxRows, (this.#rows + fitting) / 2)));
  }
}

export class GateShare {
  #freeAtMs = Number.NEGATIVE_INFINITY;

  /** How long the next turn has to wait. */
  waitMs(nowMs: number): number {
    return Math.max(0, this.#freeAtMs - nowMs);
  }

  /** The gate was asked for, and perhaps held, for so long until now. */
  asked(askedMs: number, nowMs: number): void {
    this.#freeAtMs = nowMs + owedPauseMs(askedMs);
  }
}
