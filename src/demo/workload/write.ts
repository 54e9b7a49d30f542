/** What the workload asks Cassandra to do: plain data, made by the shop's writers and carried out by the driver. */

/** One CQL statement. Parameters are bound to a prepared statement; `undefined` leaves a column untouched. */
export interface Statement {
  readonly cql: string;
  readonly params: readonly unknown[];
}

/**
 * One request. Everything in it that carries no `USING TIMESTAMP` of its own is written at one time, which the writer
 * gives, so that a request that is sent again after a timeout is the same change.
 */
export interface Write {
  readonly statements: readonly Statement[];
  /** How several statements are sent; null for a single one. */
  readonly batch: 'logged' | 'unlogged' | null;
  /** Change events that it makes: one for each row written or deleted, range or partition deleted. */
  readonly changes: number;
  /** When what it writes for a short while is gone again: seconds after the write; null where nothing expires soon. */
  readonly expiresInSeconds: number | null;
}

/** A single statement that is one change. */
export function single(cql: string, params: readonly unknown[], expiresInSeconds: number | null = null): Write {
  return { statements: [{ cql, params }], batch: null, changes: 1, expiresInSeconds };
}

/** Several statements in one batch; each must be one change of a row that no other statement of the batch touches. */
export function batchOf(kind: 'logged' | 'unlogged', writes: readonly Write[]): Write {
  const expiries = writes.flatMap((write) => (write.expiresInSeconds === null ? [] : [write.expiresInSeconds]));
  return {
    statements: writes.flatMap((write) => write.statements),
    batch: kind,
    changes: writes.reduce((sum, write) => sum + write.changes, 0),
    expiresInSeconds: expiries.length === 0 ? null : Math.max(...expiries),
  };
}

/** INSERT of the given columns. */
export function insert(
  table: string,
  columns: Readonly<Record<string, unknown>>,
  using: { readonly ttlSeconds?: number; readonly timestampUs?: bigint } = {},
): Write {
  const names = Object.keys(columns);
  const { clause, params } = usingClause(using);
  return single(
    `INSERT INTO ${table} (${names.join(', ')}) VALUES (${names.map(() => '?').join(', ')})${clause}`,
    [...Object.values(columns), ...params],
    shortExpiry(using.ttlSeconds),
  );
}

/** UPDATE of the given columns of one row. */
export function update(
  table: string,
  key: Readonly<Record<string, unknown>>,
  columns: Readonly<Record<string, unknown>>,
  using: { readonly ttlSeconds?: number; readonly timestampUs?: bigint } = {},
): Write {
  const { clause, params } = usingClause(using);
  return single(
    `UPDATE ${table}${clause} SET ${assignments(columns)} WHERE ${conditions(key)}`,
    [...params, ...Object.values(columns), ...Object.values(key)],
    shortExpiry(using.ttlSeconds),
  );
}

/** UPDATE by assignments as CQL writes them, one parameter each: `tags = tags + ?`. */
export function alter(
  table: string,
  key: Readonly<Record<string, unknown>>,
  changes: Readonly<Record<string, unknown>>,
  using: { readonly timestampUs?: bigint } = {},
): Write {
  const { clause, params } = usingClause(using);
  return single(`UPDATE ${table}${clause} SET ${Object.keys(changes).join(', ')} WHERE ${conditions(key)}`, [
    ...params,
    ...Object.values(changes),
    ...Object.values(key),
  ]);
}

/** DELETE where the columns have these values: a row, or the prefix of a key. */
export function remove(
  table: string,
  where: Readonly<Record<string, unknown>>,
  using: { readonly timestampUs?: bigint } = {},
): Write {
  const { clause, params } = usingClause(using);
  return single(`DELETE FROM ${table}${clause} WHERE ${conditions(where)}`, [...params, ...Object.values(where)]);
}

/** TTLs up to this are over before the proof begins; longer ones outlast it by far. There are none in between. */
export const SHORT_TTL_SECONDS = 10;

const shortExpiry = (ttlSeconds: number | undefined): number | null =>
  ttlSeconds !== undefined && ttlSeconds <= SHORT_TTL_SECONDS ? ttlSeconds : null;

const assignments = (columns: Readonly<Record<string, unknown>>): string =>
  Object.keys(columns)
    .map((name) => `${name} = ?`)
    .join(', ');

const conditions = (columns: Readonly<Record<string, unknown>>): string =>
  Object.keys(columns)
    .map((name) => `${name} = ?`)
    .join(' AND ');

function usingClause(using: { readonly ttlSeconds?: number; readonly timestampUs?: bigint }): {
  clause: string;
  params: unknown[];
} {
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
