import type { Pacing } from '../../target/paced-door.ts';

/** Lets so many things a second through; null = any number. */
export class RateLimit {
  readonly #pacing: Pacing;
  readonly #perSecond: number | null;
  /** When the next one may go. */
  #nextMs: number;

  constructor(pacing: Pacing, perSecond: number | null) {
    this.#pacing = pacing;
    this.#perSecond = perSecond;
    this.#nextMs = pacing.elapsedMs();
  }

  /** Resolves when `count` more may go; rejects with the signal's reason. */
  async wait(count: number, signal: AbortSignal): Promise<void> {
    if (this.#perSecond === null) return;
    const { elapsedMs, pause } = this.#pacing;
    const waitMs = this.#nextMs - elapsedMs();
    if (waitMs > 0) await pause(waitMs, signal);
    signal.throwIfAborted();
    this.#nextMs = Math.max(this.#nextMs, elapsedMs()) + (count / this.#perSecond) * 1000;
  }
}
