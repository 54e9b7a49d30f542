import type { WriteTime } from './write-time.ts';

/**
 * One column's content in a change or in a row. *Untouched* is the absence of a cell (`null` in `Cells`), the other
 * states are told apart by value and expiry:
 *
 * | value | expiry | state |
 * |---|---|---|
 * | text | null | live value |
 * | text | µs | value with expiry |
 * | null | null | tombstone |
 * | null | µs | a value whose expiry has passed and whose bytes were swept; merges like a value with expiry |
 */
export interface Cell {
  readonly writeTime: WriteTime;
  /** The value as canonical text of its source type (docs/type-mapping.md), or null. */
  readonly value: string | null;
  /** µs since the epoch at which the value stops being visible, or null where it never does. */
  readonly expiry: bigint | null;
  /**
   * Only of a multi-cell column of a table that is read again (`hint.ts`): the read that the value is from, or NO_READ
   * where a change only told that the column was written. Such a cell's write time is the newest event time.
   */
  readonly sequence?: ReadSequence;
}

/** Order of the source reads of a row, drawn from PostgreSQL between the last event served and the start of the read. */
export type ReadSequence = bigint;

/** The sequence of a multi-cell column that was written and not read yet. */
export const NO_READ: ReadSequence = 0n;

/** Cells by position in `Table.regular`; `null` = untouched. */
export type Cells = readonly (Cell | null)[];

/** The row marker (Cassandra: primary key liveness): INSERT makes one, UPDATE does not. */
export interface Marker {
  readonly writeTime: WriteTime;
  readonly expiry: bigint | null;
}

/** Key values as canonical text, in the order of the primary key (partition key columns, then clustering columns). */
export interface RowKey {
  readonly values: readonly string[];
  /** Injective text of `values`: what maps, the ledger's hash and the graveyard use. */
  readonly text: string;
}

/** One side of a range of clustering keys, in the source's comparator order. No values = unbounded. */
export interface Bound {
  /** A prefix of the clustering key, canonical text. */
  readonly values: readonly string[];
  readonly inclusive: boolean;
}

/**
 * Why a change can't be applied as it stands: the envelope lost part of its meaning (DESIGN §4). Such a change is
 * re-read from the source or, without one, dead-lettered with this reason; never guessed.
 */
export type Ambiguity = 'multi-cell-update' | 'duration' | 'marker-expiry-unknown' | 'delete-without-time';

/** The part of a change that only the source can tell: its row is read again after the rest was applied. */
export interface Hint {
  /** Positions in `Table.regular` of the columns that the change wrote and about which the read speaks. */
  readonly columns: readonly number[];
  /** The change wrote a row marker whose expiry is unknown, or a marker that is not to be believed (mode `reread`). */
  readonly marker: boolean;
}

interface ChangeBase {
  /** `keyspace.table` of the source. */
  readonly table: string;
  readonly writeTime: WriteTime;
  readonly ambiguity: Ambiguity | null;
  /** What of this change the source must be asked for; absent where the change says it all (`hint.ts`). */
  readonly hint?: Hint;
}

/** An insert or update of one row: a marker (inserts only) and the cells it wrote. */
export interface RowWrite extends ChangeBase {
  readonly kind: 'write';
  readonly key: RowKey;
  readonly marker: Marker | null;
  readonly cells: Cells;
}

export interface RowDelete extends ChangeBase {
  readonly kind: 'row-delete';
  readonly key: RowKey;
}

/** Deletes every row of a partition. `partition` holds the partition key's values only. */
export interface PartitionDelete extends ChangeBase {
  readonly kind: 'partition-delete';
  readonly partition: RowKey;
}

/** Deletes the rows of a partition between two bounds of the clustering key. */
export interface RangeDelete extends ChangeBase {
  readonly kind: 'range-delete';
  readonly partition: RowKey;
  readonly start: Bound;
  readonly end: Bound;
}

/** One decoded row-level change. Decoded once; nothing downstream looks at the envelope again. */
export type ChangeEvent = RowWrite | RowDelete | PartitionDelete | RangeDelete;

/** Injective, readable text of key values: a JSON array of strings. */
export function rowKey(values: readonly string[]): RowKey {
  return { values, text: JSON.stringify(values) };
}
