/** What the scan of a table has shown, whoever scanned it and in how many parts. Pure. */
import type { RowKey } from '../../change/change-event.ts';
import type { RangeAccount } from './compare-range.ts';
import type { NotChecked } from './not-checked.ts';
import { addDigests, EMPTY_DIGEST, type RangeDigest } from './row-digest.ts';

/** Rows that are looked at again; of more it is only known that they differ. Bounds the memory of a run. */
export const MAX_SUSPECTS = 10_000;

/** Sums over ranges. */
export interface ScanSums {
  readonly sourceRows: number;
  readonly targetRows: number;
  readonly compared: number;
  readonly partitions: number;
  readonly unreadable: number;
  readonly sourceDigest: RangeDigest;
  readonly targetDigest: RangeDigest;
}

export const NOTHING_SCANNED: ScanSums = {
  sourceRows: 0,
  targetRows: 0,
  compared: 0,
  partitions: 0,
  unreadable: 0,
  sourceDigest: EMPTY_DIGEST,
  targetDigest: EMPTY_DIGEST,
};

export function addScans(left: ScanSums, right: ScanSums | RangeAccount): ScanSums {
  return {
    sourceRows: left.sourceRows + right.sourceRows,
    targetRows: left.targetRows + right.targetRows,
    compared: left.compared + right.compared,
    partitions: left.partitions + right.partitions,
    unreadable: left.unreadable + right.unreadable,
    sourceDigest: addDigests(left.sourceDigest, right.sourceDigest),
    targetDigest: addDigests(left.targetDigest, right.targetDigest),
  };
}

export interface ScanTotals extends ScanSums {
  readonly rangesDue: number;
  /** Completely; a range that was scanned in part is not one of them. */
  readonly rangesScanned: number;
  /** What was not looked at, or not to its end. */
  readonly notChecked: readonly NotChecked[];
  /** Rows that differed, `MAX_SUSPECTS` at most. */
  readonly suspects: readonly RowKey[];
  /** Rows that differed beyond those. */
  readonly notFollowed: number;
}

/** Rows that differ, each once, as many as are followed. */
export class Suspects {
  readonly #keys = new Map<string, RowKey>();
  #notFollowed = 0;

  add(key: RowKey): void {
    if (this.#keys.has(key.text)) return;
    if (this.#keys.size < MAX_SUSPECTS) this.#keys.set(key.text, key);
    else this.#notFollowed += 1;
  }

  /** So many more of which the keys are not known. */
  addUnnamed(count: number): void {
    this.#notFollowed += count;
  }

  get keys(): readonly RowKey[] {
    return [...this.#keys.values()];
  }

  get notFollowed(): number {
    return this.#notFollowed;
  }
}
