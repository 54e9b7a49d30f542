/** Rows of a scan out of the bytes of their page. */
import { rowKey, type Cells, type RowKey } from '../change/change-event.ts';
import type { PackedRow } from '../change/packed-rows.ts';
import { keyColumns, type Column, type Table } from '../catalog/table.ts';
import { LockstepError } from '../shared/errors.ts';
import { cellOf, isThere, valueOf } from './read-cells.ts';
import type { DatedPage } from './scan-pages.ts';
import type { ScanQuery } from './scan-queries.ts';

/** A row of the source; `cells` by position in `Table.regular`, null where there is no value. It is a `SourceRow`. */
export interface ScannedRow {
  readonly key: RowKey;
  readonly token: bigint;
  readonly cells: Cells;
}

/** A row that can't be read exactly: bytes that are no value of their column's type. */
export interface UnreadableRow {
  /** Null where the key itself can't be read. */
  readonly key: RowKey | null;
  readonly token: bigint;
  readonly error: LockstepError;
}

type Page = Pick<DatedPage, 'rows' | 'nowSeconds'>;

/** A row that is read when somebody looks at it. @throws {LockstepError} `row`, from `key` and `cells`. */
export class UnreadRow implements ScannedRow {
  readonly token: bigint;
  readonly packed: PackedRow;
  readonly #read: ScannedRows;
  readonly #nowSeconds: bigint;
  #key: RowKey | null = null;
  #cells: Cells | null = null;

  constructor(read: ScannedRows, packed: PackedRow, nowSeconds: bigint) {
    this.#read = read;
    this.packed = packed;
    this.#nowSeconds = nowSeconds;
    this.token = read.token(packed);
  }

  get key(): RowKey {
    return (this.#key ??= this.#read.key(this.packed));
  }

  get cells(): Cells {
    return (this.#cells ??= this.#read.cells(this.packed, this.#nowSeconds));
  }
}

export class ScannedRows {
  readonly #table: Table;
  readonly #query: ScanQuery;
  readonly #keys: readonly Column[];

  constructor(table: Table, query: ScanQuery) {
    this.#table = table;
    this.#query = query;
    this.#keys = keyColumns(table);
  }

  all(page: Page): { readonly rows: readonly ScannedRow[]; readonly unreadable: readonly UnreadableRow[] } {
    const rows: ScannedRow[] = [];
    const unreadable: UnreadableRow[] = [];
    for (const row of this.#wholeRows(page)) {
      const token = this.token(row);
      let key: RowKey | null = null;
      try {
        key = this.key(row);
        rows.push({ key, token, cells: this.cells(row, page.nowSeconds) });
      } catch (error) {
        if (!(error instanceof LockstepError)) throw error;
        unreadable.push({ key, token, error });
      }
    }
    return { rows, unreadable };
  }

  unread(page: Page): readonly UnreadRow[] {
    return Array.from(this.#wholeRows(page), (row) => new UnreadRow(this, row, page.nowSeconds));
  }

  /** Without partitions that have static values and no row, and in a table of static columns those without any. */
  *#wholeRows({ rows }: Page): Generator<PackedRow> {
    const { ofStatics } = this.#table;
    const lastKey = this.#keys.length - 1;
    for (let index = 0; index < rows.length; index++) {
      if (rows.start(index, lastKey) < 0) continue;
      const row = { rows, index };
      if (ofStatics === true && !this.#query.columns.some((column) => isThere(column, row))) continue;
      yield row;
    }
  }

  /** The key's bytes; of the partition only where the row has no clustering key. */
  keyBytes({ rows, index }: PackedRow): readonly Buffer[] {
    const bytes = this.#keys.map((_, column) => rows.cell(index, column)).filter((cell) => cell !== null);
    return bytes.length === this.#keys.length ? bytes : bytes.slice(0, this.#table.partitionKey.length);
  }

  key(row: PackedRow): RowKey {
    const bytes = this.keyBytes(row);
    return rowKey(this.#keys.map((column, i) => valueOf(column, bytes[i] ?? Buffer.alloc(0))));
  }

  cells(row: PackedRow, nowSeconds: bigint): Cells {
    return this.#query.columns.map((column) => cellOf(column, row, nowSeconds));
  }

  token({ rows, index }: PackedRow): bigint {
    const start = rows.start(index, this.#query.tokenAt);
    if (start >= 0 && rows.sizeAt(start) === 8) return rows.bytes.readBigInt64BE(start);
    throw new LockstepError(`the tokens of ${this.#table.name} are no 64-bit numbers`, {
      code: 'SOURCE_PARTITIONER',
      kind: 'config',
      remedy: 'tables are scanned by token of the Murmur3Partitioner; clusters with another one can not be scanned',
    });
  }
}
