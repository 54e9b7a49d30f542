/**
 * Compares one token range of source and target, streaming both: memory holds a slice of the source, a page of the target,
 * and the page of each that comes next. What differs is a suspect, no more.
 */
import type { RowKey } from '../../change/change-event.ts';
import type { TokenRange } from '../../change/token-range.ts';
import type { BoundTable } from '../../target/bound-table.ts';
import type { TargetRow, TokenScan } from '../../target/scan/token-scan.ts';
import { messageOf } from '../../shared/errors.ts';
import { compareRows, type Difference } from './compare-rows.ts';
import type { NotChecked } from './not-checked.ts';
import { digestOfRow, RangeDigester, sameDigest, type RangeDigest, type RowDigest } from './row-digest.ts';
import type { EncodedRow } from './row-encoder.ts';
import { isPresent, type SourceImage, type TargetImage } from './row-images.ts';
import { readAhead } from './read-ahead.ts';
import { sourceSlices, type ScannedRow, type SourcePage } from './source-slices.ts';
import { TakenRows, type TakenRow } from './taken-rows.ts';

/** Keys in one question to either side. */
const KEYS_AT_ONCE = 1_000;

/** What is compared, and which rows it is about. */
export interface Depth {
  /** Values are compared; otherwise only whether rows are there. */
  readonly values: boolean;
  /** Rows that a write of this span (µs) touched on either side; null = all. */
  readonly writtenUs: { readonly from: bigint; readonly to: bigint } | null;
}

export interface RangeParts {
  readonly table: BoundTable;
  readonly target: Pick<TokenScan, 'range' | 'byKeys'>;
  /** Pages of the source's rows of a range, in the order of tokens. */
  readonly scanSource: (range: TokenRange, signal: AbortSignal) => AsyncIterable<SourcePage>;
  readonly readSource: (keys: readonly RowKey[], signal: AbortSignal) => Promise<readonly SourceImage[]>;
  readonly nowUs: () => bigint;
  /** Rows of one partition that are held until its last page. */
  readonly maxHeldRows?: number;
}

/** Called for every row that differs; `key` as the target stores it. */
export type OnSuspect = (key: RowKey, difference: Difference) => void;

export interface RangeAccount {
  readonly range: TokenRange;
  readonly sourceRows: number;
  readonly targetRows: number;
  /** Rows of either side that the depth is about, each once. */
  readonly compared: number;
  /** Partitions that have a row on either side. */
  readonly partitions: number;
  readonly suspects: number;
  /** Rows of the source that could not be read exactly: nothing is known of them. */
  readonly unreadable: number;
  /** Parts of the source that can't be read: what of them differs is proven row by row, what is missing is not seen. */
  readonly unread: readonly NotChecked[];
  readonly sourceDigest: RangeDigest;
  readonly targetDigest: RangeDigest;
}

function touches(depth: Depth, source: SourceImage, target: TargetImage): boolean {
  const { writtenUs } = depth;
  if (writtenUs === null) return true;
  const entries = [...(source?.cells ?? []), ...(target?.state.cells ?? []), target?.state.marker ?? null];
  return entries.some((entry) => entry !== null && entry.writeTime >= writtenUs.from && entry.writeTime < writtenUs.to);
}

/** The text of a row's partition key. */
export function partitionOf(table: BoundTable, key: readonly string[]): string {
  return JSON.stringify(key.slice(0, table.table.partitionKey.length));
}

class RangeComparison {
  compared = 0;
  partitions = 0;
  suspects = 0;
  readonly unread: NotChecked[] = [];
  readonly rows: TakenRows;
  readonly #parts: RangeParts;
  readonly #depth: Depth;
  readonly #onSuspect: OnSuspect;

  constructor(parts: RangeParts, depth: Depth, onSuspect: OnSuspect) {
    this.#parts = parts;
    this.#depth = depth;
    this.#onSuspect = onSuspect;
    this.rows = new TakenRows(parts.table, parts.nowUs);
  }

  onPage(page: SourcePage): void {
    for (const { where, error } of page.unread ?? []) this.unread.push({ where, reason: messageOf(error) });
    for (const { key } of page.unreadable) this.rows.noteUnreadable(key);
  }

