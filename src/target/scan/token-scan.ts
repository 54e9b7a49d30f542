/**
 * The target's side of a comparison: images of rows by token, page by page. Keyset paging on (token, key) walks the index
 * that `schema apply` makes, so that resuming inside a partition of 300k rows costs as much as anywhere else, and no
 * snapshot is held between pages. Nothing is locked: what moves meanwhile is looked at again.
 */
import type { Pool, PoolClient } from 'pg';
import { rowKey, type RowKey } from '../../change/change-event.ts';
import { UNKNOWN_MARKER, type RowState } from '../../change/row-state.ts';
import type { TokenRange } from '../../change/token-range.ts';
import type { BoundTable } from '../bound-table.ts';
import { classifyPostgresError } from '../postgres-errors.ts';
import { imageFrom, keyParameters, valuesFrom } from '../row-codec.ts';
import { arrayTypeOf, quoteIdentifier } from '../sql-text.ts';
import { copyRows, place, type CopiedRows } from './copied-rows.ts';

/** Rows of one page at most: what a page of the source holds, and a little that only the target has. */
export const TARGET_PAGE_ROWS = 4_500;
/** The first page asks for so many. */
const FIRST_ROWS = 512;
/** What a page weighs at most, by the rows before it. One that comes to so many times as much is asked for again, smaller. */
const PAGE_BYTES = 4 * 1024 * 1024;
const TOO_LARGE = 16;

/** A query and the values for its places. */
interface Asked {
  readonly select: string;
  readonly values: readonly string[];
}

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

/** Texts of queries, with places for their values in the order that their methods give them. */
interface Statements {
  readonly ranges: Readonly<Record<Bookkeeping, { readonly first: string; readonly next: string }>>;
  readonly tokenless: { readonly first: string; readonly next: string };
  readonly byKeys: string;
}

/** Places for values of these types, from the n-th on. */
function places(from: number, types: readonly string[]): string {
  return types.map((type, i) => place(from + i, type)).join(', ');
}

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

function statementsOf(table: BoundTable): Statements {
  const keys = table.keys.map(({ column }) => quoteIdentifier(column.target));
  const images = [
    ...table.regular.map(({ column }) => quoteIdentifier(column.target)),
    '_cdc_versions',
    '_cdc_expiries',
  ];
  const columns = (alias: string): string =>
    [...keys, ...images, '_cdc_token'].map((name) => `${alias}.${name}`).join(', ');
  const select = `SELECT ${columns('t')} FROM ${table.target} AS t`;
  const order = `ORDER BY t._cdc_token, ${keys.map((key) => `t.${key}`).join(', ')} LIMIT ${place(1, 'bigint')}`;
  const keyTypes = table.keys.map(({ column }) => column.targetType);
  const keyList = keys.map((key) => `t.${key}`).join(', ');
  const rangeOf = (selected: string): Statements['ranges'][Bookkeeping] => ({
    first: `${selected} WHERE t._cdc_token <= ${place(2, 'bigint')} AND t._cdc_token > ${place(3, 'bigint')} ${order}`,
    next: `${selected} WHERE t._cdc_token <= ${place(2, 'bigint')}
      AND (t._cdc_token, ${keyList}) > (${places(3, ['bigint', ...keyTypes])}) ${order}`,
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
      next: `${select} WHERE t._cdc_token IS NULL AND (${keyList}) > (${places(2, keyTypes)}) ${order}`,
    },
    byKeys: `SELECT ${columns('t')} FROM unnest(${places(1, arrays)}) AS r(${keys.join(', ')})
      JOIN ${table.target} AS t ON ${keys.map((key) => `t.${key} = r.${key}`).join(' AND ')}`,
  };
}

/** Reads the rows of one table, as it is bound at the moment. Methods reject with a classified LockstepError. */
export class TokenScan {
  readonly #pool: Pool;
  readonly #table: BoundTable;
  readonly #statements: Statements;
  readonly #mostRows: number;
  readonly #pageBytes: number;
  /** What the next page asks for, by what rows have weighed. */
  #pageRows: number;

