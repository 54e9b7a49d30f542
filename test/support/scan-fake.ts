/**
 * A source for scans in memory: partitions with their tokens, rows by two clustering columns (one ascending, one descending),
 * tombstones that a page may not cross too many of, and a clock. It answers the conditions that a scan asks by.
 */
import { column, scalar, tableOf } from './door-rig.ts';
import { LockstepError } from '../../src/shared/errors.ts';
import { pack, type RowCells } from '../../src/change/packed-rows.ts';
import type { PageRequest, RawPage, ScanSession } from '../../src/source/scan-session.ts';

export const scanTable = tableOf('scanned', [
  column('p', 'partition', scalar('int'), 'integer'),
  column('up', 'clustering', scalar('int'), 'integer'),
  column('down', 'clustering', scalar('int'), 'integer', { descending: true }),
  column('v', 'regular', scalar('int'), 'integer'),
]);

/** The same rows; nothing is known of the order of the first clustering column that would cut it. */
export const uncuttableTable = {
  ...scanTable,
  clustering: scanTable.clustering.map((each, i) => (i === 0 ? { ...each, type: scalar('inet') } : each)),
};

export interface FakeRow {
  readonly token: bigint;
  readonly p: number;
  readonly up: number;
  readonly down: number;
  /** A tombstone is passed over, and counts. */
  readonly isTombstone?: boolean;
  /** Second at which the value expires. */
  readonly expiresAt?: number;
}

const int = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
};
const long = (value: bigint): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(value);
  return bytes;
};

/** Bytes of a partition key decide between two of one token, unsigned. */
function inScanOrder(a: FakeRow, b: FakeRow): number {
  if (a.token !== b.token) return a.token < b.token ? -1 : 1;
  return Buffer.compare(int(a.p), int(b.p)) || a.up - b.up || b.down - a.down;
}

export interface FakeScanOptions {
  readonly rows: readonly FakeRow[];
  /** Tombstones that one page may cross. */
  readonly tombstones?: number;
  /** Called before a page is answered; throws to fail it. */
  readonly beforePage?: (request: PageRequest) => void;
  /** Time that passes while the clock is asked, between that and the page, and between two rows, ms. */
  readonly takes?: () => number;
}

export class FakeScan implements ScanSession {
  readonly #rows: readonly FakeRow[];
  readonly #options: FakeScanOptions;
  nowMs = 1_000_000_000_500;
  /** Pages that were answered, with the rows that each asked for. */
  readonly pageRows: number[] = [];

  constructor(options: FakeScanOptions) {
    this.#options = options;
    this.#rows = [...options.rows].sort(inScanOrder);
  }

  #passes(): void {
    this.nowMs += this.#options.takes?.() ?? 0;
  }

  clock(): Promise<{ coordinator: string; nowMs: bigint }> {
    const nowMs = BigInt(this.nowMs);
    this.#passes();
    return Promise.resolve({ coordinator: 'n1', nowMs });
  }

  page(request: PageRequest): Promise<RawPage> {
    return Promise.resolve(request).then((asked) => this.#page(asked));
  }

  #page(request: PageRequest): RawPage {
    this.#options.beforePage?.(request);
    this.#passes();
    const seconds = Math.floor(this.nowMs / 1000);
    const matching = this.#rows.filter((row) => matches(row, request));
    const isDistinct = request.query.startsWith('SELECT DISTINCT');
    const rows: RowCells[] = [];
    let at = Number(request.pageState ?? 0);
    for (let crossed = 0; at < matching.length && rows.length < request.pageRows; at++) {
      const row = matching[at];
      if (row === undefined) continue;
      // Of a partition only the first row is looked for.
      if (isDistinct && matching.slice(0, at).some((other) => other.p === row.p && other.isTombstone !== true))
        continue;
      if (row.isTombstone === true) {
        if (++crossed > (this.#options.tombstones ?? Number.POSITIVE_INFINITY)) throw tooManyTombstones();
        continue;
      }
      this.#passes();
      if (isDistinct) {
        rows.push([int(row.p)]);
        continue;
      }
      const ttl = row.expiresAt === undefined ? null : int(row.expiresAt - seconds);
      const key = [int(row.p), int(row.up), int(row.down)];
      rows.push([...key, long(row.token), long(BigInt(this.nowMs)), int(row.up), long(7n), ttl]);
    }
    this.pageRows.push(request.pageRows);
    return { rows: pack(rows), pageState: at < matching.length ? String(at) : null };
  }
}

function tooManyTombstones(): LockstepError {
  return new LockstepError('too many tombstones', { code: 'SOURCE_TOMBSTONES', kind: 'transient' });
}

export function tooMuch(): LockstepError {
  return new LockstepError('too slow', { code: 'SOURCE_READ_FAILED', kind: 'transient' });
}

function matches(row: FakeRow, { query, params }: PageRequest): boolean {
  const where = query.replace(' ALLOW FILTERING', '').split(' WHERE ')[1]?.split(' AND ') ?? [];
  return where.every((condition, i) => {
    const [left = '', operator] = condition.split(' ');
    const bytes = params[i];
    if (bytes === undefined) throw new Error(`no parameter for ${condition}`);
    const isToken = left.startsWith('token(');
    const value = isToken ? row.token : BigInt(row[left.replaceAll('"', '') as 'p']);
    const wanted = isToken ? bytes.readBigInt64BE(0) : BigInt(bytes.readInt32BE(0));
    if (operator === '=') return value === wanted;
    if (operator === '>') return value > wanted;
    if (operator === '<') return value < wanted;
    if (operator === '<=') return value <= wanted;
    if (operator === '>=') return value >= wanted;
    throw new Error(`no operator in ${condition}`);
  });
}
