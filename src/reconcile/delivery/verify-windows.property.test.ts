/** Delivery windows in a simulated world of clocks that are minutes apart and a capture that holds and loses changes. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { ChangelogEntry } from './changelog.ts';
import { verifyWindows, type WindowVerifier } from './verify-windows.ts';
import { firstIdAt, msOfId } from './window.ts';

const never = new AbortController().signal;
const SKEW_MS = 300_000;
const NOW_MS = 100 * 60_000;

interface Change {
  readonly id: string;
  readonly lost: boolean;
}

/** One step of the world, while windows are verified. */
type Step = { readonly do: 'write'; readonly skewMs: number; readonly lost: boolean } | { readonly do: 'deliver' };

class World {
  readonly changelog: Change[] = [];
  readonly #captured: Change[] = [];
  readonly ledger = new Set<string>();
  readonly #steps: Step[];
  #serial = 0;

  constructor(steps: readonly Step[]) {
    this.#steps = [...steps];
  }

  /** What happens between any two looks at the world. */
  goOn(): void {
    const step = this.#steps.shift();
    if (step?.do === 'write') this.#write(step.skewMs, step.lost);
    if (step?.do === 'deliver') this.#deliver();
  }

  /** The change and its entry become visible at once; its event is in the capture, or lost in it. */
  #write(skewMs: number, lost: boolean): void {
    this.#serial += 1;
    const id = firstIdAt(NOW_MS + skewMs).slice(0, 12) + this.#serial.toString(16).padStart(20, '0');
    this.changelog.push({ id, lost });
    if (!lost) this.#captured.push({ id, lost });
  }

  #deliver(): void {
    const next = this.#captured.shift();
    if (next !== undefined) this.ledger.add(next.id);
  }

  /** Heartbeats and log ends: everything that is in the capture now comes through, and more happens meanwhile. */
  barrier(): void {
    const due = this.#captured.length;
    for (let i = 0; i < due; i++) this.#deliver();
    this.goOn();
  }
}

const step = fc.oneof(
  fc.record({
    do: fc.constant('write' as const),
    skewMs: fc.integer({ min: -SKEW_MS, max: SKEW_MS }),
    lost: fc.boolean(),
  }),
  fc.constant({ do: 'deliver' as const }),
);

it('calls missing exactly what is lost, however far the clocks of writers are apart and whatever is written meanwhile', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), fc.integer({ min: 0, max: 40 }), async (steps, before) => {
      const world = new World(steps);
      for (let i = 0; i < before; i++) world.goOn();
      const readBy = new Set<string>();
      async function* read(window: { startMs: number; endMs: number }): AsyncIterable<readonly ChangelogEntry[]> {
        for (const { id } of [...world.changelog]) {
          if (msOfId(id) < window.startMs || msOfId(id) >= window.endMs) continue;
          readBy.add(id);
          yield await Promise.resolve([{ id, evidence: { kind: 'key' as const, changeKind: 'write', key: [id] } }]);
          world.goOn();
        }
      }
      async function* segments(): AsyncIterable<readonly { ids: Buffer; outcomes: Buffer }[]> {
        const sorted = [...world.ledger].sort();
        yield await Promise.resolve([
          { ids: Buffer.from(sorted.join(''), 'hex'), outcomes: Buffer.alloc(sorted.length) },
        ]);
        world.goOn();
      }
      const verifier: WindowVerifier = {
        changelog: { name: 'cassandra', read: (_table, window) => read(window) },
        ledger: { segments: () => segments() },
        hasCollections: () => false,
        replay: null,
      };
      // Windows that reach beyond what any writer's clock can say: nothing is too young to be looked at.
      const windows = Array.from({ length: 12 }, (_, i) => ({
        startMs: NOW_MS - SKEW_MS + i * 60_000,
        endMs: NOW_MS - SKEW_MS + (i + 1) * 60_000,
      }));
      const found = await verifyWindows(
        verifier,
        'k.t',
        windows,
        () => {
          world.barrier();
          return Promise.resolve({ unproven: null, silent: null });
        },
        never,
      );
      const lost = world.changelog.filter((change) => change.lost && readBy.has(change.id));
      for (const { window, account, verdict } of found) {
        const own = lost.filter(({ id }) => msOfId(id) >= window.startMs && msOfId(id) < window.endMs);
        expect([account.missing, verdict === 'DRIFT']).toEqual([own.length, own.length > 0]);
      }
    }),
    { numRuns: 500 },
  );
});