  constructor(pool: Pool, table: BoundTable, pageRows = TARGET_PAGE_ROWS, pageBytes = PAGE_BYTES) {
    this.#pool = pool;
    this.#table = table;
    this.#mostRows = pageRows;
    this.#pageBytes = pageBytes;
    this.#pageRows = Math.min(FIRST_ROWS, pageRows);
    this.#statements = statementsOf(table);
  }

  /** Pages of the rows whose token is in the range, in the order of (token, key). */
  async *range(
    { after, upTo }: TokenRange,
    signal: AbortSignal,
    bookkeeping: Bookkeeping = 'all',
  ): AsyncGenerator<readonly TargetRow[]> {
    const { first, next } = this.#statements.ranges[bookkeeping];
    const [from, to] = [String(after), String(upTo)];
    yield* this.#pages(
      { select: first, values: [to, from] },
      (last) => ({ select: next, values: [to, String(last.token), ...this.#stored(last)] }),
      signal,
    );
  }

  /**
   * Pages of rows without a token, in the order of their keys: somebody inserted them past the door, and no scan by token
   * would ever see them.
   */
  async *tokenless(signal: AbortSignal): AsyncGenerator<readonly TargetRow[]> {
    const { first, next } = this.#statements.tokenless;
    yield* this.#pages({ select: first, values: [] }, (last) => ({ select: next, values: this.#stored(last) }), signal);
  }

  /** The rows that have one of the keys, in no order. */
  async byKeys(keys: readonly RowKey[]): Promise<readonly TargetRow[]> {
    if (keys.length === 0) return [];
    const rows = await this.#copied({ select: this.#statements.byKeys, values: keyParameters(this.#table, keys) });
    if (rows !== null) return this.#unread(rows);
    const middle = Math.ceil(keys.length / 2);
    return [...(await this.byKeys(keys.slice(0, middle))), ...(await this.byKeys(keys.slice(middle)))];
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
    first: Asked,
    nextOf: (last: TargetRow) => Asked,
    signal: AbortSignal,
  ): AsyncGenerator<readonly TargetRow[]> {
    let { select, values } = first;
    for (;;) {
      signal.throwIfAborted();
      const asked = this.#pageRows;
      const rows = await this.#copied({ select, values: [String(asked), ...values] });
      if (rows === null) {
        this.#pageRows = Math.max(1, Math.floor(asked / TOO_LARGE));
        continue;
      }
      if (rows.length > 0) this.#pageRows = this.#fitting(rows);
      const page = this.#unread(rows);
      if (page.length > 0) yield page;
      const last = page.at(-1);
      if (last === undefined || page.length < asked) return;
      ({ select, values } = nextOf(last));
    }
  }

  /** Rows of the next page, if they weigh what these did. */
  #fitting({ weight, length }: CopiedRows): number {
    const fitting = Math.floor(this.#pageBytes / (weight / length));
    return Math.max(1, Math.min(this.#mostRows, fitting, 4 * Math.max(length, this.#pageRows)));
  }

  /** Key values in the form that the target stores. */
  #stored({ key }: TargetRow): string[] {
    return this.#table.keys.map(({ mapping }, i) => mapping.toTarget(key.values[i] ?? ''));
  }

  #unread(rows: CopiedRows): readonly TargetRow[] {
    return Array.from({ length: rows.length }, (_, index) => new UnreadTargetRow(this.#table, rows, index));
  }

  /** Null where the rows are several and weigh too much. */
  async #copied(asked: Asked): Promise<CopiedRows | null> {
    const { keys, regular, table } = this.#table;
    const width = keys.length + regular.length + BOOKKEEPING_COLUMNS;
    let client: PoolClient | null = null;
    try {
      client = await this.#pool.connect();
      const rows = await copyRows(client, { ...asked, width }, TOO_LARGE * this.#pageBytes);
      client.release();
      return rows;
    } catch (error) {
      // Whatever a connection that failed is still busy with, nobody waits for it.
      client?.release(true);
      throw classifyPostgresError(error, `scanning ${table.name}`);
    }
  }
}
