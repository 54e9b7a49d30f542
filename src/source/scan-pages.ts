/**
 * Pages of a scan, each asked for until it is answered: later where the source does not answer, smaller where it was too
 * much. What even one row is too much of comes back as failed.
 */
import { backOff } from 'exponential-backoff';
import type { PackedRows } from '../change/packed-rows.ts';
import type { Table } from '../catalog/table.ts';
import { LockstepError, messageOf } from '../shared/errors.ts';
import { orAborted } from './or-aborted.ts';
import { PageSize, type PageMemory } from './page-size.ts';
import { someExpire } from './read-cells.ts';
import { cutInTwo, type ScanQuery, type Stretch } from './scan-queries.ts';
import type { ScanSession } from './scan-session.ts';

export interface ScanPatience {
  /** Ends the scan between two pages, or while it waits: the iteration rejects with its reason. */
  readonly signal: AbortSignal;
  readonly elapsedMs: () => number;
  /** First and longest pause after a failure, ms. */
  readonly backoff: { readonly startingDelay: number; readonly maxDelay: number };
  /** A page that keeps failing for this long ends the scan with its error, ms. */
  readonly giveUpMs: number;
  /**
   * What pages other scans of the table have found: this one begins with them. What it does about pages that fail goes by
   * its own ⚠: a scan beside it would undo that. Left out: found anew.
   */
  readonly pageMemory?: PageMemory;
  /** Told of every failed page; `pageRows` is what is asked for next. */
  readonly onRetry?: (error: LockstepError, pageRows: number) => void;
}

/** Readings of one page in a row that a new second spoils, after which smaller pages are tried. */
const UNDATED_AT_MOST = 3;
const MS_PER_SECOND = 1000n;

/** A page with the second in which it was read. */
export interface DatedPage {
  readonly rows: PackedRows;
  readonly pageState: string | null;
  readonly nowSeconds: bigint;
}

/** A stretch that has to be read in another way; `page state`: from the last row on. */
export interface Failed {
  readonly failed: 'too much' | 'page state';
  readonly error: LockstepError;
}

export class ScanPages {
  readonly #session: ScanSession;
  readonly #table: Table;
  readonly #query: ScanQuery;
  readonly #options: ScanPatience;
  readonly #size: PageSize;
  /** Since when every page of one row was too slow. */
  #tooSlowSinceMs: number | null = null;

  constructor(session: ScanSession, table: Table, query: ScanQuery, options: ScanPatience) {
    this.#session = session;
    this.#table = table;
    this.#query = query;
    this.#options = options;
    this.#size = new PageSize(options.pageMemory?.rows);
  }

  /** A page of the keys of partitions alone. */
  ofKeys(stretch: Stretch, pageState: string | null): Promise<DatedPage> {
    return this.#patiently(() => this.#read(`${this.#query.partitions} ${stretch.where}`, stretch, pageState));
  }

  /** One page, however often it has to be asked for. */
  async page(stretch: Stretch, pageState: string | null): Promise<DatedPage | Failed> {
    for (;;) {
      try {
        const page = await this.#patiently(
          () => this.#dated(stretch, pageState),
          () => cutInTwo(this.#table, stretch) !== null,
        );
        this.#tooSlowSinceMs = null;
        return page;
      } catch (error) {
        if (!(error instanceof LockstepError)) throw error;
        if (error.code === 'SOURCE_QUERY' && pageState !== null) return { failed: 'page state', error };
        if (isTombstones(error)) {
          this.#tooSlowSinceMs = null;
          this.#options.onRetry?.(error, 1);
          // Of fewer rows a page may be without the tombstones; what they cost is known, so no pause is owed.
          if (this.#size.least()) continue;
        } else if (!isTooMuch(error) || this.#gaveUpAt(stretch)) throw error;
        return { failed: 'too much', error };
      }
    }
  }

  /** Cutting does not help where nothing at all is answered any more, or nothing can be cut. */
  #gaveUpAt(stretch: Stretch): boolean {
    const nowMs = this.#options.elapsedMs();
    this.#tooSlowSinceMs ??= nowMs;
    return nowMs - this.#tooSlowSinceMs >= this.#options.giveUpMs || cutInTwo(this.#table, stretch) === null;
  }

  /** Repeats what fails for a while: smaller where it was too much, later in any case. */
  async #patiently<T>(attempt: () => Promise<T>, isDivisible = (): boolean => false): Promise<T> {
    const { signal, elapsedMs, giveUpMs, backoff, onRetry } = this.#options;
    const startedMs = elapsedMs();
    return orAborted(
      backOff(attempt, {
        ...backoff,
        jitter: 'full',
        numOfAttempts: Number.MAX_SAFE_INTEGER,
        retry: (error: unknown) => {
          if (!(error instanceof LockstepError) || error.kind !== 'transient' || signal.aborted) return false;
          if (isTombstones(error)) return false;
          const isSmaller = isTooMuch(error) && this.#size.shrink();
          if (isTooMuch(error) && !isSmaller && isDivisible()) return false;
          onRetry?.(error, this.#size.rows);
          return elapsedMs() - startedMs < giveUpMs;
        },
      }),
      signal,
    ).catch((error: unknown) => {
      if (!(error instanceof LockstepError) || error.kind !== 'transient' || isTombstones(error)) throw error;
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
      const { rows } = page;
      const clock = rows.length === 0 ? null : rows.cell(0, this.#query.clockAt);
      const isDated = clock === null || clock.readBigInt64BE(0) / MS_PER_SECOND === page.nowSeconds;
      if (isDated || !someExpire(this.#query.columns, rows)) return page;
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
    this.#size.read({ rows: page.rows.length, bytes: page.rows.weight, elapsedMs: elapsedMs() - startedMs });
    if (this.#options.pageMemory !== undefined) this.#options.pageMemory.rows = this.#size.rows;
    return { ...page, nowSeconds: nowMs / MS_PER_SECOND };
  }
}

export function isTombstones(error: unknown): boolean {
  return error instanceof LockstepError && error.code === 'SOURCE_TOMBSTONES';
}

function isTooMuch(error: unknown): boolean {
  return error instanceof LockstepError && error.code === 'SOURCE_READ_FAILED';
}
