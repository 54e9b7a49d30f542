import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  FakeScan,
  scanTable,
  tooMuch,
  uncuttableTable,
  type FakeRow,
  type FakeScanOptions,
} from '../../test/support/scan-fake.ts';
import { pack } from '../change/packed-rows.ts';
import { LockstepError } from '../shared/errors.ts';
import { splitRing, WHOLE_RING } from '../change/token-range.ts';
import { scanRows, type ScanOptions, type ScanPage, type ScanPosition } from './row-scan.ts';

const options = (more: Partial<ScanOptions> = {}): ScanOptions => ({
  range: WHOLE_RING,
  from: null,
  signal: new AbortController().signal,
  elapsedMs: () => performance.now(),
  backoff: { startingDelay: 0, maxDelay: 0 },
  giveUpMs: 2_000,
  ...more,
});

async function pagesOf(fake: FakeScan, more: Partial<ScanOptions> = {}): Promise<ScanPage[]> {
  const pages: ScanPage[] = [];
  for await (const page of scanRows(fake, scanTable, options(more))) pages.push(page);
  return pages;
}

const keysOf = (pages: readonly ScanPage[]): string[] => pages.flatMap(({ rows }) => rows.map(({ key }) => key.text));
const textOf = ({ p, up, down }: FakeRow): string => JSON.stringify([String(p), String(up), String(down)]);

/** Few tokens, so that partitions share them. */
const rowsArbitrary = fc
  .uniqueArray(fc.record({ p: fc.integer({ min: -3, max: 6 }), up: fc.nat(5), down: fc.nat(5) }), {
    selector: textOf as (row: object) => string,
    maxLength: 60,
  })
  .map((rows) => rows.map((row): FakeRow => ({ ...row, token: BigInt(row.p % 3) * 2n ** 61n })));

const partitionOf = (n: number, more: Partial<FakeRow> = {}): FakeRow[] =>
  Array.from({ length: n }, (_, i) => ({ token: 5n, p: 1, up: i, down: 0, ...more }));

async function rejection(work: Promise<unknown>): Promise<unknown> {
  try {
    await work;
  } catch (error) {
    return error;
  }
  throw new Error('it was expected to fail');
}

