/**
 * How many rows a page asks for. It shrinks at once where a page failed, and grows by doubling while pages are quick: the
 * size that a table bears is found anew wherever its rows or tombstones change. Pure but for its own state.
 */

/** A page should take about this long: long enough for the round trip not to matter, short enough to be abandoned cheaply. */
const TARGET_MS = 250;
/** Bytes of one page at most, by what the rows before weighed: the scan's memory. */
const PAGE_BYTES = 4 * 1024 * 1024;
const FIRST_ROWS = 256;
const MAX_ROWS = 4_096;
const SHRINK = 4;

/** What a table bore last: where the next scan of it begins. */
export interface PageMemory {
  rows: number | null;
}

export class PageSize {
  #rows: number;

  constructor(rows: number | null = null) {
    this.#rows = rows ?? FIRST_ROWS;
  }

  get rows(): number {
    return this.#rows;
  }

  /** A page was read. */
  read(page: { readonly rows: number; readonly bytes: number; readonly elapsedMs: number }): void {
    // A page that was not filled says nothing about full ones, but a slow one is slow.
    if (page.elapsedMs > 2 * TARGET_MS) this.#rows = this.#bounded(this.#rows / 2);
    else if (page.elapsedMs < TARGET_MS && page.rows >= this.#rows) this.#rows = this.#bounded(this.#rows * 2);
    if (page.rows === 0) return;
    const fitting = PAGE_BYTES / (page.bytes / page.rows);
    if (fitting < this.#rows) this.#rows = this.#bounded(fitting);
  }

  /** A page failed. False where no page can be smaller. */
  shrink(): boolean {
    if (this.#rows === 1) return false;
    this.#rows = this.#bounded(this.#rows / SHRINK);
    return true;
  }

  /** As small as can be, at once. False where it is already. */
  least(): boolean {
    if (this.#rows === 1) return false;
    this.#rows = 1;
    return true;
  }

  #bounded(rows: number): number {
    return Math.max(1, Math.min(MAX_ROWS, Math.floor(rows)));
  }
}
