/**
 * The rows of a source table by token, with the write times and expiries of their cells: what backfill merges and what
 * comparisons compare. Nothing is held but one page.
 *
 * - A page dates its rows: it is asked of the node whose clock was asked just before, and is read again where a second
 *   began in between, so that expiry = second of the read + remaining TTL is exact ⚠ (else one read in a hundred is a
 *   second off, and the same write would look like two).
 * - A page that fails is asked for again, smaller; where one row is too much, the range of tokens is halved, so that
 *   tombstones cost time and not the scan.
 */
import { backOff } from 'exponential-backoff';
import { rowKey, type Cells, type RowKey } from '../change/change-event.ts';
import { splitRing, type TokenRange } from '../change/token-range.ts';
import { serialisePartitionKey } from '../change/token.ts';
import type { Table } from '../catalog/table.ts';
import { LockstepError, messageOf } from '../shared/errors.ts';
import { PageSize } from './page-size.ts';
import type { RawRow } from './raw-rows.ts';
import { cellOf, hasTtl, valueOf } from './read-cells.ts';
import {
  behindRow,
  partition,
  partitionsAt,
  scanQuery,
  tokensBetween,
  type ScanQuery,
  type Stretch,
} from './scan-queries.ts';
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
  /** A scan `from` here goes on behind this page. */
  readonly position: ScanPosition;
  readonly rows: readonly ScannedRow[];
  readonly unreadable: readonly UnreadableRow[];
}

export interface ScanOptions {
  readonly range: TokenRange;
  /** Where an earlier scan of the same range ended; null = at its beginning. */
  readonly from: ScanPosition | null;
  /** Ends the scan between two pages, or while it waits: the iteration rejects with its reason. */
  readonly signal: AbortSignal;
  readonly elapsedMs: () => number;
  /** First and longest pause after a failure, ms. */
  readonly backoff: { readonly startingDelay: number; readonly maxDelay: number };
  /** A page that keeps failing for this long ends the scan with its error, ms. */
  readonly giveUpMs: number;
  /** Told of every failed page; `pageRows` is what is asked for next. */
  readonly onRetry?: (error: LockstepError, pageRows: number) => void;
}

/** Readings of one page in a row that a new second spoils, after which smaller pages are tried. */
const UNDATED_AT_MOST = 3;
const MS_PER_SECOND = 1000n;

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

/** A page with the second in which it was read. */
interface DatedPage {
  readonly rows: readonly RawRow[];
  readonly pageState: string | null;
  readonly nowSeconds: bigint;
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
    do {
      options.signal.throwIfAborted();
      const page: DatedPage | null = await scan.page(stretch, pageState);
      if (page === null) {
        const rest = await scan.stretchesBehind(position, stretch.tokens?.upTo ?? position.token);
        todo = [...rest.flatMap((each) => halved(table, each)), ...todo];
        break;
      }
      ({ pageState } = page);
      const isWhole = pageState === null && stretch.tokens !== null;
      position = isWhole
        ? { token: stretch.tokens?.upTo ?? position.token, key: null }
        : (scan.positionAt(page.rows.at(-1)) ?? position);
      yield { position, ...scan.decoded(page) };
    } while (pageState !== null);
  }
}

function halved(table: Table, stretch: Stretch): readonly Stretch[] {
  if (stretch.tokens === null) return [stretch];
  const { after, upTo } = stretch.tokens;
  if (upTo - after <= 1n) return [stretch];
  const middle = after + (upTo - after) / 2n;
  return [tokensBetween(table, after, middle), tokensBetween(table, middle, upTo)];
}

function bytesOf(rows: readonly RawRow[]): number {
  let bytes = 0;
  for (const row of rows) for (const value of row) bytes += value?.length ?? 0;
  return bytes;
}

/** Rejects when the signal aborts, so that a stop does not wait for the end of a back-off. */
function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      reject(signal.reason as Error);
    };
    signal.addEventListener('abort', stop, { once: true });
    work.then(resolve, reject).finally(() => {
      signal.removeEventListener('abort', stop);
    });
  });
}

class Scan {
  readonly #session: ScanSession;
  readonly #table: Table;
  readonly #options: ScanOptions;
  readonly #query: ScanQuery;
  readonly #size = new PageSize();

  constructor(session: ScanSession, table: Table, options: ScanOptions) {
    this.#session = session;
    this.#table = table;
    this.#options = options;
    this.#query = scanQuery(table);
  }

