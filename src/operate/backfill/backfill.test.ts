import { describe, expect, it } from 'vitest';
import { column, scalar, tableOf } from '../../../test/support/door-rig.ts';
import { rowKey } from '../../change/change-event.ts';
import { LockstepError } from '../../shared/errors.ts';
import { WHOLE_RING } from '../../change/token-range.ts';
import type { ScanPage, ScanPosition } from '../../source/row-scan.ts';
import type { ScannedRow } from '../../source/scanned-rows.ts';
import type { Job, JobStore } from '../../target/stores/job-store.ts';
import type { FoundOutcome, FoundRows, SourceRowsSession } from '../../target/rereads/source-rows.ts';
import type { BackfillProgress } from './backfill-job.ts';
import { BackfillRun, type BackfillParts } from './backfill-run.ts';
import { coveredShare, stateDocument, stateOf } from './backfill-state.ts';

const table = tableOf('filled', [
  column('k', 'partition', scalar('int'), 'integer'),
  column('v', 'regular', scalar('int'), 'integer'),
]);
const statics = { ...table, name: `${table.name}#static`, ofStatics: true as const };

/** A job's row, as the store keeps it. */
class Jobs {
  job: Job = {
    id: 'j',
    kind: 'backfill',
    parameters: { table: table.name, has_statics: true },
    status: 'RUNNING',
    cursor: 0n,
    total: 0,
    counts: {},
    state: null,
    error: null,
    requestedBy: 'test',
    startedMs: 0,
    heartbeatMs: 0,
    completedMs: null,
  };

  readonly store = {
    load: () => Promise.resolve(this.job),
    heartbeat: () => Promise.resolve(this.job.status === 'RUNNING'),
    moveTo: (_id: string, state: unknown, counts: Record<string, number>) => ({ text: '', values: [state, counts] }),
    run: ({ values }: { readonly values?: readonly unknown[] }) => {
      const [state, counts] = values as [unknown, Record<string, number>];
      this.job = { ...this.job, state, counts };
      return Promise.resolve();
    },
    finish: (_id: string, status: Job['status'], error: string | null) => {
      this.job = { ...this.job, status, error };
      return Promise.resolve();
    },
  } as unknown as JobStore;
}

const PAGES = 10;
const ROWS = 30;
const rowAt = (n: number): ScannedRow => ({
  key: rowKey([String(n)]),
  token: BigInt(n),
  cells: [{ writeTime: 1n, value: '1', expiry: null }],
});
const keysOf = (rows: readonly { readonly key: { readonly text: string } }[]): string[] =>
  rows.map(({ key }) => key.text);
const all = Array.from({ length: PAGES * ROWS }, (_, n) => rowAt(n));

/** Pages of 30 rows at tokens 0, 1, 2 …; statics are one page. */
async function* scan(which: typeof table, from: ScanPosition | null): AsyncGenerator<ScanPage> {
  const isStatic = which.ofStatics === true;
  const first = from === null ? 0 : Number(from.token) + 1;
  for (let page = first; page < (isStatic ? 1 : PAGES); page++) {
    await Promise.resolve();
    const rows = isStatic ? [rowAt(0)] : all.slice(page * ROWS, (page + 1) * ROWS);
    const token = BigInt(page);
    yield { position: { token, key: null }, upTo: token, whole: true, rows, unreadable: [], unread: [] };
  }
}

interface Rig {
  readonly jobs: Jobs;
  readonly merged: { readonly table: string; readonly key: string; readonly sequence: bigint }[];
  readonly warnings: string[];
  run(more?: Partial<BackfillParts>, rate?: number | null, signal?: AbortSignal): Promise<BackfillProgress>;
  /** The last sequence that was drawn. */
  drawn(): bigint;
  /** Time that passed in pauses, ms. */
  elapsed(): number;
}

type Merge = (rows: FoundRows, lose: () => void) => readonly FoundOutcome[];

