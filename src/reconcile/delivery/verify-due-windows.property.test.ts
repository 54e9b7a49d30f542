/** Rounds of verification over hours, while the clocks of writers, of this process and of PostgreSQL are minutes apart. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { WindowRow, WindowUpdate } from '../../target/stores/window-store.ts';
import type { ChangelogEntry } from './changelog.ts';
import { verifyDueWindows, type WindowRounds, type WindowRows } from './verify-due-windows.ts';
import { firstIdAt, msOfId, windowStart } from './window.ts';

const never = new AbortController().signal;
const MINUTE = 60_000;
const SKEW_MS = 5 * MINUTE;
const SIZE_MS = MINUTE;
/** The last one is longer than twice the skew: a writer that is behind, seen by a member that is ahead. */
const HORIZONS_MS = [5 * MINUTE, 30 * MINUTE];
const BEGIN_MS = 1_000 * MINUTE;

/** `_cdc_windows` by the rules of its SQL (window-store.ts, tested on PostgreSQL). */
class StoredRows implements WindowRows {
  readonly rows = new Map<number, WindowRow>();
  readonly #registeredMs: number;
  readonly #nowMs: () => number;

  constructor(registeredMs: number, nowMs: () => number) {
    this.#registeredMs = registeredMs;
    this.#nowMs = nowMs;
  }

  unfinishedSinceMs(_table: string, horizons: number): Promise<number | null> {
    const rows = [...this.rows.values()];
    const open = rows.filter((row) => row.rounds < horizons || row.verdict !== 'PASS').map((row) => row.startMs);
    if (open.length > 0) return Promise.resolve(Math.min(...open));
    return Promise.resolve(rows.length === 0 ? this.#registeredMs : Math.max(...rows.map((row) => row.endMs)));
  }

  list({ fromMs = 0 }: Parameters<WindowRows['list']>[0]): Promise<readonly WindowRow[]> {
    return Promise.resolve([...this.rows.values()].filter((row) => row.endMs > fromMs));
  }

  missing(): Promise<number> {
    const drifting = [...this.rows.values()].filter(({ verdict }) => verdict === 'DRIFT');
    return Promise.resolve(drifting.reduce((sum, row) => sum + row.missing, 0));
  }

  save(update: WindowUpdate): Promise<void> {
    const before = this.rows.get(update.startMs);
    this.rows.set(update.startMs, {
      ...update,
      rounds: Math.max(before?.rounds ?? 0, update.rounds),
      late: (before?.late ?? 0) + update.late,
      reopened: (before?.reopened ?? 0) + (update.reopened ? 1 : 0),
      verifiedAt: new Date(this.#nowMs()),
    });
    return Promise.resolve();
  }
}

const write = fc.record({
  atMs: fc.integer({ min: 0, max: 40 * MINUTE }),
  skewMs: fc.integer({ min: -SKEW_MS, max: SKEW_MS }),
  lost: fc.boolean(),
});
const skew = fc.constantFrom(-SKEW_MS, 0, SKEW_MS);

it('accounts for every change in the end, each once, and calls missing only what is lost, whatever the clocks say', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(write, { maxLength: 30 }), skew, skew, async (writes, ownSkewMs, databaseSkewMs) => {
      let nowMs = BEGIN_MS;
      const changes = writes.map(({ atMs, skewMs, lost }, n) => {
        const id = firstIdAt(BEGIN_MS + atMs + skewMs).slice(0, 12) + n.toString(16).padStart(20, '0');
        return { id, visibleMs: BEGIN_MS + atMs, lost };
      });
      const visible = () => changes.filter(({ visibleMs }) => visibleMs <= nowMs);
      const store = new StoredRows(BEGIN_MS + databaseSkewMs, () => nowMs + databaseSkewMs);
      let newly = 0;
      let missingNow = 0;
      const rounds: WindowRounds = {
        store,
        lost: null,
        schedule: { sizeMs: SIZE_MS, horizonsMs: HORIZONS_MS },
        clock: { nowMs: () => nowMs + ownSkewMs },
        verifier: {
          hasCollections: () => false,
          changelog: {
            name: 'cassandra',
            async *read(_table, window) {
              const entries = visible()
                .filter(({ id }) => msOfId(id) >= window.startMs && msOfId(id) < window.endMs)
                .map(({ id }): ChangelogEntry => ({ id, evidence: { kind: 'key', changeKind: 'write', key: [id] } }));
              yield await Promise.resolve(entries);
            },
          },
          ledger: {
            async *segments() {
              const ids = visible()
                .filter(({ lost }) => !lost)
                .map(({ id }) => id)
                .sort();
              yield await Promise.resolve([
                { ids: Buffer.from(ids.join(''), 'hex'), outcomes: Buffer.alloc(ids.length) },
              ]);
            },
          },
          replay: null,
        },
        barrier: () => Promise.resolve({ unproven: null, silent: null }),
        observer: {
          verified: (_table, _found, { newlyMissing }) => {
            newly += newlyMissing;
          },
          missing: (_table, count) => {
            missingNow = count;
          },
          oldestUnverified: () => undefined,
          failed: (_table, reason) => {
            throw new Error(reason);
          },
        },
      };
      for (; nowMs <= BEGIN_MS + 90 * MINUTE; nowMs += 2 * MINUTE) await verifyDueWindows(rounds, 'k.t', never);

      // Before the table was registered there is no ledger to compare with.
      const covered = changes.filter(({ id }) => msOfId(id) >= windowStart(BEGIN_MS + databaseSkewMs, SIZE_MS));
      const lost = covered.filter((change) => change.lost).length;
      const rows = [...store.rows.values()];
      expect(rows.reduce((sum, row) => sum + row.changelog, 0)).toBe(covered.length);
      expect(rows.reduce((sum, row) => sum + row.missing, 0)).toBe(lost);
      expect([newly, missingNow]).toEqual([lost, lost]);
      expect(rows.filter(({ verdict }) => verdict === 'INCONCLUSIVE')).toEqual([]);
    }),
    { numRuns: 100 },
  );
});
