import { keyColumns, type Column, type Table } from '../../catalog/table.ts';
import { holdsDuration, isMultiCell } from '../../change/source-type.ts';
import { canonicalClustering } from '../../change/values/value-order.ts';
import { INT64_MAX, INT64_MIN } from '../../change/write-time.ts';
import { Refused, shown } from './codes.ts';
import { isObject, NEEDS_EXACT_READING, type Json, type JsonObject } from './json.ts';
import type { Reading, WireDecoder } from './wire-scalars.ts';
import { compileWire } from './wire-values.ts';

/** One column, compiled: everything that the loop over the cells of a record needs to know. */
export interface ColumnPlan {
  readonly name: string;
  /** `after.<name>`, for refusals. */
  readonly path: string;
  readonly role: 'partition' | 'clustering' | 'regular' | 'static' | 'excluded';
  /** Position in the primary key, or in `Table.regular`. */
  readonly index: number;
  readonly decode: WireDecoder;
  readonly multiCell: boolean;
  readonly duration: boolean;
  /** Cells at or below it belong to a column of this name that was dropped; null where there was none. */
  readonly floor: bigint | null;
}

export interface TablePlan {
  readonly table: Table;
  readonly columns: ReadonlyMap<string, ColumnPlan>;
  /** Partition key, then clustering columns. */
  readonly keys: readonly ColumnPlan[];
  readonly partitionKeys: readonly ColumnPlan[];
  readonly clustering: readonly ColumnPlan[];
  /** A partition key of several columns, one of them a blob: composite-key.ts. */
  readonly blobInCompositeKey: boolean;
}

function compileColumn(column: Column, index: number): ColumnPlan {
  const { name, type } = column;
  const decode = compileWire(type);
  return {
    name,
    path: `after.${name}`,
    role: column.kind,
    index,
    // Cassandra keeps clustering 1.0 and 1.00 as one row: one text for both, or they would fold as two rows.
    decode:
      column.kind === 'clustering' ? (value, reading) => canonicalClustering(type, decode(value, reading)) : decode,
    multiCell: isMultiCell(type),
    duration: holdsDuration(type),
    floor: column.droppedAt ?? null,
  };
}

/** A column that the mapping leaves out: it may stand in a record, and says nothing. */
function excludedColumn(name: string, index: number): ColumnPlan {
  return {
    name,
    path: `after.${name}`,
    role: 'excluded',
    index,
    decode: () => '',
    multiCell: false,
    duration: false,
    floor: null,
  };
}

export function compileTable(table: Table): TablePlan {
  const keys = keyColumns(table).map(compileColumn);
  const all = [
    ...keys,
    ...table.regular.map(compileColumn),
    ...table.statics.map(compileColumn),
    ...(table.excluded ?? []).map(excludedColumn),
  ];
  return {
    table,
    columns: new Map(all.map((plan) => [plan.name, plan])),
    keys,
    partitionKeys: keys.slice(0, table.partitionKey.length),
    clustering: keys.slice(table.partitionKey.length),
    blobInCompositeKey:
      table.partitionKey.length > 1 &&
      table.partitionKey.some(({ type }) => type.kind === 'scalar' && type.name === 'blob'),
  };
}

/** Checks the form {value, deletion_ts, set} that every cell has. */
export function cellOf(value: Json, path: string): JsonObject {
  if (!isObject(value)) throw new Refused('BAD_CELL', path, `found ${shown(value)}`);
  if (value['value'] === undefined || value['deletion_ts'] === undefined || value['set'] !== true) {
    throw new Refused('BAD_CELL', path, `expected {value, deletion_ts, set: true}, found ${shown(value)}`);
  }
  return value;
}

/** A time in µs as it stands in the record, within int64. */
export function microseconds(value: Json, path: string, reading: Reading): bigint {
  if (typeof value === 'number') {
    if (Number.isSafeInteger(value)) return BigInt(value);
    if (!reading.exact && Number.isInteger(value)) throw NEEDS_EXACT_READING;
  } else if (typeof value === 'bigint') {
    if (value >= INT64_MIN && value <= INT64_MAX) return value;
    throw new Refused('VALUE_OUT_OF_RANGE', path, `${value} is no int64`);
  }
  throw new Refused('BAD_CELL', path, `${shown(value)} is no time in µs`);
}
