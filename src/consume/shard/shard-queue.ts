/**
 * The decoded records of one shard that wait for its transaction to end. They are taken out in the largest batch that the
 * limits allow: alone when nothing is in flight (latency), merged over fetches when a transaction is (throughput).
 */
import { assert } from '../../shared/assert.ts';
import type { Item } from './item.ts';

/** Consecutive records of a shard: [from, next) holds exactly `items` and offsets that Kafka left out. */
export interface Stretch {
  readonly items: readonly Item[];
  readonly from: bigint;
  readonly next: bigint;
  /** Bytes held in the budget for it. */
  readonly bytes: number;
}

export interface BatchLimits {
  readonly maxBatchChanges: number;
  readonly maxBatchBytes: number;
}

export class ShardQueue {
  readonly #items: Item[] = [];
  /** First item not yet taken; the array is cut when everything before is gone. */
  #head = 0;
  #from: bigint | null = null;
  #next = 0n;
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  get isEmpty(): boolean {
    return this.#from === null;
  }

  /** Adds what follows; a stretch may have no items (control records only) and still moves the position. */
  push(stretch: Stretch): void {
    assert(this.#from === null || stretch.from === this.#next, 'a stretch does not continue the queue');
    this.#from ??= stretch.from;
    this.#next = stretch.next;
    this.#bytes += stretch.bytes;
    for (const item of stretch.items) this.#items.push(item);
  }

  take(limits: BatchLimits): Stretch | null {
    if (this.#from === null) return null;
    let end = this.#head;
    let bytes = 0;
    for (; end < this.#items.length && end - this.#head < limits.maxBatchChanges; end += 1) {
      const size = this.#items[end]?.bytes ?? 0;
      // One record larger than the limit is a batch of its own.
      if (end > this.#head && bytes + size > limits.maxBatchBytes) break;
      bytes += size;
    }
    const items = this.#items.slice(this.#head, end);
    const from = this.#from;
    const following = this.#items[end];
    const next = following === undefined ? this.#next : following.record.offset;
    this.#bytes -= bytes;
    if (following === undefined) {
      this.#items.length = 0;
      this.#head = 0;
      this.#from = null;
    } else {
      this.#head = end;
      this.#from = next;
    }
    return { items, from, next, bytes };
  }

  /** Forgets everything; returns the bytes that it held. */
  clear(): number {
    const bytes = this.#bytes;
    this.#items.length = 0;
    this.#head = 0;
    this.#from = null;
    this.#bytes = 0;
    return bytes;
  }
}
