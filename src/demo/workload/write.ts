/** What the workload asks Cassandra to do: plain data, made by the shop's writers and carried out by the driver. */
import type { LoggedBound, LoggedChange } from '../../changelog.ts';
import { DESCENDING, KEYSPACE, SHOP_KEYS, type ShopTable } from '../shop/schema.ts';

/** One CQL statement, which is one change. Parameters are bound to a prepared statement; `undefined` leaves a column untouched. */
export interface Statement {
  readonly cql: string;
  readonly params: readonly unknown[];
  /** What it changes, for its entry in the changelog. */
  readonly change: LoggedChange;
  /** Where it names its write time itself, µs; null: it is written at the time of its request. */
  readonly timestampUs: bigint | null;
}

/**
 * One request: a logged batch with the entries of the changelog, so that these are there exactly if the data is.
 * Everything in it that names no time of its own is written at one time, which the writer gives, so that a request that is
 * sent again after a timeout is the same change.
 */
export interface Write {
  readonly statements: readonly Statement[];
  /** When what it writes for a short while is gone again: seconds after the write; null where nothing expires soon. */
  readonly expiresInSeconds: number | null;
}

/** How a statement is written. */
export interface Using {
  readonly ttlSeconds?: number;
  readonly timestampUs?: bigint;
}

type Columns = Readonly<Record<string, unknown>>;

function single(
  cql: string,
  params: readonly unknown[],
  change: LoggedChange,
  { ttlSeconds, timestampUs = null }: { readonly ttlSeconds?: number; readonly timestampUs?: bigint | null },
): Write {
  const isShort = ttlSeconds !== undefined && ttlSeconds <= SHORT_TTL_SECONDS;
  return { statements: [{ cql, params, change, timestampUs }], expiresInSeconds: isShort ? ttlSeconds : null };
}

/** Several statements in one batch; each must be of a row that no other statement of the batch touches. */
export function batchOf(writes: readonly Write[]): Write {
  const expiries = writes.flatMap((write) => (write.expiresInSeconds === null ? [] : [write.expiresInSeconds]));
  return {
    statements: writes.flatMap((write) => write.statements),
    expiresInSeconds: expiries.length === 0 ? null : Math.max(...expiries),
  };
}

const partitionNames = (table: ShopTable): string[] => Object.keys(SHOP_KEYS[table].partitionKey);
const clusteringNames = (table: ShopTable): string[] => Object.keys(SHOP_KEYS[table].clusteringKey ?? {});
const valuesOf = (names: readonly string[], of: Columns): unknown[] => names.map((name) => of[name]);
const ofRow = (table: ShopTable, kind: 'write' | 'row-delete', key: Columns): LoggedChange => ({
  table,
  kind,
  key: valuesOf([...partitionNames(table), ...clusteringNames(table)], key),
});

/** INSERT of the given columns. */
export function insert(table: ShopTable, columns: Columns, using: Using = {}): Write {
  const names = Object.keys(columns);
  const { clause, params } = usingClause(using);
  return single(
    `INSERT INTO ${KEYSPACE}.${table} (${names.join(', ')}) VALUES (${names.map(() => '?').join(', ')})${clause}`,
    [...Object.values(columns), ...params],
    ofRow(table, 'write', columns),
    using,
  );
}

/** UPDATE of the given columns of one row. */
export function update(table: ShopTable, key: Columns, columns: Columns, using: Using = {}): Write {
  const assignments = Object.entries(columns).map(([name, value]) => [`${name} = ?`, value] as const);
  return alter(table, key, Object.fromEntries(assignments), using);
}

/** UPDATE by assignments as CQL writes them, one parameter each: `tags = tags + ?`. */
export function alter(table: ShopTable, key: Columns, changes: Columns, using: Using = {}): Write {
  const { clause, params } = usingClause(using);
  return single(
    `UPDATE ${KEYSPACE}.${table}${clause} SET ${Object.keys(changes).join(', ')} WHERE ${conditions(key)}`,
    [...params, ...Object.values(changes), ...Object.values(key)],
    ofRow(table, 'write', key),
    using,
  );
}

/** DELETE where the columns have these values: a row, a partition, or a range by the prefix of a key. */
export function remove(table: ShopTable, where: Columns, using: Using = {}): Write {
  const key = valuesOf(partitionNames(table), where);
  const clustering = clusteringNames(table);
  const prefix = valuesOf(
    clustering.filter((name) => name in where),
    where,
  );
  const { clause, params } = usingClause(using);
  const cql = `DELETE FROM ${KEYSPACE}.${table}${clause} WHERE ${conditions(where)}`;
  const bound: LoggedBound = { values: prefix, inclusive: true };
  const change = (): LoggedChange => {
    if (prefix.length === clustering.length) return ofRow(table, 'row-delete', where);
    if (prefix.length === 0) return { table, kind: 'partition-delete', key };
    return { table, kind: 'range-delete', key, start: bound, end: bound };
  };
  return single(cql, [...params, ...Object.values(where)], change(), using);
}

/** A side of a range of one clustering column. */
export interface Side {
  readonly than: '<' | '<=' | '>' | '>=';
  readonly value: unknown;
}

/** DELETE of a range: the columns before `column` have these values. */
export function removeRange(
  table: ShopTable,
  where: Columns,
  column: string,
  sides: readonly Side[],
  using: Using = {},
): Write {
  const prefix = valuesOf(
    clusteringNames(table).filter((name) => name in where),
    where,
  );
  const bound = (signs: readonly string[]): LoggedBound => {
    const side = sides.find(({ than }) => signs.includes(than));
    if (side === undefined) return { values: prefix, inclusive: true };
    return { values: [...prefix, side.value], inclusive: side.than.endsWith('=') };
  };
  const [lower, upper] = [bound(['>', '>=']), bound(['<', '<='])];
  const [start, end] = DESCENDING.has(column) ? [upper, lower] : [lower, upper];
  const { clause, params } = usingClause(using);
  const range = sides.map(({ than }) => `${column} ${than} ?`);
  return single(
    `DELETE FROM ${KEYSPACE}.${table}${clause} WHERE ${[conditions(where), ...range].join(' AND ')}`,
    [...params, ...Object.values(where), ...sides.map(({ value }) => value)],
    { table, kind: 'range-delete', key: valuesOf(partitionNames(table), where), start, end },
    using,
  );
}

/** TTLs up to this are over before the proof begins; longer ones outlast it by far. There are none in between. */
export const SHORT_TTL_SECONDS = 10;

const conditions = (columns: Columns): string =>
  Object.keys(columns)
    .map((name) => `${name} = ?`)
    .join(' AND ');

function usingClause(using: Using): { clause: string; params: unknown[] } {
  const parts: string[] = [];
  const params: unknown[] = [];
  if (using.ttlSeconds !== undefined) {
    parts.push('TTL ?');
    params.push(using.ttlSeconds);
  }
  if (using.timestampUs !== undefined) {
    parts.push('TIMESTAMP ?');
    params.push(using.timestampUs);
  }
  return { clause: parts.length === 0 ? '' : ` USING ${parts.join(' AND ')}`, params };
}
