import { describe, expect, it } from 'vitest';
import { changeIdOf } from '../../change/changelog-entry.ts';
import type { ChangelogEntry } from './changelog.ts';
import { verifyWindows, type Barrier, type Replay, type WindowVerifier } from './verify-windows.ts';
import { firstIdAt } from './window.ts';

const WINDOW = { startMs: 1_000, endMs: 2_000 };
const never = new AbortController().signal;

/** IDs spread over the window's milliseconds, `perMs` in each. */
function ids(count: number, perMs = 1): string[] {
  return Array.from({ length: count }, (_, i) => {
    const time = firstIdAt(WINDOW.startMs + Math.floor(i / perMs)).slice(0, 12);
    return time + i.toString(16).padStart(20, '0');
  });
}

/** A changelog and a ledger in memory, and what happened to them. */
interface World {
  readonly changelog: readonly string[];
  ledger: readonly string[];
  readonly unproven: string | null;
  /** Runs when the changelog has been read once. */
  readonly afterReading?: () => void;
}

function verifierOf(world: World, replay: Replay | null = null): WindowVerifier {
  const within = (list: readonly string[], from: string, to: string): string[] =>
    list.filter((id) => id >= from && id < to);
  async function* read(window: { startMs: number; endMs: number }): AsyncIterable<readonly ChangelogEntry[]> {
    const found = within(world.changelog, firstIdAt(window.startMs), firstIdAt(window.endMs));
    // Every entry twice: an account may repeat itself.
    for (const id of [...found, ...found]) {
      yield await Promise.resolve([{ id, evidence: { kind: 'key' as const, changeKind: 'write', key: [id] } }]);
    }
    world.afterReading?.();
  }
  async function* segments(from: string, to: string): AsyncIterable<readonly { ids: Buffer; outcomes: Buffer }[]> {
    const sorted = within(world.ledger, from, to).sort();
    yield await Promise.resolve([{ ids: Buffer.from(sorted.join(''), 'hex'), outcomes: Buffer.alloc(sorted.length) }]);
  }
  return {
    changelog: { name: 'cassandra', read: (_table, window) => read(window) },
    ledger: { segments: (_table, from, to) => segments(from, to) },
    hasCollections: () => false,
    replay,
  };
}

const barrierOf =
  (unproven: string | null): Barrier =>
  () =>
    Promise.resolve({ unproven, silent: null });

async function verify(verifier: WindowVerifier, unproven: string | null, maxIds?: number) {
  const [found] = await verifyWindows(verifier, 'k.t', [WINDOW], barrierOf(unproven), never, maxIds);
  return found;
}

