/** Write times of the histories of a table: now and out of order, ties, the far past and the future. */
import type { Random } from '../../../src/demo/workload/random.ts';

/** 2^63 − 1 is the latest time that Cassandra takes; −2^63 means "none" there. */
const LAST_US = 2n ** 63n - 1n;
const PAST_US = [-5n, 0n, 862n, 1000n, 1_000_000n];
const HOUR_US = 3_600_000_000n;
/** Microseconds by which the clocks of a few writers differ. */
const JITTER_US = 20_000_000;

/** Chooses write times, each once where ties are not wanted. */
export class WriteTimes {
  readonly #nowUs: () => bigint;
  readonly #ties: boolean;
  readonly #used = new Set<bigint>();

  constructor(nowUs: () => bigint, ties: boolean) {
    this.#nowUs = nowUs;
    this.#ties = ties;
  }

  /** The clock's time: what a driver sends along by itself. */
  now(): bigint {
    return this.#take(this.#nowUs());
  }

  /** A time for a statement; `recent` are those of its history, which it ties with now and then. */
  next(random: Random, recent: readonly bigint[]): bigint {
    const roll = random.next();
    if (this.#ties && roll < 0.2 && recent.length > 0) return random.pick(recent);
    if (roll < 0.5) return this.now();
    if (roll < 0.88) return this.#take(this.#nowUs() - BigInt(random.below(JITTER_US)));
    if (roll < 0.95) return this.#take(random.pick(PAST_US));
    if (roll < 0.975) return this.#take(this.#nowUs() + HOUR_US + BigInt(random.below(JITTER_US)));
    // Rarely: nothing that comes later ever wins against it.
    if (roll < 0.98) return this.#take(LAST_US - BigInt(random.below(2)));
    return this.now();
  }

  #take(time: bigint): bigint {
    let free = time;
    while (!this.#ties && this.#used.has(free)) free -= 1n;
    this.#used.add(free);
    return free;
  }
}
