/** The CQL of a scan: one list of columns, read in stretches. Pure. */
import type { Column, Table } from '../catalog/table.ts';
import { RAW_ALIAS } from './raw-rows.ts';
import { quoted, readColumns, type ReadColumn } from './read-cells.ts';

/** Columns of the answer in front of the read ones: the key, the token, the coordinator's clock. */
export interface ScanQuery {
  /** `SELECT … FROM …`, to be followed by a condition. */
  readonly select: string;
  /** Partition keys alone, `SELECT DISTINCT … FROM …`. */
  readonly partitions: string;
  readonly tokenAt: number;
  /** `toUnixTimestamp(now())`, ms; the coordinator evaluates it after it has begun to read. */
  readonly clockAt: number;
  readonly columns: readonly ReadColumn[];
}

/** A part of a scan: a condition with its parameters. Several follow one another where a scan goes on within a partition. */
export interface Stretch {
  readonly where: string;
  readonly params: readonly Buffer[];
  /** Set where the stretch is a range of tokens, which may be cut into smaller ones. */
  readonly tokens: { readonly after: bigint; readonly upTo: bigint } | null;
}

const names = (columns: readonly Column[]): readonly string[] => columns.map((column) => quoted(column.name));

/** The driver tells columns apart by name: each has one of its own. */
function aliased(keys: readonly string[]): readonly string[] {
  return keys.map((name, i) => `${name} AS ${i === 0 ? RAW_ALIAS : `k${i}`}`);
}

function tokenOf(table: Table): string {
  return `token(${names(table.partitionKey).join(', ')})`;
}

export function scanQuery(table: Table): ScanQuery {
  const keys = [...table.partitionKey, ...table.clustering];
  const tokenAt = keys.length;
  const { selected, columns } = readColumns(table.regular, tokenAt + 2);
  const list = [
    ...aliased(names(keys)),
    `${tokenOf(table)} AS lockstep_token`,
    'toUnixTimestamp(now()) AS lockstep_clock',
    ...selected,
  ];
  const from = `FROM ${quoted(table.keyspace)}.${quoted(table.sourceTable)}`;
  return {
    // Static columns come with every row of their partition: DISTINCT reads them once.
    select: `SELECT ${table.ofStatics === true ? 'DISTINCT ' : ''}${list.join(', ')} ${from}`,
    partitions: `SELECT DISTINCT ${aliased(names(table.partitionKey)).join(', ')} ${from}`,
    tokenAt,
    clockAt: tokenAt + 1,
    columns,
  };
}

function int64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(value);
  return bytes;
}

/** The tokens of a range. */
export function tokensBetween(table: Table, after: bigint, upTo: bigint): Stretch {
  const token = tokenOf(table);
  return {
    where: `WHERE ${token} > ? AND ${token} <= ?`,
    params: [int64(after), int64(upTo)],
    tokens: { after, upTo },
  };
}

/** One token: where several partitions share it, they come in the order of a scan. */
export function partitionsAt(table: Table, token: bigint): Stretch {
  return { where: `WHERE ${tokenOf(table)} = ?`, params: [int64(token)], tokens: null };
}

/** One partition. */
export function partition(table: Table, key: readonly Buffer[]): Stretch {
  return {
    where: `WHERE ${names(table.partitionKey)
      .map((name) => `${name} = ?`)
      .join(' AND ')}`,
    params: key,
    tokens: null,
  };
}

/**
 * What of a partition stands behind a row, in the order of the scan: for each clustering column, last one first, the rows
 * that share the columns before it. One comparison of tuples would be by values, which is not the table's order where some
 * columns are ascending and some descending.
 */
export function behindRow(table: Table, key: readonly Buffer[]): readonly Stretch[] {
  const partitionNames = names(table.partitionKey);
  const clustering = names(table.clustering);
  const width = partitionNames.length;
  return clustering
    .map((name, i): Stretch => {
      const equal = [...partitionNames, ...clustering.slice(0, i)].map((column) => `${column} = ?`);
      const comparison = table.clustering[i]?.descending === true ? '<' : '>';
      return {
        where: `WHERE ${[...equal, `${name} ${comparison} ?`].join(' AND ')}`,
        params: key.slice(0, width + i + 1),
        tokens: null,
      };
    })
    .reverse();
}
