import type { Random } from './random.ts';
import type { Write } from './write.ts';

/** What a table's writer may look at. */
export interface WriterContext {
  readonly random: Random;
  /** Microseconds since the epoch. */
  nowUs(): bigint;
}

/** Makes one table's writes. */
export type TableWriter = () => Write;

/** How often a change names its own write time. */
const EXPLICIT_TIME = 0.06;
const PAST_US = 20_000_000;
const FUTURE_US = 2_000_000;

/**
 * Now and then a write time of its own: up to 20 s back, which newer cells and tombstones must win over, or up to 2 s
 * ahead, which survives a delete that comes after it. Random microseconds keep it from meeting another write's time: two
 * values of one cell at one time are a tie, and where the target's form has lost bytes a tie needs a re-read.
 */
export function sometimesTimed(context: WriterContext): { readonly timestampUs?: bigint } {
  const { random } = context;
  if (!random.chance(EXPLICIT_TIME)) return {};
  const shift = random.chance(0.75) ? -random.below(PAST_US) : random.below(FUTURE_US);
  // The driver's clock ends in 000 to 999 by count; these digits lie beyond its habit.
  return { timestampUs: ((context.nowUs() + BigInt(shift)) / 1000n) * 1000n + BigInt(500 + random.below(500)) };
}
