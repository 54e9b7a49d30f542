/**
 * The rows of a source table by token, with the write times and expiries of their cells: what backfill merges and what
 * comparisons compare. Nothing is held but one page.
 *
 * - A page dates its rows: it is asked of the node whose clock was asked just before, and is read again where a second
 *   began in between, so that expiry = second of the read + remaining TTL is exact ⚠ (else one read in a hundred is a
 *   second off, and the same write would look like two).
 * - A page that fails is asked for again, smaller; where one row is too much, the range of tokens is halved, and a
 *   partition by its clustering columns, so that tombstones cost time and not the scan. What can't be halved any more is
 *   told of, where somebody takes that, and the scan goes on behind it.
 * - A paging state that the source does not take any more (its schema changed meanwhile) is dropped: the scan goes on
 *   behind the last row.
 */
import { rowKey, type Cells, type RowKey } from '../change/change-event.ts';
import { splitRing, type TokenRange } from '../change/token-range.ts';
import { serialisePartitionKey } from '../change/token.ts';
import type { Table } from '../catalog/table.ts';
import { LockstepError } from '../shared/errors.ts';
import type { RawRow } from './raw-rows.ts';
import { cellOf, valueOf } from './read-cells.ts';
import {
  behindRow,
  cutInTwo,
  partition,
  partitionsAt,
  restOfSlice,
  scanQuery,
  tokenBehind,
  tokensBetween,
  type ScanQuery,
  type Stretch,
} from './scan-queries.ts';
import { isTombstones, ScanPages, type DatedPage, type Failed, type ScanPatience } from './scan-pages.ts';
import { unreadPart, type UnreadPart } from './unread-part.ts';
import type { ScanSession } from './scan-session.ts';

/** Everything up to and including this was read. Order is by token, then as the source orders partitions and rows. */
export interface ScanPosition {
  readonly token: bigint;
  /** Bytes of the key of the last row read. Null: every partition of the token was read whole. */
  readonly key: readonly Buffer[] | null;
}

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

export interface ScanPage {
  /** A scan `from` here goes on behind this page; it may read some of its rows again. */
  readonly position: ScanPosition;
  /** The scan has come to this token. */
  readonly upTo: bigint;
  /** Every partition of that token was read, or told of as unread. */
  readonly whole: boolean;
  readonly rows: readonly ScannedRow[];
  readonly unreadable: readonly UnreadableRow[];
  /** Parts that were passed over. */
  readonly unread: readonly UnreadPart[];
}

export interface ScanOptions extends ScanPatience {
  readonly range: TokenRange;
  /** Where an earlier scan of the same range ended; null = at its beginning. */
  readonly from: ScanPosition | null;
  /**
   * What can't be read for its tombstones, however it is cut, comes as `unread` and the scan goes on; left out: it ends
   * the scan with its error.
   */
  readonly passesOver?: boolean;
}

/** One query is answered from so much of the ring at most: a coordinator walks over all nodes of what it is asked for. */
const RING_PARTS = 64;

function partsBetween(after: bigint, upTo: bigint): readonly TokenRange[] {
  return splitRing(RING_PARTS)
    .map((part) => ({
      after: part.after > after ? part.after : after,
      upTo: part.upTo < upTo ? part.upTo : upTo,
    }))
    .filter((part) => part.after < part.upTo);
}

/**
 * Reads a range of a table, page by page, in the order of positions.
 *
 * A table of static columns (`staticTable`) is read by partition; partitions without static values are left out. A
 * partition that has only static values is no row of its table.
 *
 * The iteration rejects with a LockstepError: `SOURCE_QUERY` (config) where the source refuses the query, what failed last
 * (transient) where a page failed for `giveUpMs`.
 */
export async function* scanRows(session: ScanSession, table: Table, options: ScanOptions): AsyncGenerator<ScanPage> {
  const scan = new Scan(session, table, options);
  let position: ScanPosition = options.from ?? { token: options.range.after, key: null };
  let todo = await scan.stretchesBehind(position, options.range.upTo);
  for (let stretch = todo.shift(); stretch !== undefined; stretch = todo.shift()) {
    let pageState: string | null = null;
    let last: RawRow | undefined;
    do {
      options.signal.throwIfAborted();
      const page: DatedPage | Failed = await scan.pages.page(stretch, pageState);
      if ('failed' in page) {
        const smaller = await scan.smaller(page, stretch, last, position);
        if (smaller !== null) {
          todo = [...smaller, ...todo];
          break;
        }
        if (options.passesOver !== true || page.failed !== 'too much') throw page.error;
        // Behind a token that is passed over, the scan goes on with the next.
        if (stretch.tokens !== null) position = { token: stretch.tokens.upTo, key: null };
        const unread = [unreadPart(table, stretch, page.error)];
        yield { position, upTo: position.token, whole: position.key === null, rows: [], unreadable: [], unread };
        break;
      }
      ({ pageState } = page);
      const rows = scan.wanted(stretch, page.rows);
      last = rows.at(-1) ?? last;
      const end = pageState === null ? stretch.tokens : null;
      const reached = end === null ? (scan.positionAt(rows.at(-1)) ?? position) : { token: end.upTo, key: null };
      // Slices of a token mix its partitions: nobody goes on between two of them.
      if (stretch.slice?.ofToken !== true) position = reached;
      yield {
        position,
        upTo: reached.token,
        whole: reached.key === null,
        ...scan.decoded({ ...page, rows }),
        unread: [],
      };
    } while (pageState !== null);
  }
}

