import type { Bound, PartitionDelete, RangeDelete } from '../change/change-event.ts';
import type { BoundColumn, BoundTable } from './bound-table.ts';
import { arrayTypeOf, quoteIdentifier } from './sql-text.ts';

/** A WHERE clause with its parameters, numbered from $1. */
export interface Predicate {
  readonly sql: string;
  readonly values: readonly string[];
}

/** Collects parameters and hands out their placeholders. */
class Parameters {
  readonly values: string[] = [];

  of(column: BoundColumn, value: string): string {
    this.values.push(column.mapping.identity ? value : column.mapping.toTarget(value));
    return `$${this.values.length}::${arrayTypeOf(column.column.targetType).slice(0, -2)}`;
  }

  raw(value: string, type: string): string {
    this.values.push(value);
    return `$${this.values.length}::${type}`;
  }
}

/**
 * The rows beyond one bound, for clustering types whose order PostgreSQL shares: column by column, with the comparison
 * turned round for DESC. `(a > x) OR (a = x AND b > y) OR (a = x AND b = y)`, the last one where the bound includes.
 */
function beyond(
  columns: readonly BoundColumn[],
  alias: string,
  bound: Bound,
  side: 'start' | 'end',
  parameters: Parameters,
): string {
  const terms: string[] = [];
  const equals: string[] = [];
  for (const [i, value] of bound.values.entries()) {
    const column = columns[i];
    if (column === undefined) break;
    const name = `${alias}.${quoteIdentifier(column.column.target)}`;
    const greater = (side === 'start') !== column.column.descending;
    const parameter = parameters.of(column, value);
    terms.push([...equals, `${name} ${greater ? '>' : '<'} ${parameter}`].join(' AND '));
    equals.push(`${name} = ${parameter}`);
  }
  if (bound.inclusive) terms.push(equals.join(' AND '));
  return terms.map((term) => `(${term})`).join(' OR ');
}

/** The smallest byte string above everything that begins with `prefix`, or null where there is none. */
export function afterPrefix(prefix: Buffer): Buffer | null {
  for (let end = prefix.length; end > 0; end--) {
    const byte = prefix[end - 1] ?? 0xff;
    if (byte < 0xff) return Buffer.concat([prefix.subarray(0, end - 1), Buffer.from([byte + 1])]);
  }
  return null;
}

/** The same on `_cdc_order`, whose bytes are in the source's comparator order and self-delimiting. */
function beyondInBytes(
  table: BoundTable,
  alias: string,
  bound: Bound,
  side: 'start' | 'end',
  parameters: Parameters,
): string | null {
  const prefix = table.orderBytesOf(bound.values);
  // A start that includes its values and an end that excludes them cut before the prefix, the others after it.
  const cutsAfter = (side === 'start') !== bound.inclusive;
  const cut = cutsAfter ? afterPrefix(prefix) : prefix;
  if (cut === null) return side === 'start' ? 'false' : null;
  return `${alias}._cdc_order ${side === 'start' ? '>=' : '<'} ${parameters.raw(`\\x${cut.toString('hex')}`, 'bytea')}`;
}

/** The rows of the target that a partition or range delete covers, in the source's order and equality ⚠. */
export function rangePredicate(table: BoundTable, alias: string, change: PartitionDelete | RangeDelete): Predicate {
  const parameters = new Parameters();
  const partitionColumns = table.keys.slice(0, table.table.partitionKey.length);
  const clusteringColumns = table.keys.slice(table.table.partitionKey.length);
  const conditions = partitionColumns.map(
    (column, i) =>
      `${alias}.${quoteIdentifier(column.column.target)} = ${parameters.of(column, change.partition.values[i] ?? '')}`,
  );
  if (change.kind === 'range-delete') {
    for (const side of ['start', 'end'] as const) {
      const bound = change[side];
      if (bound.values.length === 0) continue;
      const condition = table.usesOrderColumn
        ? beyondInBytes(table, alias, bound, side, parameters)
        : `(${beyond(clusteringColumns, alias, bound, side, parameters)})`;
      if (condition !== null) conditions.push(condition);
    }
  }
  return { sql: conditions.join(' AND '), values: parameters.values };
}
