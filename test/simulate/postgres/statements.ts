/**
 * The statements that the service sends, carried out on the simulated relations. Known by their name or their first words;
 * one that is not known is an error of the simulation, so that no statement of the door goes unsimulated.
 */
import type { BoundTable } from '../../../src/target/bound-table.ts';
import { controlStatements } from './control-statements.ts';
import type { LockRequest } from './locks.ts';
import { compilePredicate } from './predicate.ts';
import type { TargetRow, Transaction } from './relations.ts';
import { rereadStatements, ties } from './reread-statements.ts';
import { shardStatements } from './shard-statements.ts';
import { keysFrom, printedImage, rowsFrom, targetKey, upserted } from './row-statements.ts';

export type Line = (string | null)[];

export interface Result {
  readonly rows: Line[];
  readonly rowCount: number;
  readonly command: string;
}

export interface SentStatement {
  readonly name?: string;
  readonly text: string;
  readonly values: readonly unknown[];
}

/** A statement whose snapshot is taken: what it locks, one after the other, and what it does when it has all of it. */
export interface Prepared {
  readonly locks: readonly LockRequest[];
  readonly run: () => Result;
}

export interface StatementContext {
  readonly table: BoundTable;
  readonly startedAt: number;
  /** clock_timestamp(), seconds since the epoch: no two statements have the same. */
  readonly now: () => number;
  /** Throws as a CHECK of the target does. */
  readonly check: (row: TargetRow) => void;
}

/** A statement by its first words. */
export interface KnownStatement {
  readonly begins: RegExp;
  readonly handler: Handler;
}

export type Handler = (tx: Transaction, values: readonly unknown[], context: StatementContext) => Prepared;

export function selected(rows: Line[]): Result {
  return { rows, rowCount: rows.length, command: 'SELECT' };
}

export function done(command: string, rowCount: number): Result {
  return { rows: [], rowCount, command };
}

export function lockOf(relation: { readonly name: string }, key: string): LockRequest {
  return { name: `${relation.name}:${key}`, mode: 'exclusive' };
}

export function immediately(run: Prepared['run']): Prepared {
  return { locks: [], run };
}

function rowLock(tx: Transaction, key: string): LockRequest {
  return lockOf(tx.storage.target, key);
}

const lockImages: Handler = (tx, values) => {
  const { target } = tx.storage;
  const keys = keysFrom(values).map(targetKey);
  // The snapshot is the statement's; a row that is locked by another is read again when it is free.
  const seen = keys.flatMap((key, i) => (tx.get(target, key) === null ? [] : [[key, i + 1] as const]));
  return {
    locks: seen.map(([key]) => rowLock(tx, key)),
    run: () =>
      selected(
        seen.flatMap(([key, n]): Line[] => {
          const row = tx.get(target, key);
          return row === null ? [] : [[String(n), ...printedImage(row)]];
        }),
      ),
  };
};

const remove: Handler = (tx, values) => {
  const { target } = tx.storage;
  const keys = keysFrom(values)
    .map(targetKey)
    .filter((key) => tx.get(target, key) !== null);
  return {
    locks: keys.map((key) => rowLock(tx, key)),
    run: () => {
      const present = keys.filter((key) => tx.get(target, key) !== null);
      for (const key of present) tx.put(target, key, null);
      return done('DELETE', present.length);
    },
  };
};

const replace: Handler = (tx, values, { table, check }) => {
  const { target } = tx.storage;
  const rows = rowsFrom(table, values).filter((row) => tx.get(target, targetKey(row.key)) !== null);
  return {
    locks: rows.map((row) => rowLock(tx, targetKey(row.key))),
    run: () => {
      let count = 0;
      for (const row of rows) {
        const key = targetKey(row.key);
        const stored = tx.get(target, key);
        if (stored === null) continue;
        check(row);
        tx.put(target, key, { ...row, order: stored.order });
        count += 1;
      }
      return done('UPDATE', count);
    },
  };
};

const upsert: Handler = (tx, values, { table, check }) => {
  const { target } = tx.storage;
  const rows = rowsFrom(table, values);
  return {
    locks: rows.map((row) => rowLock(tx, targetKey(row.key))),
    run: () => {
      let count = 0;
      const mine = new Set<string>();
      for (const row of rows) {
        const key = targetKey(row.key);
        if (mine.has(key)) throw Object.assign(new Error('a row affected a second time'), { code: '21000' });
        mine.add(key);
        // PostgreSQL checks the row that is proposed, and then the one that it becomes.
        check(row);
        const stored = tx.get(target, key);
        const after = stored === null ? row : upserted(table, row, stored);
        if (after === null) continue;
        check(after);
        tx.put(target, key, after);
        count += 1;
      }
      return done('INSERT', count);
    },
  };
};

