/**
 * The target's side of a comparison: images of rows by token, page by page. Keyset paging on (token, key) walks the index
 * that `schema apply` makes, so that resuming inside a partition of 300k rows costs as much as anywhere else, and no
 * snapshot is held between pages. Nothing is locked: what moves meanwhile is looked at again.
 */
import pg, { type Pool } from 'pg';
import { rowKey, type RowKey } from '../../change/change-event.ts';
import { UNKNOWN_MARKER, type RowState } from '../../change/row-state.ts';
import type { TokenRange } from '../../change/token-range.ts';
import type { BoundTable } from '../bound-table.ts';
import { classifyPostgresError } from '../postgres-errors.ts';
import { imageFrom, keyParameters, valuesFrom } from '../row-codec.ts';
import { arrayTypeOf, quoteIdentifier } from '../sql-text.ts';
import { withClient } from '../transaction.ts';
import { copyRows, type CopiedRows } from './copied-rows.ts';

/** Rows of one page: what a page of the source holds, and a little that only the target has. With wide rows some megabytes. */
export const TARGET_PAGE_ROWS = 4_500;

/** A row as it stands in the target, expired values that were not swept yet included. */
export interface StoredRow {
  /** What the bookkeeping says: a value without a write time is not in it. */
  readonly state: RowState;
  /** What stands in the columns, as canonical text, by position in `Table.regular`. */
  readonly values: readonly (string | null)[];
}

export interface TargetRow extends StoredRow {
  /** null where the row was written past the door, or the token of its key type is not known. */
  readonly token: bigint | null;
  readonly key: RowKey;
  /** As PostgreSQL sent it, where a scan by token gave it. */
  readonly line?: StoredLine;
}

/** A row of which nothing was read yet: its keys, regular columns, then bookkeeping. */
export interface StoredLine {
  readonly rows: CopiedRows;
  readonly index: number;
  /** Nothing in it expires: the target shows the row, and all that stands in its columns, at any moment. */
  readonly lasts: boolean;
}

/** Versions, expiries, token. */
const BOOKKEEPING_COLUMNS = 3;

/** Expiries of a row in which none passes: an unknown marker (of rows that were read from the source) stays. */
const NO_EXPIRIES = new RegExp(`^\\{(?:NULL|${UNKNOWN_MARKER})?(?:,NULL)*\\}$`);

/** A row that is read when somebody looks at it: of most the line tells enough. */
class UnreadTargetRow implements TargetRow {
  readonly line: StoredLine;
  readonly #table: BoundTable;
  #key: RowKey | null = null;
  #state: RowState | null = null;
  #values: readonly (string | null)[] | null = null;
  #allTexts: readonly (string | null)[] | null = null;

  constructor(table: BoundTable, rows: CopiedRows, index: number) {
    this.#table = table;
    const expiries = rows.text(index, table.keys.length + table.regular.length + 1);
    this.line = { rows, index, lasts: expiries === null || NO_EXPIRIES.test(expiries) };
  }

  get token(): bigint | null {
    const { keys, regular } = this.#table;
    const token = this.#text(keys.length + regular.length + 2);
    return token === null ? null : BigInt(token);
  }

