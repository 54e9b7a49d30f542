import type { Column, Table } from './table.ts';
import { keyColumns } from './table.ts';
import { fitsIdentifier, MAX_IDENTIFIER_BYTES } from './identifier.ts';
import { sameOrder } from './type-mapping.ts';
import { hash } from 'node:crypto';

/**
 * What Lockstep adds to a target table. Inline, because side tables measured 2 to 10 times slower. No index holds
 * versions or expiries: one that did would end HOT updates (measured 96 % → 0 %).
 */
export interface BookkeepingColumn {
  readonly name: string;
  readonly type: string;
  /** Behind the type in DDL. */
  readonly constraint: string;
}

export const VERSIONS_COLUMN: BookkeepingColumn = {
  name: '_cdc_versions',
  type: 'bigint[]',
  constraint: "NOT NULL DEFAULT '{}'",
};
export const EXPIRIES_COLUMN: BookkeepingColumn = { name: '_cdc_expiries', type: 'bigint[]', constraint: '' };
export const TOKEN_COLUMN: BookkeepingColumn = { name: '_cdc_token', type: 'bigint', constraint: '' };
export const ORDER_COLUMN: BookkeepingColumn = { name: '_cdc_order', type: 'bytea', constraint: '' };

/** Whether range deletes are evaluated on `_cdc_order`, because a clustering type's order is not PostgreSQL's. */
export function needsOrderColumn(table: Table): boolean {
  return table.clustering.some((column) => !sameOrder(column));
}

export interface IndexPlan {
  readonly name: string;
  readonly columns: readonly string[];
  /** What it is for, as a comment beside the DDL. */
  readonly why: string;
}

/** What a target table (main or static) must look like. */
export interface TargetPlan {
  readonly schema: string;
  readonly name: string;
  readonly key: readonly Column[];
  readonly values: readonly Column[];
  readonly bookkeeping: readonly BookkeepingColumn[];
  readonly indexes: readonly IndexPlan[];
}

/** A name that PostgreSQL would cut off gets a hash, so that two long tables don't share an index name. */
function indexName(table: string, suffix: string): string {
  const plain = `${table}_${suffix}`;
  if (fitsIdentifier(plain)) return plain;
  const tail = `_${hash('sha256', table, 'hex').slice(0, 8)}_${suffix}`;
  let head = table;
  while (Buffer.byteLength(head + tail, 'utf8') > MAX_IDENTIFIER_BYTES) head = Array.from(head).slice(0, -1).join('');
  return head + tail;
}

/** The target table of the rows. */
export function mainPlan(table: Table): TargetPlan {
  const key = keyColumns(table);
  const keyNames = key.map((column) => column.target);
  const ordered = needsOrderColumn(table);
  const indexes: IndexPlan[] = [
    {
      name: indexName(table.targetTable, 'cdc_token'),
      columns: [TOKEN_COLUMN.name, ...keyNames],
      why: 'scans by token range, resumable within a partition',
    },
  ];
  if (ordered) {
    indexes.push({
      name: indexName(table.targetTable, 'cdc_order'),
      columns: [...table.partitionKey.map((column) => column.target), ORDER_COLUMN.name],
      why: 'range deletes in the order of the source',
    });
  }
  return {
    schema: table.targetSchema,
    name: table.targetTable,
    key,
    values: table.regular,
    bookkeeping: [VERSIONS_COLUMN, EXPIRIES_COLUMN, TOKEN_COLUMN, ...(ordered ? [ORDER_COLUMN] : [])],
    indexes,
  };
}

/** The target table of the static columns, keyed by the partition key; null where there are none. */
export function staticPlan(table: Table, suffix: string): TargetPlan | null {
  if (table.statics.length === 0) return null;
  const name = table.targetTable + suffix;
  return {
    schema: table.targetSchema,
    name,
    key: table.partitionKey,
    values: table.statics,
    bookkeeping: [VERSIONS_COLUMN, EXPIRIES_COLUMN, TOKEN_COLUMN],
    indexes: [
      {
        name: indexName(name, 'cdc_token'),
        columns: [TOKEN_COLUMN.name, ...table.partitionKey.map((column) => column.target)],
        why: 'scans by token range',
      },
    ],
  };
}