function rig(merge: Merge = ({ rows }) => rows.map(() => 'written')): Rig {
  const jobs = new Jobs();
  const merged: Rig['merged'] = [];
  const warnings: string[] = [];
  let now = 0;
  let sequence = 0n;
  const open = (): Promise<SourceRowsSession> => {
    let isLost = false;
    return Promise.resolve({
      get isLost() {
        return isLost;
      },
      begin: () => Promise.resolve({ sequence: ++sequence, begunUs: 0n }),
      // Every other row is new.
      insert: (found: FoundRows) =>
        Promise.resolve(found).then(() => {
          now += 5;
          const isNew = (i: number): boolean => i % 2 === 0;
          const fresh = found.rows.filter((_, i) => isNew(i));
          merge({ ...found, rows: fresh }, () => {
            isLost = true;
          });
          for (const { key } of fresh)
            merged.push({ table: found.table, key: key.text, sequence: found.mark.sequence });
          return { left: found.rows.flatMap((_, i) => (isNew(i) ? [] : [i])), waitedMs: 0, askedMs: 5 };
        }),
      merge: (found: FoundRows) =>
        Promise.resolve(found).then(() => {
          now += 5;
          const outcomes = merge(found, () => {
            isLost = true;
          });
          for (const { key } of found.rows)
            merged.push({ table: found.table, key: key.text, sequence: found.mark.sequence });
          return { outcomes, waitedMs: 0, askedMs: 5 };
        }),
      close: () => undefined,
    });
  };
  const parts: BackfillParts = {
    jobs: jobs.store,
    table,
    statics,
    open,
    shards: [{ topic: 't', incarnation: 1, partition: 0 }],
    scan,
    problemOf: () => null,
    warn: ({ code }) => warnings.push(code),
    elapsedMs: () => now,
    pause: (ms, signal) => {
      // Heartbeats wait for the end; all other pauses pass at once.
      if (ms === 5_000)
        return new Promise((resolve) =>
          signal.addEventListener('abort', () => {
            resolve();
          }),
        );
      now += ms;
      return Promise.resolve();
    },
  };
  return {
    jobs,
    merged,
    warnings,
    run: (more = {}, rate = null, signal = new AbortController().signal) =>
      new BackfillRun({ ...parts, ...more }, jobs.job, { ratePerSecond: rate, onProgress: () => undefined }).run(
        signal,
      ),
    drawn: () => sequence,
    elapsed: () => now,
  };
}

const failure = (code: string, kind: 'row' | 'transient' | 'config'): LockstepError =>
  new LockstepError(code, { code, kind });