  /** What is left behind a position: of its partition, of other partitions of its token, of the range. */
  async stretchesBehind({ token, key }: ScanPosition, upTo: bigint): Promise<Stretch[]> {
    const range = partsBetween(token, upTo).map((part) => tokensBetween(this.#table, part.after, part.upTo));
    if (key === null) return range;
    const width = this.#table.partitionKey.length;
    const own = serialisePartitionKey(key.slice(0, width));
    // Two partitions of one token are rare, and a row must not be missed for that.
    const others = (await this.#partitionsAt(token))
      .filter((other) => Buffer.compare(serialisePartitionKey(other), own) > 0)
      .map((other) => partition(this.#table, other));
    const rest = key.length === width ? [] : behindRow(this.#table, key);
    return [...rest, ...others, ...range];
  }

  async #partitionsAt(token: bigint): Promise<readonly Buffer[][]> {
    const stretch = partitionsAt(this.#table, token);
    const partitions: Buffer[][] = [];
    let pageState: string | null = null;
    do {
      const state: string | null = pageState;
      const page: DatedPage = await this.#patiently(() =>
        this.#read(`${this.#query.partitions} ${stretch.where}`, stretch, state),
      );
      for (const row of page.rows) {
        partitions.push(row.slice(0, this.#table.partitionKey.length).map((bytes) => bytes ?? Buffer.alloc(0)));
      }
      ({ pageState } = page);
    } while (pageState !== null);
    return partitions;
  }

  /** One page, however often it has to be asked for; null where the stretch is to be cut into smaller ones. */
  async page(stretch: Stretch, pageState: string | null): Promise<DatedPage | null> {
    const { tokens } = stretch;
    const isDivisible = tokens !== null && tokens.upTo - tokens.after > 1n;
    try {
      return await this.#patiently(() => this.#dated(stretch, pageState), isDivisible);
    } catch (error) {
      if (isDivisible && this.#size.rows === 1 && isTooMuch(error)) return null;
      throw error;
    }
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

  /** Repeats what fails for a while: smaller where it was too much, later in any case. */
  async #patiently<T>(attempt: () => Promise<T>, isDivisible = false): Promise<T> {
    const { signal, elapsedMs, giveUpMs, backoff, onRetry } = this.#options;
    const startedMs = elapsedMs();
    return orAborted(
      backOff(attempt, {
        ...backoff,
        jitter: 'full',
        numOfAttempts: Number.MAX_SAFE_INTEGER,
        retry: (error: unknown) => {
          if (!(error instanceof LockstepError) || error.kind !== 'transient' || signal.aborted) return false;
          const isSmaller = isTooMuch(error) && this.#size.shrink();
          if (isTooMuch(error) && !isSmaller && isDivisible) return false;
          onRetry?.(error, this.#size.rows);
          return elapsedMs() - startedMs < giveUpMs;
        },
      }),
      signal,
    ).catch((error: unknown) => {
      if (!(error instanceof LockstepError) || error.kind !== 'transient' || isDivisible) throw error;
      throw this.#gaveUp(error);
    });
  }

  #gaveUp(error: LockstepError): LockstepError {
    return new LockstepError(`${this.#table.name} can not be read: ${messageOf(error)}`, {
      code: error.code,
      kind: 'transient',
      ...(error.remedy === undefined ? {} : { remedy: error.remedy }),
      cause: error,
    });
  }

  /** A page of which the second is known: that of the clock before it, where its rows were read in the same one. */
  async #dated(stretch: Stretch, pageState: string | null): Promise<DatedPage> {
    for (let undated = 0; undated < UNDATED_AT_MOST; undated++) {
      const page = await this.#read(`${this.#query.select} ${stretch.where}`, stretch, pageState);
      const clock = page.rows[0]?.[this.#query.clockAt];
      const isDated = clock == null || clock.readBigInt64BE(0) / MS_PER_SECOND === page.nowSeconds;
      if (isDated || !page.rows.some((row) => hasTtl(this.#query.columns, row))) return page;
    }
    throw new LockstepError(`reading ${this.#table.name}: no page is read within a second, so expiries are not known`, {
      code: 'SOURCE_READ_FAILED',
      kind: 'transient',
      remedy: 'the page is asked for again, smaller; if that does not help: the source is overloaded',
    });
  }

  async #read(query: string, { params }: Stretch, pageState: string | null): Promise<DatedPage> {
    const { elapsedMs, signal } = this.#options;
    signal.throwIfAborted();
    const { coordinator, nowMs } = await this.#session.clock();
    const startedMs = elapsedMs();
    const page = await this.#session.page({ query, params, pageRows: this.#size.rows, pageState, coordinator });
    this.#size.read({ rows: page.rows.length, bytes: bytesOf(page.rows), elapsedMs: elapsedMs() - startedMs });
    return { ...page, nowSeconds: nowMs / MS_PER_SECOND };
  }
}

function isTooMuch(error: unknown): boolean {
  return error instanceof LockstepError && error.code === 'SOURCE_READ_FAILED';
}