function columnReader(table: BoundTable): (name: string) => (row: TargetRow) => string {
  return (name) => {
    if (name === '_cdc_order') return (row) => row.order ?? '';
    const at = table.keys.findIndex(({ column }) => column.target === name);
    if (at < 0) throw new Error(`no key column ${name}`);
    return (row) => row.key[at]!;
  };
}

type RowTest = (row: TargetRow, values: readonly string[]) => boolean;
const predicates = new Map<string, RowTest>();

function predicateOf(table: BoundTable, sql: string): RowTest {
  const name = `${table.table.name} ${sql}`;
  let predicate = predicates.get(name);
  if (predicate === undefined) {
    predicate = compilePredicate(sql, columnReader(table));
    predicates.set(name, predicate);
  }
  return predicate;
}

const COVERED =
  /SELECT t\.ctid FROM \S+ AS t WHERE ([^]*?) AND \$(\d+)::bigint >= ALL \(t\._cdc_versions\) LIMIT (\d+)/;
const PARTLY =
  /AS t\s+WHERE ([^]*?) AND EXISTS \(SELECT 1 FROM \(SELECT v FROM unnest\(t\._cdc_versions\) AS v\) AS times\s+WHERE v <= \$(\d+)::bigint AND v > '-9223372036854775808'::bigint\) LIMIT (\d+)/;
const NEVER = -(2n ** 63n);

/** `deleteCovered`: the rows of a range all of whose write times lie at or below the tombstone. */
function deleteCovered(text: string): Handler {
  const [, sql, timeAt, limit] = COVERED.exec(text)!;
  return (tx, values, { table }) => {
    const { target } = tx.storage;
    const inRange = predicateOf(table, sql!);
    const time = BigInt(values[Number(timeAt) - 1] as string);
    const matches = (row: TargetRow): boolean =>
      inRange(row, values as string[]) && row.versions.every((version) => time >= version);
    const seen = tx
      .scan(target)
      .filter(([, row]) => matches(row))
      .slice(0, Number(limit));
    return {
      locks: seen.map(([key]) => rowLock(tx, key)),
      run: () => {
        // A row that was written while its lock was waited for has another ctid, which the outer scan can't see.
        const unchanged = seen.filter(([key, row]) => tx.get(target, key) === row);
        for (const [key] of unchanged) tx.put(target, key, null);
        return done('DELETE', unchanged.length);
      },
    };
  };
}

/** The selection of `coverPartly`, with and without lock. */
function selectPartly(text: string): Handler {
  const [, sql, timeAt, limit] = PARTLY.exec(text)!;
  const locking = text.trimEnd().endsWith('FOR UPDATE');
  return (tx, values, { table }) => {
    const { target } = tx.storage;
    const inRange = predicateOf(table, sql!);
    const time = BigInt(values[Number(timeAt) - 1] as string);
    const matches = (row: TargetRow): boolean =>
      inRange(row, values as string[]) && row.versions.some((version) => version <= time && version > NEVER);
    const keys = tx
      .scan(target)
      .filter(([, row]) => matches(row))
      .slice(0, Number(limit))
      .map(([key]) => key);
    return {
      locks: locking ? keys.map((key) => rowLock(tx, key)) : [],
      run: () =>
        selected(
          keys.flatMap((key): Line[] => {
            const row = tx.get(target, key);
            return row === null || !matches(row) ? [] : [[...row.key, ...printedImage(row)]];
          }),
        ),
    };
  };
}

const named = new Map<string, Handler>([
  ['images', lockImages],
  ['remove', remove],
  ['replace', replace],
  ['ties', ties],
  ['upsert', upsert],
]);
const byText = new Map<string, Handler>();

function find({ name, text }: SentStatement): Handler {
  // Another statement than the one that removes rows of the target.
  const row = name === undefined || name === 'remove-rereads' ? undefined : named.get(name.slice(0, name.indexOf('-')));
  if (row !== undefined) return row;
  if (COVERED.test(text)) return deleteCovered(text);
  if (PARTLY.test(text)) return selectPartly(text);
  const control = [...controlStatements, ...rereadStatements, ...shardStatements].find(({ begins }) =>
    begins.test(text),
  );
  if (control === undefined) throw new Error(`the simulation does not know this statement: ${text}`);
  return control.handler;
}

export function prepare(tx: Transaction, statement: SentStatement, context: StatementContext): Prepared {
  let handler = byText.get(statement.text);
  if (handler === undefined) {
    handler = find(statement);
    byText.set(statement.text, handler);
  }
  return handler(tx, statement.values, context);
}
