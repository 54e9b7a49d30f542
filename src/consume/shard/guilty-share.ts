/**
 * How many changes go into one transaction while some of the recent ones were refused. A transaction costs about as much
 * as OVERHEAD changes in it (2 ms of CPU beside 37 µs a change, `npm run bench:apply` with batches of 1 and of 700), and a
 * refused change has its whole transaction sent again: with a share p of guilty changes the sum OVERHEAD/n + p·n is least
 * at n = √(OVERHEAD/p). Measured with 1 in 100: 38 % less CPU than beginning with the whole stretch (bench/README.md).
 */
export class GuiltyShare {
  #changes = 0;
  #guilty = 0;

  /** Changes that have committed, and changes that were found guilty. */
  add(changes: number, guilty: number): void {
    this.#changes += changes;
    this.#guilty += guilty;
    // Older changes count less and less; below half a change they are forgotten, and stretches are whole again.
    if (this.#changes < 2 * MEMORY) return;
    this.#changes /= 2;
    this.#guilty = this.#guilty < 1 ? 0 : this.#guilty / 2;
  }

  /** Into how many parts a stretch with so many changes is best cut before it is tried. */
  partsFor(changes: number): number {
    if (this.#guilty === 0 || changes === 0) return 1;
    // Little has been seen at the beginning: one guilty change among the first ten is not one in ten.
    const share = this.#guilty / Math.max(this.#changes, MEMORY);
    // To the nearest: the sum grows as much for parts half as large as for parts twice as large.
    return Math.max(1, Math.round(changes / Math.max(1, Math.sqrt(OVERHEAD / share))));
  }
}

/** In changes. */
const OVERHEAD = 54;
/** Changes that are remembered, at least. */
const MEMORY = 5_000;
