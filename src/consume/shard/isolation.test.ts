import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LockstepError } from '../../shared/errors.ts';
import { partsOf } from './apply-batch-of.ts';
import { applyAll, type IsolationPorts } from './isolation.ts';
import type { Item } from './item.ts';
import type { Stretch } from './shard-queue.ts';

/** How the target's message tells of the guilty row: not at all, rightly, beyond doubt, or naming another row of the batch. */
type Naming = 'none' | 'right' | 'proven' | 'wrong';

/** A change of a row of its own at an offset; offsets have holes, as in a compacted topic. */
function changeAt(offset: bigint): Item {
  const record = { offset } as Item['record'];
  const change = { kind: 'write', key: { text: String(offset) } };
  return { kind: 'change', record, bytes: 10, change, id: '', fingerprint: '' } as unknown as Item;
}

function skippedAt(offset: bigint): Item {
  return { kind: 'skipped', record: { offset } as Item['record'], bytes: 5 };
}

function stretchOf(kinds: readonly ('change' | 'skipped')[]): Stretch {
  const items = kinds.map((kind, at) => (kind === 'change' ? changeAt : skippedAt)(BigInt(at * 2 + 1)));
  return {
    items,
    from: 0n,
    next: BigInt(kinds.length * 2 + 7),
    bytes: items.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}

/** A target that refuses some offsets and keeps what it was given otherwise. */
class Refusing {
  next = 0n;
  attempts = 0;
  trials = 0;
  readonly committed: bigint[] = [];
  readonly refused: bigint[] = [];
  readonly sent: number[] = [];
  readonly ports: IsolationPorts;

  constructor(guilty: ReadonlySet<bigint>, naming: Naming) {
    const failure = (suspect: bigint | undefined): LockstepError =>
      new LockstepError('refused', {
        code: 'PG_23514',
        kind: 'row',
        ...(suspect === undefined ? {} : { suspect: String(suspect), isSuspectProven: naming === 'proven' }),
      });
    this.ports = {
      place: 't/0',
      signal: new AbortController().signal,
      attempt: (stretch) => {
        this.attempts += 1;
        expect(stretch.from).toBe(this.next);
        const offsets = stretch.items.flatMap(({ kind, record }) => (kind === 'change' ? [record.offset] : []));
        this.sent.push(offsets.length);
        const bad = offsets.find((offset) => guilty.has(offset));
        const innocent = offsets.find((offset) => !guilty.has(offset));
        const named = { none: undefined, right: bad, proven: bad, wrong: innocent }[naming];
        if (bad !== undefined) return Promise.resolve({ kind: 'cut', error: failure(named) });
        this.committed.push(...offsets);
        for (const item of stretch.items) if (item.kind === 'refused') this.refused.push(item.record.offset);
        this.next = stretch.next;
        return Promise.resolve({ kind: 'committed' });
      },
      refusalOf: (stretch, { record }) => {
        this.trials += 1;
        expect(stretch.from).toBe(this.next);
        return Promise.resolve(guilty.has(record.offset) ? failure(undefined) : null);
      },
      foundGuilty: ({ record }) => {
        expect(guilty.has(record.offset)).toBe(true);
      },
    };
  }
}

const ascending = (offsets: Iterable<bigint>): bigint[] => [...offsets].sort((a, b) => Number(a - b));

describe('isolation', () => {
  it('commits every innocent change, in order, refuses exactly the guilty ones, and passes every offset', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom('change' as const, 'change' as const, 'skipped' as const), { maxLength: 300 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })),
        fc.constantFrom<Naming>('none', 'right', 'proven', 'wrong'),
        async (kinds, share, draws, naming) => {
          const stretch = stretchOf(kinds);
          const changes = stretch.items.filter(({ kind }) => kind === 'change').map(({ record }) => record.offset);
          const guilty = new Set(changes.filter(() => draws.next().value! < share));
          const target = new Refusing(guilty, naming);
          expect(await applyAll([stretch], target.ports)).toEqual({ kind: 'committed' });
          expect(target.next).toBe(stretch.next);
          expect(target.committed).toEqual(changes.filter((offset) => !guilty.has(offset)));
          expect(target.refused).toEqual(ascending(guilty));
          // Bounded: three transactions for a named change, and where none is named the ways down to it, eight wide.
          const levels = Math.ceil(Math.log(Math.max(2, changes.length)) / Math.log(8)) + 1;
          expect(target.attempts + target.trials).toBeLessThanOrEqual(1 + guilty.size * (8 * levels * 2 + 3));
        },
      ),
    );
  });

  it('a change that PostgreSQL names costs one trial and one more attempt', async () => {
    const target = new Refusing(new Set([1001n]), 'right');
    await applyAll([stretchOf(Array.from({ length: 2000 }, () => 'change'))], target.ports);
    expect({ attempts: target.attempts, trials: target.trials }).toEqual({ attempts: 2, trials: 1 });
  });

  it('one of which it is certain costs one more attempt', async () => {
    const target = new Refusing(new Set([1001n]), 'proven');
    await applyAll([stretchOf(Array.from({ length: 2000 }, () => 'change'))], target.ports);
    expect({ attempts: target.attempts, trials: target.trials }).toEqual({ attempts: 2, trials: 0 });
    expect(target.refused).toEqual([1001n]);
  });

  it('one that it does not name has the others sent 1.2 times again, not twice', async () => {
    const target = new Refusing(new Set([1001n]), 'none');
    await applyAll([stretchOf(Array.from({ length: 2000 }, () => 'change'))], target.ports);
    const sent = target.sent.reduce((sum, changes) => sum + changes, 0);
    expect(sent / 2000 - 1).toBeLessThan(1.2);
    expect(target.attempts).toBeLessThan(4 * 8 + 2);
  });

  it('gives up a stretch that fails without any change, saying where', async () => {
    const ports: IsolationPorts = {
      place: 't/0',
      signal: new AbortController().signal,
      attempt: () => Promise.resolve({ kind: 'cut', error: new LockstepError('no', { code: 'X', kind: 'row' }) }),
      refusalOf: () => Promise.resolve(null),
      foundGuilty: () => undefined,
    };
    const outcome = await applyAll([stretchOf(['skipped'])], ports);
    expect(outcome).toMatchObject({ kind: 'stopped', stop: { code: 'X' } });
    expect(
      JSON.stringify(outcome, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value)),
    ).toContain('t/0 at offset 0');
  });

  it('stops between two parts when it is told to', async () => {
    const stop = new AbortController();
    const target = new Refusing(new Set(), 'none');
    const attempt = (stretch: Stretch): ReturnType<IsolationPorts['attempt']> => {
      stop.abort();
      return target.ports.attempt(stretch);
    };
    const parts = partsOf(stretchOf(Array.from({ length: 10 }, () => 'change')), 2);
    expect(await applyAll(parts, { ...target.ports, signal: stop.signal, attempt })).toEqual({ kind: 'cancelled' });
    expect(target.next).toBe(parts[0]!.next);
  });

  it('parts of a stretch join up again', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('change' as const, 'skipped' as const), { maxLength: 60 }),
        fc.integer({ min: 1, max: 9 }),
        (kinds, count) => {
          const stretch = stretchOf(kinds);
          const parts = partsOf(stretch, count);
          expect(parts.length).toBeLessThanOrEqual(Math.max(1, count));
          expect(parts.flatMap(({ items }) => items)).toEqual(stretch.items);
          expect([parts[0]!.from, parts.at(-1)!.next]).toEqual([stretch.from, stretch.next]);
          for (const [at, part] of parts.entries()) if (at > 0) expect(part.from).toBe(parts[at - 1]!.next);
          expect(parts.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(stretch.bytes);
        },
      ),
    );
  });
});