  judge(key: RowKey, source: SourceImage, target: TargetImage): void {
    // Nothing is known of a row whose values can't be read, so it is no suspect either.
    if (this.rows.isUnreadable(key) || !touches(this.#depth, source, target)) return;
    this.compared += 1;
    const difference = compareRows(this.#parts.table, source, target, this.#parts.nowUs());
    if (difference === null || (difference.kind === 'differs' && !this.#depth.values)) return;
    this.suspects += 1;
    this.#onSuspect(key, difference);
  }

  /** A row that the target has too. */
  #judgeMet(source: TakenRow, row: TargetRow, encoded: EncodedRow): void {
    source.met = true;
    // What both show at any moment needs no second look; write times matter only where a span of them is asked for.
    const isSame = source.encoded.lasts && encoded.lasts && source.encoded.isSame(encoded);
    if (isSame && this.#depth.writtenUs === null) this.compared += 1;
    else this.judge(row.key, source.row, row);
  }

  /** Rows that the target has not. */
  #judgeMissing(taken: Map<string, TakenRow>): void {
    for (const { row, met } of taken.values()) {
      if (!met) this.judge(this.rows.storedKey(row.key), row, null);
    }
  }

  #partitionOf(encoded: EncodedRow): string {
    return encoded.partition(this.#parts.table.table.partitionKey.length);
  }

  #rangeOfTarget(range: TokenRange, signal: AbortSignal): AsyncIterable<readonly TargetRow[]> {
    // Only a span of write times asks for those of rows in which nothing expires.
    return this.#parts.target.range(range, signal, this.#depth.writtenUs === null ? 'where something expires' : 'all');
  }

  async whole(range: TokenRange, rows: readonly ScannedRow[], signal: AbortSignal): Promise<void> {
    const partitions = new Partitions();
    const pages = readAhead(this.#rangeOfTarget(range, signal));
    const taken = this.rows.source(rows);
    for (const { encoded } of taken.values()) partitions.add(this.#partitionOf(encoded));
    for await (const page of pages) {
      for (const row of page) {
        const encoded = this.rows.target(row);
        const source = taken.get(encoded.key);
        const present = this.rows.countTarget(row, encoded, source);
        if (source !== undefined) this.#judgeMet(source, row, encoded);
        else if (present) {
          partitions.add(this.#partitionOf(encoded));
          this.judge(row.key, null, row);
        }
      }
    }
    this.#judgeMissing(taken);
    this.partitions += partitions.size;
  }

  /** Compares rows of a partition with those of the target that have their keys; `seen` collects these keys. */
  async part(rows: readonly ScannedRow[], seen: RangeDigester): Promise<void> {
    const { target } = this.#parts;
    for (let at = 0; at < rows.length; at += KEYS_AT_ONCE) {
      const taken = this.rows.source(rows.slice(at, at + KEYS_AT_ONCE));
      for (const row of await target.byKeys([...taken.values()].map(({ row: { key } }) => key))) {
        const encoded = this.rows.target(row);
        const source = taken.get(encoded.key);
        seen.add(digestOfKey(row.key));
        if (source !== undefined) this.#judgeMet(source, row, encoded);
      }
      this.#judgeMissing(taken);
    }
  }

  /**
   * The rows that the target has of a range beside those that were seen. Their keys are held by nobody: digests tell
   * whether there are any, and only then each row of the range is asked for in the source.
   */
  async rest(range: TokenRange, seen: RangeDigest, signal: AbortSignal): Promise<void> {
    const { readSource } = this.#parts;
    const all = new RangeDigester();
    for await (const page of this.#rangeOfTarget(range, signal)) {
      for (const row of page) {
        this.rows.countTarget(row, this.rows.target(row));
        all.add(digestOfKey(row.key));
      }
    }
    if (sameDigest(all.digest(), seen)) return;
    for await (const page of this.#rangeOfTarget(range, signal)) {
      const answers = await readSource(
        page.map(({ key }) => key),
        signal,
      );
      for (const [i, row] of page.entries()) {
        if ((answers[i] ?? null) === null && isPresent(row, this.#parts.nowUs())) this.judge(row.key, null, row);
      }
    }
  }
}

function digestOfKey(key: RowKey): RowDigest {
  return digestOfRow([], { key: key.values, values: [], expiring: [] });
}

/** Partitions of a slice. Their rows mostly stand together. */
class Partitions {
  readonly #keys = new Set<string>();
  #last: string | null = null;

  add(key: string): void {
    if (key !== this.#last) this.#keys.add(key);
    this.#last = key;
  }

  get size(): number {
    return this.#keys.size;
  }
}

/** Rejects where a side can't be read; then nothing is known of the range. */
export async function compareRange(
  parts: RangeParts,
  range: TokenRange,
  depth: Depth,
  onSuspect: OnSuspect,
  signal: AbortSignal,
): Promise<RangeAccount> {
  const comparison = new RangeComparison(parts, depth, onSuspect);
  let seen = new RangeDigester();
  const onPage = (page: SourcePage): void => {
    comparison.onPage(page);
  };
  const pages = readAhead(parts.scanSource(range, signal));
  for await (const slice of sourceSlices(pages, range, onPage, parts.maxHeldRows)) {
    if (slice.kind === 'whole') {
      await comparison.whole(slice.range, slice.rows, signal);
      continue;
    }
    await comparison.part(slice.rows, seen);
    if (slice.last) {
      comparison.partitions += 1;
      await comparison.rest({ after: slice.token - 1n, upTo: slice.token }, seen.digest(), signal);
      seen = new RangeDigester();
    }
  }
  return accountOf(range, comparison);
}

/**
 * The same where the target has no tokens: each row of the source is asked for there by its key, and behind that what the
 * target has beside them. The range is the whole ring.
 */
export async function compareByKey(
  parts: RangeParts,
  range: TokenRange,
  depth: Depth,
  onSuspect: OnSuspect,
  signal: AbortSignal,
): Promise<RangeAccount> {
  const comparison = new RangeComparison(parts, depth, onSuspect);
  const seen = new RangeDigester();
  for await (const page of parts.scanSource(range, signal)) {
    comparison.onPage(page);
    await comparison.part(page.rows, seen);
  }
  await comparison.rest(range, seen.digest(), signal);
  return accountOf(range, comparison);
}

function accountOf(range: TokenRange, comparison: RangeComparison): RangeAccount {
  const { rows, compared, partitions, suspects, unread } = comparison;
  return {
    range,
    sourceRows: rows.sourceRows,
    targetRows: rows.targetRows,
    compared,
    partitions,
    suspects,
    unreadable: rows.unreadable,
    unread,
    sourceDigest: rows.sourceDigest.digest(),
    targetDigest: rows.targetDigest.digest(),
  };
}
