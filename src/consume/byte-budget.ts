/**
 * Bytes of records in flight over all shards (invariant 9): what bounds memory whatever the lag. Waiters are served in
 * order, so a large fetch is not starved by small ones.
 */
export class ByteBudget {
  readonly #max: number;
  readonly #onChange: (used: number) => void;
  #used = 0;
  readonly #waiting: { readonly bytes: number; readonly grant: () => void }[] = [];

  constructor(max: number, onChange: (used: number) => void = () => undefined) {
    this.#max = max;
    this.#onChange = onChange;
  }

  get used(): number {
    return this.#used;
  }

  /**
   * Resolves true when `bytes` fit, false when the signal aborts first (then nothing is held). A single fetch larger than
   * the whole budget is let in alone: refusing it would stop its shard for ever.
   */
  acquire(bytes: number, signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return Promise.resolve(false);
    if (this.#waiting.length === 0 && this.#fits(bytes)) {
      this.#take(bytes);
      return Promise.resolve(true);
    }
    return new Promise((resolve) => {
      const waiter = {
        bytes,
        grant: (): void => {
          signal.removeEventListener('abort', give);
          resolve(true);
        },
      };
      const give = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
        resolve(false);
        this.#serve();
      };
      signal.addEventListener('abort', give, { once: true });
      this.#waiting.push(waiter);
    });
  }

  release(bytes: number): void {
    this.#used -= bytes;
    this.#onChange(this.#used);
    this.#serve();
  }

  #fits(bytes: number): boolean {
    return this.#used === 0 || this.#used + bytes <= this.#max;
  }

  #take(bytes: number): void {
    this.#used += bytes;
    this.#onChange(this.#used);
  }

  #serve(): void {
    for (let first = this.#waiting[0]; first !== undefined && this.#fits(first.bytes); first = this.#waiting[0]) {
      this.#waiting.shift();
      this.#take(first.bytes);
      first.grant();
    }
  }
}