describe('a scan', () => {
  it('goes on behind the position of any of its pages with exactly the rows that are left', async () => {
    await fc.assert(
      fc.asyncProperty(rowsArbitrary, fc.integer({ min: 1, max: 7 }), async (rows, pageRows) => {
        // Pages as small as the fake makes them, whatever the scan asks for.
        const fake = (): FakeScan => new SmallPages({ rows }, pageRows);
        const pages = await pagesOf(fake());
        const all = keysOf(pages);
        expect([...all].sort()).toEqual(rows.map(textOf).sort());
        for (const [i, { position }] of pages.entries()) {
          const rest = keysOf(await pagesOf(fake(), { from: position }));
          expect(rest).toEqual(all.slice(keysOf(pages.slice(0, i + 1)).length));
        }
      }),
      { numRuns: 60 },
    );
  }, 120_000);

  it('of the parts of the ring gives every row once', async () => {
    const rows = Array.from({ length: 50 }, (_, i): FakeRow => ({
      token: BigInt(i - 25) * 2n ** 58n,
      p: i,
      up: 0,
      down: 0,
    }));
    const found: string[] = [];
    for (const range of splitRing(7)) found.push(...keysOf(await pagesOf(new FakeScan({ rows }), { range })));
    expect(found).toEqual(rows.map(textOf));
    expect(splitRing(7).at(-1)?.upTo).toBe(WHOLE_RING.upTo);
  });

  it('asks for fewer rows when a page fails, and for more again when pages are quick', async () => {
    let failures = 2;
    const told: number[] = [];
    const fake = new FakeScan({
      rows: partitionOf(3_000),
      beforePage: () => {
        if (failures-- > 0) throw tooMuch();
      },
    });
    const pages = await pagesOf(fake, { onRetry: (_, pageRows) => told.push(pageRows) });
    expect(keysOf(pages)).toHaveLength(3_000);
    expect(told).toEqual([64, 16]);
    expect(fake.pageRows[0]).toBe(16);
    expect(Math.max(...fake.pageRows)).toBeGreaterThan(256);
  });

  it('halves its range where even one row crosses too many tombstones', async () => {
    const rows = Array.from({ length: 400 }, (_, i): FakeRow => ({
      token: BigInt(i),
      p: i,
      up: 0,
      down: 0,
      isTombstone: i % 100 !== 99,
    }));
    const pages = await pagesOf(new FakeScan({ rows, tombstones: 20 }));
    expect(keysOf(pages)).toEqual(rows.filter(({ isTombstone }) => isTombstone === false).map(textOf));
  });

  it('cuts partitions where a row stands behind more tombstones than a page may cross', async () => {
    const graves = (token: bigint, p: number): FakeRow[] =>
      Array.from({ length: 300 }, (_, i) => ({
        token,
        p,
        up: Math.floor(i / 100),
        down: i % 100,
        isTombstone: i % 90 !== 89,
      }));
    // Two partitions share a token, and one is alone.
    const rows = [...graves(5n, 1), ...graves(5n, 2), ...graves(6n, 3)];
    const pages = await pagesOf(new FakeScan({ rows, tombstones: 20 }));
    expect(keysOf(pages).sort()).toEqual(
      rows
        .filter(({ isTombstone }) => isTombstone === false)
        .map(textOf)
        .sort(),
    );
  });

  it('gives every row once, and loses none when it goes on, whatever tombstones lie between', async () => {
    // Four partitions share a token at most: so many tombstones of one clustering key can't be told apart.
    const tombstones = fc.record({ rows: rowsArbitrary, dead: fc.array(fc.boolean(), { minLength: 7 }) });
    await fc.assert(
      fc.asyncProperty(
        tombstones,
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 4, max: 6 }),
        async (made, pageRows, most) => {
          const rows = made.rows.map((row, i) => ({ ...row, isTombstone: made.dead[i % made.dead.length] === true }));
          const fake = (): FakeScan => new SmallPages({ rows, tombstones: most }, pageRows);
          const pages = await pagesOf(fake());
          const all = keysOf(pages);
          expect([...all].sort()).toEqual(
            rows
              .filter((row) => !row.isTombstone)
              .map(textOf)
              .sort(),
          );
          for (const [i, { position }] of pages.entries()) {
            const rest = keysOf(await pagesOf(fake(), { from: position }));
            expect(rest).toEqual(expect.arrayContaining(all.slice(keysOf(pages.slice(0, i + 1)).length)));
            expect(new Set(rest).size).toBe(rest.length);
          }
        },
      ),
      { numRuns: 30, endOnFailure: true },
    );
  }, 120_000);

  it('passes over what can not be cut, says what it was, and reads what is behind it', async () => {
    const rows = [
      ...partitionOf(3),
      ...partitionOf(100, { isTombstone: true }).map((row) => ({ ...row, up: row.up + 10 })),
      { token: 5n, p: 1, up: 999, down: 0 },
      { token: 6n, p: 2, up: 0, down: 0 },
    ];
    const scan = async (more: Partial<ScanOptions>): Promise<ScanPage[]> => {
      const pages: ScanPage[] = [];
      for await (const page of scanRows(new FakeScan({ rows, tombstones: 20 }), uncuttableTable, options(more))) {
        pages.push(page);
      }
      return pages;
    };
    expect(await rejection(scan({}))).toMatchObject({ code: 'SOURCE_TOMBSTONES', kind: 'transient' });
    const pages = await scan({ passesOver: true });
    expect(pages.flatMap(({ unread }) => unread.map(({ where }) => where))).toEqual([
      'partition (1), up behind 0.0.0.2',
    ]);
    expect(pages.flatMap((page) => page.rows)).toHaveLength(4);
    expect(pages.at(-1)).toMatchObject({ whole: true, upTo: WHOLE_RING.upTo });
  });

  it('goes on behind the last row where the source does not take its paging state any more', async () => {
    const rows = [...partitionOf(600), ...partitionOf(600).map((row) => ({ ...row, token: 6n, p: 2 }))];
    let pages = 0;
    const fake = new FakeScan({
      rows,
      beforePage: ({ pageState }) => {
        if (pageState !== null && ++pages % 2 === 0) {
          throw new LockstepError('Invalid value for the paging state', { code: 'SOURCE_QUERY', kind: 'config' });
        }
      },
    });
    expect(keysOf(await pagesOf(fake))).toEqual(rows.map(textOf));
    expect(pages).toBeGreaterThan(1);
  });

  it('waits for a node that does not answer, and gives up on one that is too slow for long', async () => {
    const rows = partitionOf(700);
    let asked = 0;
    const away = (): void => {
      if (++asked % 3 !== 0) throw new LockstepError('down', { code: 'SOURCE_UNREACHABLE', kind: 'transient' });
    };
    expect(keysOf(await pagesOf(new FakeScan({ rows, beforePage: away })))).toEqual(rows.map(textOf));
    const slow = (): void => {
      throw tooMuch();
    };
    const error = await rejection(
      pagesOf(new FakeScan({ rows, beforePage: slow }), { giveUpMs: 30, passesOver: true }),
    );
    expect(error).toMatchObject({ code: 'SOURCE_READ_FAILED', kind: 'transient' });
  });

  it('does not repeat what the source refuses', async () => {
    let pages = 0;
    const refused = new LockstepError('undefined column', { code: 'SOURCE_QUERY', kind: 'config' });
    const beforePage = (): void => {
      pages += 1;
      throw refused;
    };
    expect(await rejection(pagesOf(new FakeScan({ rows: [], beforePage })))).toBe(refused);
    expect(pages).toBe(1);
  });

  it('dates expiries exactly, whatever time a page takes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 120 }), { minLength: 1 }), async (delays) => {
        let n = 0;
        const takes = (): number => delays[n++ % delays.length] ?? 0;
        const fake = new FakeScan({ rows: partitionOf(40, { expiresAt: 1_000_900_000 }), takes });
        const rows = (await pagesOf(fake)).flatMap((page) => page.rows);
        expect(rows).toHaveLength(40);
        for (const { cells } of rows)
          expect(cells).toEqual([
            { writeTime: 7n, value: expect.any(String) as string, expiry: 1_000_900_000_000_000n },
          ]);
      }),
    );
  });

  it('stops while it waits for the source', async () => {
    const stop = new AbortController();
    const beforePage = (): void => {
      throw new LockstepError('down', { code: 'SOURCE_UNREACHABLE', kind: 'transient' });
    };
    const reason = new Error('stopped');
    const ended = rejection(
      pagesOf(new FakeScan({ rows: [], beforePage }), {
        signal: stop.signal,
        backoff: { startingDelay: 60_000, maxDelay: 60_000 },
        giveUpMs: 600_000,
        onRetry: () => {
          stop.abort(reason);
        },
      }),
    );
    expect(await ended).toBe(reason);
  });

  it('reports a row whose bytes are no value, and reads the others', async () => {
    const fake = new (class extends FakeScan {
      override async page(request: Parameters<FakeScan['page']>[0]): ReturnType<FakeScan['page']> {
        const page = await super.page(request);
        const rows = Array.from({ length: page.rows.length }, (_, i) => page.rows.row(i));
        return { ...page, rows: pack(rows.map((row, i) => (i === 1 ? row.with(5, Buffer.from([1, 2])) : row))) };
      }
    })({ rows: partitionOf(3) });
    const pages = await pagesOf(fake);
    expect(pages.flatMap(({ rows }) => rows)).toHaveLength(2);
    expect(pages.flatMap(({ unreadable }) => unreadable)).toMatchObject([
      { key: { values: ['1', '1', '0'] }, error: { code: 'SOURCE_VALUE' } },
    ]);
  });
});

class SmallPages extends FakeScan {
  readonly #most: number;

  constructor(made: FakeScanOptions, most: number) {
    super(made);
    this.#most = most;
  }

  override page(request: Parameters<FakeScan['page']>[0]): ReturnType<FakeScan['page']> {
    return super.page({ ...request, pageRows: Math.min(this.#most, request.pageRows) });
  }
}

describe('a position', () => {
  it('at the end of the range leaves nothing', async () => {
    const end: ScanPosition = { token: WHOLE_RING.upTo, key: null };
    expect(await pagesOf(new FakeScan({ rows: partitionOf(3) }), { from: end })).toEqual([]);
  });
});