describe('a backfill', () => {
  it('merges every row, then static columns, and says how many', async () => {
    const { run, merged } = rig();
    expect(await run()).toMatchObject({
      status: 'COMPLETED',
      covered: 1,
      counts: { rows: PAGES * ROWS, statics: 1, written: PAGES * ROWS + 1, failed: 0 },
    });
    expect(merged.map(({ key }) => key).sort()).toEqual([...keysOf(all), '["0"]'].sort());
    expect(merged.at(-1)?.table).toBe(statics.name);
  });

  it('draws a sequence for each page, before the page is read, and reads on while it writes', async () => {
    const read: bigint[] = [];
    const written: number[] = [];
    const { run, merged, drawn } = rig(({ rows }) => {
      written.push(read.length);
      return rows.map(() => 'written');
    });
    await run({
      async *scan(which, from) {
        const pages = scan(which, from);
        for (;;) {
          read.push(drawn());
          const page = await pages.next();
          if (page.done === true) return;
          yield page.value;
        }
      },
    });
    expect(new Set(merged.map(({ sequence }) => sequence)).size).toBe(PAGES + 1);
    // A reading more than there are pages, for each table, says that there are no more.
    expect(read).toEqual(Array.from({ length: PAGES + 3 }, (_, i) => BigInt(i + 1)));
    expect(written.slice(0, 2)).toEqual([2, 2]);
  });

  it('leaves out the one row that the target refuses', async () => {
    const { run, merged, warnings } = rig(({ rows }) => {
      if (keysOf(rows).includes('["77"]')) throw failure('PG_23514', 'row');
      return rows.map(() => 'written');
    });
    expect(await run()).toMatchObject({
      status: 'COMPLETED',
      counts: { rows: PAGES * ROWS, failed: 1 },
      failures: { PG_23514: 1 },
    });
    expect(keysOf(all).filter((key) => !merged.some((each) => each.key === key))).toEqual(['["77"]']);
    expect(warnings).toEqual(['PG_23514']);
  });

  it('steps back where the gate is busy, and asks again', async () => {
    let busy = 3;
    const { run } = rig(({ rows }) => {
      if (busy-- > 0) throw failure('GATE_BUSY', 'transient');
      return rows.map(() => 'unchanged');
    });
    expect(await run()).toMatchObject({
      status: 'COMPLETED',
      counts: { written: (PAGES * ROWS) / 2 + 1, unchanged: (PAGES * ROWS) / 2 },
    });
  });

  it('reads a page again whose session was lost: its sequence is void', async () => {
    let turns = 0;
    const { run, merged } = rig(({ rows }, lose) => {
      if (++turns === 3) {
        lose();
        throw failure('PG_57P01', 'transient');
      }
      return rows.map(() => 'written');
    });
    expect(await run()).toMatchObject({
      status: 'COMPLETED',
      counts: { rows: PAGES * ROWS, written: PAGES * ROWS + 1 },
    });
    expect(new Set(merged.map(({ key }) => key))).toEqual(new Set(keysOf(all)));
  });

  it('ends where the source fails for good, and goes on there when it is resumed', async () => {
    const first = rig();
    const broken = await first.run({
      async *scan(which, from) {
        for await (const page of scan(which, from)) {
          if (page.position.token === 4n) throw failure('SOURCE_UNREACHABLE', 'transient');
          yield page;
        }
      },
    });
    expect(broken).toMatchObject({ status: 'FAILED', error: 'SOURCE_UNREACHABLE', counts: { rows: 4 * ROWS } });
    const second = rig();
    second.jobs.job = { ...first.jobs.job, status: 'RUNNING' };
    expect(await second.run()).toMatchObject({ status: 'COMPLETED', counts: { rows: PAGES * ROWS } });
    expect(
      second.merged
        .slice(0, -1)
        .map(({ key }) => key)
        .sort(),
    ).toEqual(
      keysOf(all)
        .slice(4 * ROWS)
        .sort(),
    );
  });

  it('does not outlast columns that it does not know', async () => {
    const { run } = rig(() => {
      throw failure('SCHEMA_BEHIND', 'transient');
    });
    expect(await run()).toMatchObject({ status: 'FAILED', error: 'SCHEMA_BEHIND' });
  });

  it('stops between two transactions', async () => {
    const stop = new AbortController();
    let turns = 0;
    const { run } = rig(({ rows }) => {
      if (++turns === 2) stop.abort(new Error('interrupted'));
      return rows.map(() => 'written');
    });
    expect(await run({}, null, stop.signal)).toMatchObject({ status: 'FAILED', error: 'interrupted' });
    expect(turns).toBe(2);
  });

  it('keeps to its rate, and asks for the gate a fifth of the time at most', async () => {
    const free = rig();
    await free.run();
    const turns = new Set(free.merged.map(({ sequence }) => sequence)).size;
    expect(free.elapsed()).toBeGreaterThanOrEqual((turns - 1) * 25);
    const slow = rig();
    await slow.run({}, 100);
    expect(slow.elapsed()).toBeGreaterThanOrEqual(((PAGES - 1) * ROWS * 1000) / 100);
  });
});

describe('the state of a backfill', () => {
  it('survives JSON', () => {
    const state = {
      phase: 'rows',
      position: { token: -(2n ** 62n), key: [Buffer.from([0, 255]), Buffer.alloc(0)] },
    } as const;
    expect(stateOf({ state: JSON.parse(JSON.stringify(stateDocument(state))) as unknown })).toEqual(state);
    expect(stateOf({ state: null })).toEqual({ phase: 'rows', position: null });
  });

  it('tells how much of the ring is behind it', () => {
    const at = (token: bigint) => ({ token, key: null });
    expect(coveredShare({ phase: 'rows', position: null }, false)).toBe(0);
    expect(coveredShare({ phase: 'rows', position: at(0n) }, false)).toBeCloseTo(0.5);
    expect(coveredShare({ phase: 'rows', position: at(WHOLE_RING.upTo) }, true)).toBeCloseTo(0.9);
    expect(coveredShare({ phase: 'statics', position: at(WHOLE_RING.upTo) }, true)).toBeCloseTo(1);
  });
});
