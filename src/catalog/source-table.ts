import type { CqlType } from '../change/source-type.ts';
import type { ColumnKind } from './table.ts';

/** One column as the source declares it. */
export interface SourceColumn {
  readonly name: string;
  readonly kind: ColumnKind;
  /** Position within its part of the primary key; 0 for other columns. */
  readonly position: number;
  /** Clustering order DESC. */
  readonly descending: boolean;
  readonly type: CqlType;
  /** The type as the source or the configuration writes it: `frozen<map<text, int>>`. */
  readonly typeText: string;
}

/** A column that the table no longer has. One of the same name added later starts with `droppedAt` as its floor. */
export interface DroppedColumn {
  readonly name: string;
  readonly kind: ColumnKind;
  readonly typeText: string;
  /** Write time (µs) at and below which cells of a column of this name are gone. */
  readonly droppedAt: bigint;
}

/**
 * A table as the source has it, before it is bound to a target: read from `system_schema`, or declared in the
 * configuration where there is no connection to the source.
 */
export interface SourceTable {
  readonly keyspace: string;
  readonly name: string;
  /** Cassandra's table ID; it changes when a table is dropped and created again. Null where the table is declared. */
  readonly id: string | null;
  readonly columns: readonly SourceColumn[];
  readonly droppedColumns: readonly DroppedColumn[];
  /** Seconds; 0 where rows don't expire by default. */
  readonly defaultTtlSeconds: number;
  /** Whether the commit log is captured (`WITH cdc = true`). Null where it is unknown because the table is declared. */
  readonly cdc: boolean | null;
  /** Why Lockstep can't follow this table at all (counters, a view, a virtual table …), or null. */
  readonly unsupported: UnsupportedTable | null;
}

/** What a table is that can't be followed, in words, with what to do instead. */
export interface UnsupportedTable {
  readonly what: string;
  readonly remedy: string;
}
