/**
 * The rows of a source table by token, with the write times and expiries of their cells: what backfill merges and what
 * comparisons compare. Types first; the reading itself is `scanRows` below.
 */
import type { Cells, RowKey } from '../change/change-event.ts';
import type { LockstepError } from '../shared/errors.ts';

/** Tokens `after` < token ≤ `upTo`. The whole ring is WHOLE_RING. */
export interface TokenRange {
  readonly after: bigint;
  readonly upTo: bigint;
}

/** Everything up to and including this was read; order is by token, then as the source orders partitions and rows. */
export interface ScanPosition {
  readonly token: bigint;
  /** Bytes of the key of the last row read. Null: every partition of the token was read whole. */
  readonly key: readonly Buffer[] | null;
}

/** A row of the source; `cells` by position in `Table.regular`, null where there is no value. It is a `SourceRow`. */
export interface ScannedRow {
  readonly key: RowKey;
  readonly token: bigint;
  readonly cells: Cells;
}

/** A row that can't be read exactly: bytes that are no value of their column's type. */
export interface UnreadableRow {
  /** Null where the key itself can't be read. */
  readonly key: RowKey | null;
  readonly token: bigint;
  readonly error: LockstepError;
}

export interface ScanPage {
  /** A scan `from` here goes on behind this page. */
  readonly position: ScanPosition;
  readonly rows: readonly ScannedRow[];
  readonly unreadable: readonly UnreadableRow[];
  /** Bytes of the answer's values. */
  readonly bytes: number;
}