class Scan {
  readonly #table: Table;
  readonly #query: ScanQuery;
  readonly pages: ScanPages;

  constructor(session: ScanSession, table: Table, options: ScanOptions) {
    this.#table = table;
    this.#query = scanQuery(table);
    this.pages = new ScanPages(session, table, this.#query, options);
  }

  /** What is left behind a position: of its partition, of other partitions of its token, of the range. */
  async stretchesBehind({ token, key }: ScanPosition, upTo: bigint): Promise<Stretch[]> {
    const range = partsBetween(token, upTo).map((part) => tokensBetween(this.#table, part.after, part.upTo));
    if (key === null) return range;
    const width = this.#table.partitionKey.length;
    const own = serialisePartitionKey(key.slice(0, width));
    // Two partitions of one token are rare, and a row must not be missed for that.
    const others = await this.#othersAt(token, own);
    const rest = key.length === width ? [] : behindRow(this.#table, key);
    return [...rest, ...others, ...range];
  }

  async #othersAt(token: bigint, own: Uint8Array): Promise<readonly Stretch[]> {
    try {
      return (await this.#partitionsAt(token))
        .filter((other) => Buffer.compare(serialisePartitionKey(other), own) > 0)
        .map((other) => partition(this.#table, other));
    } catch (error) {
      const behind = isTombstones(error) ? tokenBehind(this.#table, token, own) : null;
      if (behind === null) throw error;
      return [behind];
    }
  }

  async #partitionsAt(token: bigint): Promise<readonly Buffer[][]> {
    const stretch = partitionsAt(this.#table, token);
    const partitions: Buffer[][] = [];
    let pageState: string | null = null;
    do {
      const state: string | null = pageState;
      const page: DatedPage = await this.pages.ofKeys(stretch, state);
      for (const row of page.rows) {
        partitions.push(row.slice(0, this.#table.partitionKey.length).map((bytes) => bytes ?? Buffer.alloc(0)));
      }
      ({ pageState } = page);
    } while (pageState !== null);
    return partitions;
  }

  /**
   * What is left of a stretch that failed, in parts that may be read; null where it is what failed, and can't be cut.
   *
   * @param last The last row that was read of it.
   */
  async smaller(
    { failed }: Failed,
    stretch: Stretch,
    last: RawRow | undefined,
    position: ScanPosition,
  ): Promise<readonly Stretch[] | null> {
    if (last === undefined) return failed === 'too much' ? cutInTwo(this.#table, stretch) : null;
    const rest =
      stretch.slice === null
        ? await this.stretchesBehind(position, stretch.tokens?.upTo ?? position.token)
        : restOfSlice(this.#table, stretch.slice, this.#keyBytes(last));
    const [only] = rest;
    return rest.length !== 1 || only === undefined || failed !== 'too much'
      ? rest
      : (cutInTwo(this.#table, only) ?? rest);
  }

  /** Rows without those of partitions that were read already. */
  wanted({ slice }: Stretch, rows: readonly RawRow[]): readonly RawRow[] {
    if (slice === null || (slice.without.length === 0 && slice.behindPartition === null)) return rows;
    const { without, behindPartition } = slice;
    return rows.filter((row) => {
      const own = serialisePartitionKey(this.#keyBytes(row).slice(0, this.#table.partitionKey.length));
      if (behindPartition !== null && Buffer.compare(own, behindPartition) <= 0) return false;
      return !without.some((other) => Buffer.compare(other, own) === 0);
    });
  }

  /** Where a row stands; null for none. */
  positionAt(row: RawRow | undefined): ScanPosition | null {
    if (row === undefined) return null;
    const key = this.#keyBytes(row);
    return { token: this.#token(row), key };
  }

  decoded({ rows, nowSeconds }: DatedPage): Pick<ScanPage, 'rows' | 'unreadable'> {
    const read: ScannedRow[] = [];
    const unreadable: UnreadableRow[] = [];
    for (const row of rows) {
      const bytes = this.#keyBytes(row);
      const columns = [...this.#table.partitionKey, ...this.#table.clustering];
      // A partition that has static values and no row.
      if (bytes.length < columns.length) continue;
      const token = this.#token(row);
      let key: RowKey | null = null;
      try {
        key = rowKey(columns.map((column, i) => valueOf(column, bytes[i] ?? Buffer.alloc(0))));
        const cells = this.#query.columns.map((column) => cellOf(column, row, nowSeconds));
        if (this.#table.ofStatics === true && cells.every((cell) => cell === null)) continue;
        read.push({ key, token, cells });
      } catch (error) {
        if (!(error instanceof LockstepError)) throw error;
        unreadable.push({ key, token, error });
      }
    }
    return { rows: read, unreadable };
  }

  /** The key's bytes; of the partition only where the row has no clustering key. */
  #keyBytes(row: RawRow): readonly Buffer[] {
    const bytes = row.slice(0, this.#query.tokenAt).filter((part) => part !== null);
    return bytes.length === this.#query.tokenAt ? bytes : bytes.slice(0, this.#table.partitionKey.length);
  }

  #token(row: RawRow): bigint {
    const bytes = row[this.#query.tokenAt];
    if (bytes?.length === 8) return bytes.readBigInt64BE(0);
    throw new LockstepError(`the tokens of ${this.#table.name} are no 64-bit numbers`, {
      code: 'SOURCE_PARTITIONER',
      kind: 'config',
      remedy: 'tables are scanned by token of the Murmur3Partitioner; clusters with another one can not be scanned',
    });
  }
}
