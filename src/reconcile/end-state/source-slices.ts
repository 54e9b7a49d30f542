/**
 * Cuts the source's pages into slices that the target can be asked for: all rows of a token interval or, where one
 * partition is larger than memory should hold, parts of one token. Nothing is assumed about the order of rows inside a
 * partition, so the target need not know the source's comparators.
 */
import type { Cells, RowKey } from '../../change/change-event.ts';
import type { PackedRow } from '../../change/packed-rows.ts';
import type { TokenRange } from '../../change/token-range.ts';
import type { LockstepError } from '../../shared/errors.ts';

/** A row of the source as a scan gives it. */
export interface ScannedRow {
  readonly key: RowKey;
  readonly token: bigint;
  readonly cells: Cells;
  /** As the source sent it, where nothing of it was read yet: `key` and `cells` throw where they can't be read exactly. */
  readonly packed?: PackedRow;
}

/** A page of a scan: rows in the order of their tokens. */
export interface SourcePage {
  readonly rows: readonly ScannedRow[];
  /** Rows that could not be read exactly; no key where even that could not be. */
  readonly unreadable: readonly { readonly key: RowKey | null; readonly token: bigint }[];
  /** Parts that the scan passed over: nothing is known of their rows. Left out: none. */
  readonly unread?: readonly { readonly where: string; readonly error: LockstepError }[];
  /** The scan has come to this token. */
  readonly upTo: bigint;
  /** Every partition of that token was read whole. */
  readonly whole: boolean;
}

export type SourceSlice =
  /** Every row of the interval. */
  | { readonly kind: 'whole'; readonly range: TokenRange; readonly rows: readonly ScannedRow[] }
  /** Some rows of one token; `last` with the last of them. */
  | { readonly kind: 'part'; readonly token: bigint; readonly rows: readonly ScannedRow[]; readonly last: boolean };

/** Rows of an unfinished partition that are held until its last page; a larger one is compared in parts. */
export const MAX_HELD_ROWS = 10_000;

/** Slices of the range, in order, without gap or overlap. `onPage` is told of every page first. */
export async function* sourceSlices(
  pages: AsyncIterable<SourcePage>,
  range: TokenRange,
  onPage: (page: SourcePage) => void = () => undefined,
  maxHeldRows = MAX_HELD_ROWS,
): AsyncGenerator<SourceSlice> {
  let after = range.after;
  let held: readonly ScannedRow[] = [];
  // The token that is being compared in parts.
  let wide: bigint | null = null;
  for await (const page of pages) {
    onPage(page);
    let { rows } = page;
    if (wide !== null) {
      const token = wide;
      const last = page.whole || page.upTo > token;
      yield { kind: 'part', token, rows: rows.filter((row) => row.token === token), last };
      rows = rows.filter((row) => row.token !== token);
      if (!last) continue;
      after = token;
      wide = null;
    }
    const pending = held.length === 0 ? rows : [...held, ...rows];
    const complete = page.whole ? page.upTo : page.upTo - 1n;
    held = page.whole ? [] : pending.filter((row) => row.token === page.upTo);
    if (complete > after) {
      yield { kind: 'whole', range: { after, upTo: complete }, rows: pending.filter((row) => row.token <= complete) };
      after = complete;
    }
    if (held.length > maxHeldRows) {
      wide = page.upTo;
      yield { kind: 'part', token: wide, rows: held, last: false };
      held = [];
    }
  }
  if (wide !== null) {
    yield { kind: 'part', token: wide, rows: [], last: true };
    after = wide;
  }
  if (after < range.upTo) yield { kind: 'whole', range: { after, upTo: range.upTo }, rows: held };
}
