/**
 * Exactly the guilty changes are set aside, whatever happens while they are looked for: answers to COMMIT that are lost,
 * connections that break before or in a trial, another owner who goes on from the same position, the DLQ that is away.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DeadLetter } from '../../deadletter/dead-letter.ts';
import { seededRandom } from '../../reconcile/end-state/ring-sample.ts';
import { LockstepError } from '../../shared/errors.ts';
import type { ApplyBatch, ApplyManner, ApplyResult } from '../../target/batch.ts';
import { BatchApplier } from './batch-applier.ts';
import type { Item } from './item.ts';
import { defaultLimits } from '../limits.ts';
import { silentObserver } from '../observer.ts';
import { RecentFingerprints } from './recent-fingerprints.ts';
import type { Stretch } from './shard-queue.ts';

const shard = { topic: 't', incarnation: 1, partition: 0 };
const MAX_STRETCH = 60;

/** What happens to a call of the door or the DLQ. */
type Luck = 'well' | 'breaks before' | 'answer lost' | 'somebody else' | 'times out';
type Naming = 'none' | 'right' | 'proven' | 'wrong';

const transient = (code: string): LockstepError => new LockstepError('away', { code, kind: 'transient' });

/** Two changes of each row, now and then a copy of the record before. */
function itemAt(offset: bigint, isCopy: boolean): Item {
  const row = String(offset / 2n);
  const record = { topic: 't', partition: 0, offset, timestampMs: 0, key: null, value: Buffer.from(row), headers: [] };
  const told = isCopy ? offset - 1n : offset;
  const change = { kind: 'write', key: { text: row } };
  const item = { kind: 'change', record, bytes: 1, change, id: `id${told}`, fingerprint: `f${told}` };
  return item as unknown as Item;
}

/** A target that refuses some changes and is unlucky otherwise. Positions are compared as in the real door. */
class Unlucky {
  next = 0n;
  readonly applied: bigint[] = [];
  readonly letters: bigint[] = [];
  readonly kept = new Set<bigint>();
  readonly #guilty: ReadonlySet<bigint>;
  readonly #naming: Naming;
  readonly #luck: () => Luck;
  /** Somebody else's turn: what a stale owner or a second member does with the records from the position. */
  other: (() => Promise<void>) | null = null;

  constructor(guilty: ReadonlySet<bigint>, naming: Naming, luck: () => Luck) {
    this.#guilty = guilty;
    this.#naming = naming;
    this.#luck = luck;
  }

