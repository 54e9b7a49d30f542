/**
 * Fingerprints of changes that this shard has committed a moment ago. It only saves work: every copy could be applied
 * again. So it is bounded, entries come after COMMIT, and it is emptied whenever the position jumps.
 */
import { LRUCache } from 'lru-cache';
import type { Fingerprint } from '../change/change-id.ts';

export class RecentFingerprints {
  readonly #cache: LRUCache<Fingerprint, true>;

  constructor(max: number) {
    this.#cache = new LRUCache({ max });
  }

  has(fingerprint: Fingerprint): boolean {
    return this.#cache.get(fingerprint) === true;
  }

  add(fingerprint: Fingerprint): void {
    this.#cache.set(fingerprint, true);
  }

  clear(): void {
    this.#cache.clear();
  }
}
