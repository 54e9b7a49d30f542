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
import { pack, type PackedRows } from '../change/packed-rows.ts';
import { splitRing, type TokenRange } from '../change/token-range.ts';
import { serialisePartitionKey } from '../change/token.ts';
import type { Table } from '../catalog/table.ts';
import {
  behindRow,
  cutInTwo,
  partition,
  partitionsAt,
  restOfSlice,
  scanQuery,
  tokenBehind,
  tokensBetween,
  type Stretch,
} from './scan-queries.ts';
import { isTombstones, ScanPages, type DatedPage, type Failed, type ScanPatience } from './scan-pages.ts';
import type { ScanSession } from './scan-session.ts';
import { ScannedRows, type ScannedRow, type UnreadableRow, type UnreadRow } from './scanned-rows.ts';
import { unreadPart, type UnreadPart } from './unread-part.ts';

/** Everything up to and including this was read. Order is by token, then as the source orders partitions and rows. */
export interface ScanPosition {
  readonly token: bigint;
  /** Bytes of the key of the last row read. Null: every partition of the token was read whole. */
  readonly key: readonly Buffer[] | null;
}

export interface ScanPage<Row = ScannedRow> {
  /** A scan `from` here goes on behind this page; it may read some of its rows again. */
  readonly position: ScanPosition;
  /** The scan has come to this token. */
  readonly upTo: bigint;
  /** Every partition of that token was read, or told of as unread. */
  readonly whole: boolean;
  readonly rows: readonly Row[];
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
  for await (const { page, read, ...rest } of readPages(session, table, options)) yield { ...rest, ...read.all(page) };
}

/**
 * The same, with rows that are only read where somebody looks at their key or cells: then that throws what makes a row
 * unreadable, and `unreadable` is empty.
 */
export async function* scanUnread(
  session: ScanSession,
  table: Table,
  options: ScanOptions,
): AsyncGenerator<ScanPage<UnreadRow>> {
  for await (const { page, read, ...rest } of readPages(session, table, options)) {
    yield { ...rest, rows: read.unread(page), unreadable: [] };
  }
}

interface Read extends Omit<ScanPage, 'rows' | 'unreadable'> {
  readonly page: Pick<DatedPage, 'rows' | 'nowSeconds'>;
  readonly read: ScannedRows;
}

const NO_ROWS = { rows: pack([]), nowSeconds: 0n };

async function* readPages(session: ScanSession, table: Table, options: ScanOptions): AsyncGenerator<Read> {
  const scan = new Scan(session, table, options);
  const { read } = scan;
  let position: ScanPosition = options.from ?? { token: options.range.after, key: null };
  let todo = await scan.stretchesBehind(position, options.range.upTo);
  for (let stretch = todo.shift(); stretch !== undefined; stretch = todo.shift()) {
    let pageState: string | null = null;
    let last: readonly Buffer[] | null = null;
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
        yield { position, upTo: position.token, whole: position.key === null, page: NO_ROWS, read, unread };
        break;
      }
      ({ pageState } = page);
      const rows = scan.wanted(stretch, page.rows);
      const at = scan.lastOf(rows);
      last = at?.key ?? last;
      const end = pageState === null ? stretch.tokens : null;
      const reached: ScanPosition = end === null ? (at ?? position) : { token: end.upTo, key: null };
      // Slices of a token mix its partitions: nobody goes on between two of them.
      if (stretch.slice?.ofToken !== true) position = reached;
      yield {
        position,
        upTo: reached.token,
        whole: reached.key === null,
        page: { rows, nowSeconds: page.nowSeconds },
        read,
        unread: [],
      };
    } while (pageState !== null);
  }
}

class Scan {
  readonly #table: Table;
  readonly pages: ScanPages;
  readonly read: ScannedRows;

  constructor(session: ScanSession, table: Table, options: ScanOptions) {
    this.#table = table;
    const query = scanQuery(table);
    this.pages = new ScanPages(session, table, query, options);
    this.read = new ScannedRows(table, query);
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
      for (let i = 0; i < page.rows.length; i++) {
        partitions.push(this.#table.partitionKey.map((_, column) => page.rows.cell(i, column) ?? Buffer.alloc(0)));
      }
      ({ pageState } = page);
    } while (pageState !== null);
    return partitions;
  }

  /**
   * What is left of a stretch that failed, in parts that may be read; null where it is what failed, and can't be cut.
   *
   * @param last Key of the last row that was read of it.
   */
  async smaller(
    { failed }: Failed,
    stretch: Stretch,
    last: readonly Buffer[] | null,
    position: ScanPosition,
  ): Promise<readonly Stretch[] | null> {
    if (last === null) return failed === 'too much' ? cutInTwo(this.#table, stretch) : null;
    const rest =
      stretch.slice === null
        ? await this.stretchesBehind(position, stretch.tokens?.upTo ?? position.token)
        : restOfSlice(this.#table, stretch.slice, last);
    const [only] = rest;
    return rest.length !== 1 || only === undefined || failed !== 'too much'
      ? rest
      : (cutInTwo(this.#table, only) ?? rest);
  }

  /** Rows without those of partitions that were read already. */
  wanted({ slice }: Stretch, rows: PackedRows): PackedRows {
    if (slice === null || (slice.without.length === 0 && slice.behindPartition === null)) return rows;
    const { without, behindPartition } = slice;
    return rows.pick(
      Array.from({ length: rows.length }, (_, index) => index).filter((index) => {
        const own = serialisePartitionKey(
          this.read.keyBytes({ rows, index }).slice(0, this.#table.partitionKey.length),
        );
        if (behindPartition !== null && Buffer.compare(own, behindPartition) <= 0) return false;
        return !without.some((other) => Buffer.compare(other, own) === 0);
      }),
    );
  }

  /** Where the last row stands; null where there is none. */
  lastOf(rows: PackedRows): { readonly token: bigint; readonly key: readonly Buffer[] } | null {
    if (rows.length === 0) return null;
    const row = { rows, index: rows.length - 1 };
    return { token: this.read.token(row), key: this.read.keyBytes(row) };
  }
}
