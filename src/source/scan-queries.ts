/** The CQL of a scan: one list of columns, read in stretches. Pure. */
import type { Column, Table } from '../catalog/table.ts';
import { serialisePartitionKey } from '../change/token.ts';
import { cutValues } from './clustering-middle.ts';
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
  /** Set where the stretch is a slice of a partition, or of all partitions of a token. */
  readonly slice: Slice | null;
}

/** Rows of a partition by one of its clustering columns, in the order of the scan. */
export interface Slice {
  /** Bytes of the partition's key; of a token whose partitions are not known, the token. */
  readonly of: readonly Buffer[] | bigint;
  /** Values of the clustering columns in front of the cut one. */
  readonly fixed: readonly Buffer[];
  /** Behind this value of the next clustering column, up to and including the other; null bounds are open. */
  readonly behind: Buffer | null;
  readonly upTo: Buffer | null;
  /** The token that was cut, not only a partition: its partitions are not read one behind the other. */
  readonly ofToken: boolean;
  /** Partitions of the token that are read elsewhere, as serialised keys: these, and all up to the other. */
  readonly without: readonly Buffer[];
  readonly behindPartition: Buffer | null;
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
    slice: null,
  };
}

/** One token: where several partitions share it, they come in the order of a scan. */
export function partitionsAt(table: Table, token: bigint): Stretch {
  return { where: `WHERE ${tokenOf(table)} = ?`, params: [int64(token)], tokens: null, slice: null };
}

/** One partition. */
export function partition(table: Table, key: readonly Buffer[]): Stretch {
  return sliceOf(table, whole(key));
}

const width = (table: Table): number => table.partitionKey.length;

/** All of a partition, or of a token. */
const whole = (of: Slice['of']): Slice => ({
  of,
  fixed: [],
  behind: null,
  upTo: null,
  ofToken: typeof of === 'bigint',
  without: [],
  behindPartition: null,
});

/** What a token has behind a partition, where its partitions can't be listed; null where it can't be cut. */
export function tokenBehind(table: Table, token: bigint, own: Uint8Array): Stretch | null {
  if (table.clustering.length === 0 || table.ofStatics === true) return null;
  return sliceOf(table, { ...whole(token), behindPartition: Buffer.from(own) });
}

/**
 * What of a partition stands behind a row, in the order of the scan: for each clustering column, last one first, the rows
 * that share the columns before it. One comparison of tuples would be by values, which is not the table's order where some
 * columns are ascending and some descending.
 */
export function behindRow(table: Table, key: readonly Buffer[]): readonly Stretch[] {
  return behindRowIn(table, whole(key), key);
}

/** As `behindRow`, within a slice that holds the row. */
function behindRowIn(table: Table, slice: Slice, key: readonly Buffer[]): readonly Stretch[] {
  const values = key.slice(width(table));
  return values
    .map((behind, i) => ({
      ...whole(key.slice(0, width(table))),
      fixed: values.slice(0, i),
      behind,
      upTo: i === slice.fixed.length ? slice.upTo : null,
      ofToken: slice.ofToken,
    }))
    .slice(slice.fixed.length)
    .reverse()
    .map((each) => sliceOf(table, each));
}

function sliceOf(table: Table, slice: Slice): Stretch {
  const clustering = names(table.clustering);
  const { fixed, behind, upTo } = slice;
  const own =
    typeof slice.of === 'bigint' ? [`${tokenOf(table)} = ?`] : names(table.partitionKey).map((name) => `${name} = ?`);
  const descending = table.clustering[fixed.length]?.descending === true;
  const cut = clustering[fixed.length] ?? '';
  const bounds = [
    ...(behind === null ? [] : [`${cut} ${descending ? '<' : '>'} ?`]),
    ...(upTo === null ? [] : [`${cut} ${descending ? '>=' : '<='} ?`]),
  ];
  const conditions = [...own, ...clustering.slice(0, fixed.length).map((name) => `${name} = ?`), ...bounds];
  const filtering = typeof slice.of === 'bigint' && conditions.length > 1 ? ' ALLOW FILTERING' : '';
  return {
    where: `WHERE ${conditions.join(' AND ')}${filtering}`,
    params: [
      ...(typeof slice.of === 'bigint' ? [int64(slice.of)] : slice.of.slice(0, width(table))),
      ...fixed,
      ...(behind === null ? [] : [behind]),
      ...(upTo === null ? [] : [upTo]),
    ],
    tokens: null,
    slice,
  };
}

/**
 * A stretch of which nothing can be read, as smaller ones; null where there are none. A single token is cut by its
 * clustering columns: Cassandra reads such slices without walking over what lies beside them.
 */
export function cutInTwo(table: Table, { tokens, slice }: Stretch): readonly Stretch[] | null {
  if (tokens !== null) {
    const { after, upTo } = tokens;
    if (upTo - after > 1n) {
      const middle = after + (upTo - after) / 2n;
      return [tokensBetween(table, after, middle), tokensBetween(table, middle, upTo)];
    }
    return cutSlice(table, whole(upTo));
  }
  return slice === null ? null : cutSlice(table, slice);
}

function cutSlice(table: Table, slice: Slice): readonly Stretch[] | null {
  const column = table.clustering[slice.fixed.length];
  if (column === undefined || table.ofStatics === true) return null;
  const cut = cutValues(column.type, column.descending, slice.behind, slice.upTo);
  if (cut === null) return null;
  if (cut.kind === 'middle') {
    return [sliceOf(table, { ...slice, upTo: cut.value }), sliceOf(table, { ...slice, behind: cut.value })];
  }
  const fixed = [...slice.fixed, ...(slice.upTo === null ? [] : [slice.upTo])];
  return cutSlice(table, { ...slice, fixed, behind: null, upTo: null });
}

/**
 * What is left of a slice behind a row of it. Where the slice is of a token, the row's partition is known now, and others of
 * the token, if there are any, are read by themselves.
 */
export function restOfSlice(table: Table, slice: Slice, key: readonly Buffer[]): readonly Stretch[] {
  const rest = behindRowIn(table, slice, key);
  if (typeof slice.of !== 'bigint') return rest;
  const own = Buffer.from(serialisePartitionKey(key.slice(0, width(table))));
  return [...rest, sliceOf(table, { ...slice, without: [...slice.without, own] })];
}