  get key(): RowKey {
    return (this.#key ??= rowKey(this.#table.keys.map(({ mapping }, i) => mapping.fromTarget(this.#text(i) ?? ''))));
  }

  get state(): RowState {
    return (this.#state ??= imageFrom(this.#table, this.#texts(), this.#table.keys.length));
  }

  get values(): readonly (string | null)[] {
    return (this.#values ??= valuesFrom(this.#table, this.#texts(), this.#table.keys.length));
  }

  #text(column: number): string | null {
    return this.line.rows.text(this.line.index, column);
  }

  #texts(): readonly (string | null)[] {
    return (this.#allTexts ??= this.line.rows.texts(this.line.index));
  }
}

/** Values stand in them as literals: what is copied takes no parameters. Keys are as the target stores them. */
interface Statements {
  readonly ranges: Readonly<
    Record<
      Bookkeeping,
      {
        readonly first: (range: TokenRange) => string;
        readonly next: (upTo: bigint, token: bigint, key: readonly string[]) => string;
      }
    >
  >;
  readonly tokenless: { readonly first: string; readonly next: (key: readonly string[]) => string };
  /** @param keys One array of all keys' values for each key column. */
  readonly byKeys: (keys: readonly string[]) => string;
}

/** Literals of values, each of its type. */
function literals(types: readonly string[], values: readonly string[]): string {
  return types.map((type, i) => `${pg.escapeLiteral(values[i] ?? '')}::${type}`).join(', ');
}

/** Quoted: a minus in front would be applied behind the cast. */
const bigint = (value: bigint): string => `'${value}'::bigint`;

/**
 * Which rows of a range come with their write times and expiries: `all`, or only those in which something `expires`. To
 * print them took PostgreSQL 1.4 of the 3.7 µs of CPU that a row of nine columns costs it, and where nothing expires a row
 * shows the same without them; its `state` is then empty.
 */
export type Bookkeeping = 'all' | 'where something expires';

/** Null in place of bookkeeping that says that nothing expires: no expiries, or those of a row read from the source. */
function leftOut(slots: number, column: string): string {
  const unknownOnly = [String(UNKNOWN_MARKER), ...new Array<string>(slots - 1).fill('NULL')].join(',');
  return `CASE WHEN t._cdc_expiries IS NULL OR t._cdc_expiries = '{${unknownOnly}}'::bigint[] THEN NULL ELSE t.${column} END`;
}

function statementsOf(table: BoundTable, pageRows: number): Statements {
  const keys = table.keys.map(({ column }) => quoteIdentifier(column.target));
  const images = [
    ...table.regular.map(({ column }) => quoteIdentifier(column.target)),
    '_cdc_versions',
    '_cdc_expiries',
  ];
  const columns = (alias: string): string =>
    [...keys, ...images, '_cdc_token'].map((name) => `${alias}.${name}`).join(', ');
  const select = `SELECT ${columns('t')} FROM ${table.target} AS t`;
  const order = `ORDER BY t._cdc_token, ${keys.map((key) => `t.${key}`).join(', ')} LIMIT ${pageRows}`;
  const keyTypes = table.keys.map(({ column }) => column.targetType);
  const keyList = keys.map((key) => `t.${key}`).join(', ');
  const rangeOf = (selected: string): Statements['ranges'][Bookkeeping] => ({
    first: ({ after, upTo }) =>
      `${selected} WHERE t._cdc_token > ${bigint(after)} AND t._cdc_token <= ${bigint(upTo)} ${order}`,
    next: (upTo, token, key) =>
      `${selected} WHERE (t._cdc_token, ${keyList}) > (${bigint(token)}, ${literals(keyTypes, key)})
         AND t._cdc_token <= ${bigint(upTo)} ${order}`,
  });
  const shown = [...keys, ...table.regular.map(({ column }) => quoteIdentifier(column.target))].map(
    (name) => `t.${name}`,
  );
  const expiring = ['_cdc_versions', '_cdc_expiries'].map((name) => leftOut(table.slots, name));
  const arrays = table.keys.map(({ column }) => arrayTypeOf(column.targetType));
  return {
    ranges: {
      all: rangeOf(select),
      'where something expires': rangeOf(
        `SELECT ${[...shown, ...expiring, 't._cdc_token'].join(', ')} FROM ${table.target} AS t`,
      ),
    },
    tokenless: {
      first: `${select} WHERE t._cdc_token IS NULL ${order}`,
      next: (key) => `${select} WHERE t._cdc_token IS NULL AND (${keyList}) > (${literals(keyTypes, key)}) ${order}`,
    },
    byKeys: (values) => `SELECT ${columns('t')}
      FROM unnest(${literals(arrays, values)}) AS r(${keys.join(', ')})
      JOIN ${table.target} AS t ON ${keys.map((key) => `t.${key} = r.${key}`).join(' AND ')}`,
  };
}

/** Reads the rows of one table, as it is bound at the moment. Methods reject with a classified LockstepError. */
export class TokenScan {
  readonly #pool: Pool;
  readonly #table: BoundTable;
  readonly #statements: Statements;
  readonly #pageRows: number;

  constructor(pool: Pool, table: BoundTable, pageRows = TARGET_PAGE_ROWS) {
    this.#pool = pool;
    this.#table = table;
    this.#pageRows = pageRows;
    this.#statements = statementsOf(table, pageRows);
  }

  /** Pages of the rows whose token is in the range, in the order of (token, key). */
  async *range(
    range: TokenRange,
    signal: AbortSignal,
    bookkeeping: Bookkeeping = 'all',
  ): AsyncGenerator<readonly TargetRow[]> {
    const { first, next } = this.#statements.ranges[bookkeeping];
    yield* this.#pages(first(range), (last) => next(range.upTo, last.token ?? range.after, this.#stored(last)), signal);
  }

  /**
   * Pages of rows without a token, in the order of their keys: somebody inserted them past the door, and no scan by token
   * would ever see them.
   */
  async *tokenless(signal: AbortSignal): AsyncGenerator<readonly TargetRow[]> {
    const { first, next } = this.#statements.tokenless;
    yield* this.#pages(first, (last) => next(this.#stored(last)), signal);
  }

  /** The rows that have one of the keys, in no order. */
  async byKeys(keys: readonly RowKey[]): Promise<readonly TargetRow[]> {
    if (keys.length === 0) return [];
    return this.#query(this.#statements.byKeys(keyParameters(this.#table, keys)));
  }

  /** PostgreSQL's guess at the number of rows, for planning only; null where the table was never analysed. */
  async estimatedRows(): Promise<number | null> {
    try {
      const { rows } = await this.#pool.query<{ n: string }>(
        'SELECT reltuples::bigint AS n FROM pg_class WHERE oid = $1::regclass',
        [this.#table.target],
      );
      const rowCount = Number(rows[0]?.n ?? -1);
      return rowCount < 0 ? null : rowCount;
    } catch (error) {
      throw classifyPostgresError(error, `estimating the size of ${this.#table.table.name}`);
    }
  }

  async *#pages(
    first: string,
    nextOf: (last: TargetRow) => string,
    signal: AbortSignal,
  ): AsyncGenerator<readonly TargetRow[]> {
    let select = first;
    for (;;) {
      signal.throwIfAborted();
      const page = await this.#query(select);
      if (page.length > 0) yield page;
      const last = page.at(-1);
      if (last === undefined || page.length < this.#pageRows) return;
      select = nextOf(last);
    }
  }

  /** Key values in the form that the target stores. */
  #stored({ key }: TargetRow): string[] {
    return this.#table.keys.map(({ mapping }, i) => mapping.toTarget(key.values[i] ?? ''));
  }

  async #query(select: string): Promise<readonly TargetRow[]> {
    const { keys, regular } = this.#table;
    const width = keys.length + regular.length + BOOKKEEPING_COLUMNS;
    try {
      const rows = await withClient(this.#pool, (client) => copyRows(client, select, width));
      return Array.from({ length: rows.length }, (_, index) => new UnreadTargetRow(this.#table, rows, index));
    } catch (error) {
      throw classifyPostgresError(error, `scanning ${this.#table.table.name}`);
    }
  }
}
