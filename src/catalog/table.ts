import type { CqlType } from '../change/source-type.ts';

export type ColumnKind = 'partition' | 'clustering' | 'regular' | 'static';

/** One source column and the target column that it is kept in. */
export interface Column {
  /** Name in the source. */
  readonly name: string;
  /** Name in the target. */
  readonly target: string;
  readonly kind: ColumnKind;
  /** Clustering order DESC. */
  readonly descending: boolean;
  readonly type: CqlType;
  /** PostgreSQL type as DDL text: `bigint`, `numeric`, `timestamp with time zone`, `jsonb` … */
  readonly targetType: string;
  /** NOT NULL in the target. Key columns always are. */
  readonly notNull: boolean;
  /**
   * Write time (µs) at and below which cells of this column are gone: a column of its name was dropped then and added
   * again later. Left out where that never happened.
   */
  readonly droppedAt?: bigint;
  /** Losses that the mapping allows by name, e.g. `sub-microsecond`; otherwise such values are refused. */
  readonly allowLoss: readonly string[];
}

/** What the configuration says about reading rows of a table again. */
export interface RereadSettings {
  readonly mode: 'apply' | 'reread';
  readonly existenceChecks: boolean;
}

/**
 * A source table bound to its target: the one description that decode, the door and the reconciler share.
 * Immutable; a schema change makes a new one. `regular` gives the positions of `Cells`.
 */
export interface Table {
  /** `keyspace.table` of the source. */
  readonly name: string;
  readonly keyspace: string;
  readonly sourceTable: string;
  readonly topic: string;
  readonly targetSchema: string;
  readonly targetTable: string;
  readonly partitionKey: readonly Column[];
  readonly clustering: readonly Column[];
  readonly regular: readonly Column[];
  readonly statics: readonly Column[];
  /** Source columns that the mapping leaves out: events carry them, the target does not. */
  readonly excluded?: readonly string[];
  /** Rows or cells of this table may carry a TTL (default_time_to_live > 0, or declared in the configuration). */
  readonly usesTtl: boolean;
  /** How rows are read again from the source (`rereadPolicy`); absent where there is no connection to it. */
  readonly rereads?: RereadSettings;
  /** Set where this is a table of static columns (`staticTable`): its rows are partitions of the source table. */
  readonly ofStatics?: true;
  /** Set where this is a table of counters (`bindCounters`): Lockstep compares it and never writes it. */
  readonly ofCounters?: true;
}

/** Partition key columns, then clustering columns: the order of `RowKey.values`. */
export function keyColumns(table: Table): readonly Column[] {
  return [...table.partitionKey, ...table.clustering];
}
