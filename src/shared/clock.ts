/** Time as an argument: whatever decides by the clock takes one, so that tests and simulation own it. */
export interface Clock {
  /** Milliseconds since the epoch. */
  nowMs(): number;
}

export const systemClock: Clock = { nowMs: () => Date.now() };