  async apply(batch: ApplyBatch, manner: ApplyManner = {}): Promise<ApplyResult> {
    const luck = this.#luck();
    if (luck === 'breaks before') throw transient('PG_CONNECTION');
    if (luck === 'times out') throw transient('STATEMENT_TIMEOUT');
    if (luck === 'somebody else') await this.other?.();
    if (batch.from !== this.next) return { kind: 'fenced', storedNext: this.next };
    const offsets = batch.changes.map(({ offset }) => offset);
    const bad = offsets.find((offset) => this.#guilty.has(offset));
    if (bad !== undefined) throw this.#refusal(bad, offsets);
    if (manner.trial === true) return this.#committed(0);
    for (const { offset } of batch.deadLetters) expect(this.kept.has(offset), `${offset} was kept first`).toBe(true);
    this.next = batch.next;
    this.applied.push(...offsets);
    this.letters.push(...batch.deadLetters.map(({ offset }) => offset));
    if (luck === 'answer lost') throw transient('COMMIT_NOT_CONFIRMED');
    return this.#committed(offsets.length);
  }

  put(letters: readonly DeadLetter[]): Promise<void> {
    if (this.#luck() === 'breaks before') return Promise.reject(transient('DLQ_UNAVAILABLE'));
    for (const { record } of letters) this.kept.add(record.offset);
    return Promise.resolve();
  }

  #committed(rows: number): ApplyResult {
    return { kind: 'committed', stats: { rows, superseded: 0, asked: new Set() } };
  }

  #refusal(bad: bigint, offsets: readonly bigint[]): LockstepError {
    const rowOf = (offset: bigint | undefined) => (offset === undefined ? undefined : String(offset / 2n));
    const innocent = offsets.find((offset) => !this.#guilty.has(offset) && offset / 2n !== bad / 2n);
    const suspect = { none: undefined, right: rowOf(bad), proven: rowOf(bad), wrong: rowOf(innocent) }[this.#naming];
    const isSuspectProven = this.#naming === 'proven';
    return new LockstepError('refused', { code: 'PG_23514', kind: 'row', suspect, isSuspectProven });
  }
}

function applierOn(target: Unlucky, draw: () => number): BatchApplier {
  return new BatchApplier({
    door: target,
    deadLetters: { put: (letters) => target.put(letters), forget: () => undefined, close: () => Promise.resolve() },
    breaker: { maxRatio: 1, minRecords: 1_000_000 },
    limits: defaultLimits,
    observer: silentObserver,
    clock: { nowMs: () => 0 },
    timers: { pause: () => Promise.resolve(), yield: () => Promise.resolve(), elapsedMs: () => 0, random: draw },
    recent: new RecentFingerprints(1_000),
    table: 'shop.t',
    onCommitted: () => undefined,
    onTrouble: () => undefined,
  });
}

/** The next records from the position, as a shard's queue would give them. */
function stretchFrom(items: readonly Item[], from: bigint, changes: number): Stretch {
  const own = items.slice(Number(from), Number(from) + changes);
  return { items: own, from, next: from + BigInt(own.length), bytes: own.length };
}

describe('isolation through the applier', () => {
  it('sets aside exactly the guilty changes, each once, and applies all others', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ isGuilty: fc.boolean(), isCopy: fc.boolean() }), { minLength: 1, maxLength: 200 }),
        fc.double({ min: 0, max: 0.4, noNaN: true }),
        fc.integer(),
        fc.constantFrom<Naming>('none', 'right', 'proven', 'wrong'),
        async (records, trouble, seed, naming) => {
          const draw = seededRandom(seed);
          const isCopy = (at: number) => at % 2 === 1 && records[at]?.isCopy === true;
          const items = records.map((_, at) => itemAt(BigInt(at), isCopy(at)));
          // A copy shares the guilt of what it is a copy of.
          const isGuilty = (at: number) => records[isCopy(at) ? at - 1 : at]!.isGuilty && draw() < 0.9;
          const guilty = new Set<bigint>();
          for (const at of records.keys()) {
            if (isCopy(at) ? guilty.has(BigInt(at - 1)) : isGuilty(at)) guilty.add(BigInt(at));
          }
          const kinds: readonly Luck[] = ['breaks before', 'answer lost', 'somebody else', 'times out'];
          const target = new Unlucky(guilty, naming, () => {
            const drawn = draw();
            return drawn < trouble ? kinds[Math.floor((drawn / trouble) * kinds.length)]! : 'well';
          });
          const work = async (applier: BatchApplier, signal: AbortSignal): Promise<void> => {
            const size = 1 + Math.floor(draw() * MAX_STRETCH);
            const outcome = await applier.apply(shard, stretchFrom(items, target.next, size), signal);
            // A change that timed out alone, often enough, waits for a person.
            const ends = ['committed', 'fenced', 'cancelled', ...(trouble > 0 ? ['stopped'] : [])];
            expect(ends).toContain(outcome.kind);
          };
          const second = applierOn(target, draw);
          let isOther = false;
          target.other = async () => {
            if (isOther) return;
            isOther = true;
            await work(second, new AbortController().signal);
            isOther = false;
          };
          let applier = applierOn(target, draw);
          for (let turn = 0; target.next < BigInt(items.length); turn += 1) {
            expect(turn).toBeLessThan(5_000);
            const stop = new AbortController();
            // A rebalance: what is under way ends, and a new owner begins at the position.
            if (draw() < trouble) queueMicrotask(() => stop.abort());
            await work(applier, stop.signal);
            if (stop.signal.aborted) applier = applierOn(target, draw);
          }
          const ascending = (offsets: Iterable<bigint>) => [...offsets].sort((a, b) => Number(a - b));
          expect(target.letters).toEqual(ascending(guilty));
          // Copies of what was applied need not be.
          const others = [...records.keys()].filter((at) => !guilty.has(BigInt(at)) && !isCopy(at));
          const applied = target.applied.filter((offset) => !isCopy(Number(offset)));
          expect(applied).toEqual(others.map((at) => BigInt(at)));
        },
      ),
      { numRuns: 200 },
    );
  });
});