describe('verifying a window', () => {
  it('finds exactly what the ledger lacks', async () => {
    const all = ids(100);
    const lost = new Set([all[0], all[50], all[99]]);
    const world: World = { changelog: all, ledger: all.filter((id) => !lost.has(id)), unproven: null };
    const found = await verify(verifierOf(world), world.unproven);
    expect(found).toMatchObject({
      verdict: 'DRIFT',
      replayed: 0,
      account: { changelog: 100, processed: 97, missing: 3 },
    });
  });

  it('replays what is missing and judges what the ledger holds then', async () => {
    const all = ids(10);
    const world: World = { changelog: all, ledger: all.slice(2), unproven: null };
    const replay: Replay = (_table, entries) => {
      // The second one can't be applied.
      world.ledger = [...world.ledger, entries[0]?.id ?? ''];
      return Promise.resolve(new Set([entries[0]?.id ?? '']));
    };
    const found = await verify(verifierOf(world, replay), world.unproven);
    expect(found).toMatchObject({ verdict: 'DRIFT', replayed: 1, account: { processed: 9, missing: 1 } });
  });

  it('replays nothing before the barrier: it may be on its way', async () => {
    const all = ids(10);
    const world: World = { changelog: all, ledger: all.slice(2), unproven: 'behind' };
    const replay: Replay = () => Promise.reject(new Error('must not be asked'));
    const found = await verify(verifierOf(world, replay), world.unproven);
    expect(found).toMatchObject({ verdict: 'INCONCLUSIVE', reason: 'behind', replayed: 0 });
  });

  it('does not call missing what came through the door while the changelog was read', async () => {
    const all = ids(10);
    const world: World = {
      changelog: all,
      ledger: all.slice(2),
      unproven: null,
      afterReading: () => {
        world.ledger = all;
      },
    };
    const found = await verify(verifierOf(world), world.unproven);
    expect(found).toMatchObject({ verdict: 'PASS', account: { changelog: 10, processed: 10, missing: 0 } });
  });

  it('halves a window that holds more IDs than may be held at once, and counts the same', async () => {
    const all = ids(1_000);
    const world: World = { changelog: all, ledger: all.slice(0, 990), unproven: null };
    const found = await verify(verifierOf(world), world.unproven, 100);
    expect(found).toMatchObject({ verdict: 'DRIFT', account: { changelog: 1_000, processed: 990, missing: 10 } });
  });

  it('gives up, saying so, where one millisecond alone holds too many', async () => {
    const world: World = { changelog: ids(200, 200), ledger: [], unproven: null };
    await expect(verify(verifierOf(world), world.unproven, 100)).rejects.toMatchObject({
      code: 'WINDOW_TOO_LARGE',
    });
  });

  it('tells consecutive windows apart by one reading of both sides, also where they have to be halved', async () => {
    const all = ids(1_000);
    const world: World = { changelog: all, ledger: all.filter((_, i) => i % 100 !== 0), unproven: null };
    const windows = Array.from({ length: 4 }, (_, i) => ({ startMs: 1_000 + i * 250, endMs: 1_250 + i * 250 }));
    for (const maxIds of [10_000, 700, 100]) {
      const found = await verifyWindows(verifierOf(world), 'k.t', windows, barrierOf(null), never, maxIds);
      expect(found.map(({ window, account }) => [window.startMs, account.changelog, account.missing])).toEqual([
        [1_000, 250, 3],
        [1_250, 250, 2],
        [1_500, 250, 3],
        [1_750, 250, 2],
      ]);
    }
  });
});

describe('a write that only empties a collection', () => {
  // Of the window's first millisecond, and of its last: the microsecond before is in the window before, or in this one.
  const writeTimes = [BigInt(WINDOW.startMs) * 1000n, BigInt(WINDOW.endMs) * 1000n - 5n];
  const idOf = (writeTime: bigint): string =>
    changeIdOf({ table: 'k.t', kind: 'write', key: ['1'], bounds: null, writeTime });
  const verifierWith = (world: World, hasCollections = true): WindowVerifier => ({
    ...verifierOf(world),
    changelog: {
      name: 'cassandra',
      async *read(_table, { startMs, endMs }) {
        const found = world.changelog.filter((id) => id >= firstIdAt(startMs) && id < firstIdAt(endMs));
        yield await Promise.resolve(
          found.map((id) => ({ id, evidence: { kind: 'key' as const, changeKind: 'write' as const, key: ['1'] } })),
        );
      },
    },
    hasCollections: () => hasCollections,
  });

  it('is known to the ledger by the microsecond before, with its outcome there', async () => {
    for (const writeTime of writeTimes) {
      const world: World = { changelog: [idOf(writeTime)], ledger: [idOf(writeTime - 1n)], unproven: null };
      expect(await verify(verifierWith(world), null)).toMatchObject({
        verdict: 'PASS',
        account: { changelog: 1, processed: 1, missing: 0, unexpected: 0 },
      });
    }
  });

  it('is missing where what stands there is another change of the changelog, or nothing', async () => {
    for (const writeTime of writeTimes) {
      const other = idOf(writeTime - 1n);
      const world: World = { changelog: [idOf(writeTime), other], ledger: [other], unproven: null };
      expect(await verify(verifierWith(world), null)).toMatchObject({ verdict: 'DRIFT', account: { missing: 1 } });
      const without: World = { changelog: [idOf(writeTime)], ledger: [idOf(writeTime - 2n)], unproven: null };
      expect(await verify(verifierWith(without), null)).toMatchObject({ verdict: 'DRIFT', account: { missing: 1 } });
    }
  });

  it('is not looked for in a table without collections', async () => {
    const [writeTime = 0n] = writeTimes;
    const world: World = { changelog: [idOf(writeTime)], ledger: [idOf(writeTime - 1n)], unproven: null };
    expect(await verify(verifierWith(world, false), null)).toMatchObject({ verdict: 'DRIFT', account: { missing: 1 } });
  });
});
