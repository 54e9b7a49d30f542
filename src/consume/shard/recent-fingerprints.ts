/**
 * Fingerprints of changes that this shard has committed a moment ago. It only saves work: every copy could be applied
 * again. So it is bounded, entries come after COMMIT, and it is emptied whenever the position jumps.
 *
 * Two generations instead of an LRU list: what is old is forgotten by halves. Reads need not renew anything, because
 * copies come within seconds of one another; lru-cache spent 6 % of the service's time on keeping the order.
 */
import type { Fingerprint } from '../../change/change-id.ts';

export class RecentFingerprints {
  readonly #half: number;
  #young = new Set<Fingerprint>();
  #old: ReadonlySet<Fingerprint> = new Set();

  /** Remembers at least half of `max` and at most `max`. */
  constructor(max: number) {
    this.#half = Math.max(1, Math.floor(max / 2));
  }

  has(fingerprint: Fingerprint): boolean {
    return this.#young.has(fingerprint) || this.#old.has(fingerprint);
  }

  add(fingerprint: Fingerprint): void {
    if (this.#young.size >= this.#half) {
      this.#old = this.#young;
      this.#young = new Set();
    }
    this.#young.add(fingerprint);
  }

  clear(): void {
    this.#young = new Set();
    this.#old = new Set();
  }
}
