/**
 * What only the source can settle, each against the obvious version: two values of one write time whose bytes the target
 * has lost, and changes from behind the purged horizon.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { rowKey, type Cell, type ChangeEvent, type RowKey } from '../../src/change/change-event.ts';
import { identify } from '../../src/change/change-id.ts';
import { hinted, type SourceRow } from '../../src/change/hint.ts';
import type { CqlType } from '../../src/change/source-type.ts';
import { rereadPolicy } from '../../src/catalog/reread-policy.ts';
import type { Table } from '../../src/catalog/table.ts';
import { column, openDoorRig, scalar, tableOf, type DoorRig } from '../support/door-rig.ts';

const SCHEMA = 'reread_ties';
const frozenSet: CqlType = { kind: 'set', element: scalar('text'), frozen: true };
const rereads = { mode: 'apply', existenceChecks: true } as const;
const columns = [
  column('k', 'partition', scalar('int'), 'integer'),
  column('a', 'regular', scalar('text'), 'text'),
  column('f', 'regular', frozenSet, 'jsonb'),
  column('n', 'regular', scalar('decimal'), 'numeric'),
];
const table = tableOf('tie_asked', columns, { rereads, usesTtl: true });
const alone = tableOf('tie_alone', columns, { usesTtl: true });
const strict = tableOf(
  'tie_strict',
  [columns[0]!, column('a', 'regular', scalar('text'), 'text', { notNull: true }), ...columns.slice(2)],
  { rereads },
);

let rig: DoorRig;
const START_MS = 1_000_000_000_000;
beforeAll(async () => {
  rig = await openDoorRig(inject('postgresUrl'), [table, alone, strict], { schema: SCHEMA });
});
afterAll(() => rig.close());
async function clear(): Promise<void> {
  rig.clock.set(START_MS);
  for (const bound of rig.target.tables) await rig.pool.query(`TRUNCATE ${bound.target}`);
  for (const control of ['graveyard', 'range_tombstones', 'queue']) {
    await rig.pool.query(`TRUNCATE ${SCHEMA}._cdc_${control}`);
  }
  await rig.pool.query(`UPDATE ${SCHEMA}._cdc_tables SET purged_until = NULL`);
}
beforeEach(clear);

const one = rowKey(['1']);
const live = (writeTime: bigint, value: string, expiry: bigint | null = null): Cell => ({ writeTime, value, expiry });
const set = (...elements: string[]): string => JSON.stringify(elements);

interface Values {
  readonly a?: string | null;
  readonly f?: string | null;
  readonly n?: string | null;
}

function write(of: Table, at: bigint, values: Values, more: { insert?: boolean; expiry?: bigint } = {}): ChangeEvent {
  const { insert = false, expiry = null } = more;
  const change: ChangeEvent = {
    kind: 'write',
    table: of.name,
    key: one,
    writeTime: at,
    ambiguity: null,
    marker: insert ? { writeTime: at, expiry } : null,
    cells: [values.a, values.f, values.n].map((value) =>
      value === undefined ? null : { writeTime: at, value, expiry: value === null ? null : expiry },
    ),
  };
  const policy = rereadPolicy(of);
  return policy === null ? change : hinted(change, policy);
}

const apply = (of: Table, ...changes: ChangeEvent[]) => rig.apply(of, 0, changes);

function serve(answer: SourceRow, during: () => Promise<unknown> = () => Promise.resolve(), of = table) {
  return rig.target.rereads.serve(
    of.name,
    { topic: of.topic, incarnation: 1, partition: 0 },
    async (_, keys: readonly RowKey[]) => {
      await during();
      return keys.map(() => answer);
    },
    AbortSignal.timeout(60_000),
  );
}

async function shown(of = table): Promise<readonly unknown[]> {
  return (await rig.pool.query<Record<string, unknown>>(`SELECT a, f::text, n FROM ${of.targetTable}`)).rows;
}
const queued = async (): Promise<number> =>
  Number((await rig.pool.query<{ count: string }>(`SELECT count(*) FROM ${SCHEMA}._cdc_queue`)).rows[0]?.count);

describe('two values of one write time', () => {
  it.each([
    ['in one batch', true],
    ['one after the other', false],
  ])('whose bytes are lost are what the source says, %s, whichever the text order prefers', async (_, together) => {
    for (const winner of ['a', 'b']) {
      await clear();
      const [first, second] = [write(table, 10n, { f: set('a') }), write(table, 10n, { f: set('b') })];
      if (together) await apply(table, first, second);
      else {
        await apply(table, first);
        await apply(table, second);
      }
      expect(await queued()).toBe(1);
      await serve({ cells: [null, live(10n, set(winner)), null] });
      expect(await shown()).toEqual([{ a: null, f: `["${winner}"]`, n: null }]);
      expect(await queued()).toBe(0);
    }
  });

  it('are settled for good: a copy of the one that lost shows nothing, is asked again, and loses again', async () => {
    await apply(table, write(table, 10n, { f: set('b') }));
    await apply(table, write(table, 10n, { f: set('a') }));
    await serve({ cells: [null, live(10n, set('a')), null] });
    await apply(table, write(table, 10n, { f: set('b') }));
    expect(await shown()).toMatchObject([{ f: '["a"]' }]);
    await serve({ cells: [null, live(10n, set('a')), null] });
    expect(await shown()).toMatchObject([{ f: '["a"]' }]);
    expect(await queued()).toBe(0);
  });

  it('are not asked for where one is a copy of the other, or the times differ, or the bytes tell', async () => {
    await apply(table, write(table, 10n, { a: 'x', f: set('a'), n: '1.0' }));
    await apply(table, write(table, 10n, { a: 'x', f: set('a'), n: '1.0' }));
    await apply(table, write(table, 10n, { a: 'y', n: '1.00' }));
    await apply(table, write(table, 11n, { f: set('b') }));
    expect(await queued()).toBe(0);
    expect(await shown()).toEqual([{ a: 'y', f: '["b"]', n: '1.00' }]);
  });

  it('a decimal that was written out may have had an exponent: asked; others are not', async () => {
    await apply(table, write(table, 10n, { n: '5E+3' }));
    await apply(table, write(table, 10n, { n: '4000.5' }));
    expect(await queued()).toBe(1);
    // Scale −3 is ffff…, the larger bytes; as 5000 it would have scale 0, the smaller ones.
    await serve({ cells: [null, null, live(10n, '5E+3')] });
    expect(await shown()).toMatchObject([{ n: '5000' }]);
    expect(await queued()).toBe(0);
  });

  it('are no conflict any more once something newer has come', async () => {
    await apply(table, write(table, 10n, { f: set('b') }));
    await apply(table, write(table, 10n, { f: set('a') }));
    await apply(table, write(table, 20n, { f: set('c') }));
    await serve({ cells: [null, live(20n, set('c')), null] });
    expect(await shown()).toMatchObject([{ f: '["c"]' }]);
    expect(await queued()).toBe(0);
  });

  it('of an older read and a change that came while it was under way, the change is not lost ⚠', async () => {
    // The read began before the second value was written; it serves a change of another column.
    await apply(table, write(table, 5n, { a: 'x' }));
    await apply(table, { ...write(table, 10n, { f: set('a') }), hint: { columns: [1], marker: false } });
    await rig.pool.query(`UPDATE ${SCHEMA}._cdc_queue SET trigger = '[{"columns": {"a": "5"}}]'`);
    await rig.pool.query(`TRUNCATE ${table.targetTable}`);
    await serve({ cells: [null, live(10n, set('b')), null] }, () => apply(table, write(table, 10n, { f: set('a') })));
    expect(await queued()).toBe(1);
    rig.clock.set(START_MS + 60_000);
    await serve({ cells: [null, live(10n, set('a')), null] });
    expect(await shown()).toMatchObject([{ f: '["a"]' }]);
    expect(await queued()).toBe(0);
  });

  it('that expire are settled, too, although a remaining TTL tells whole seconds only', async () => {
    const expiry = BigInt(START_MS + 100_000) * 1000n;
    await apply(table, write(table, 10n, { f: set('b') }, { expiry }));
    await apply(table, write(table, 10n, { f: set('a') }, { expiry }));
    await serve({ cells: [null, live(10n, set('a'), expiry - 1_000_000n), null] });
    expect(await shown()).toMatchObject([{ f: '["a"]' }]);
    const kinds = await rig.pool.query<{ kind: string }>(`SELECT DISTINCT kind FROM ${SCHEMA}._cdc_queue`);
    expect(kinds.rows).toEqual([{ kind: 'expiry' }]);
  });

  it('are kept in text order where there is no source to ask', async () => {
    await apply(alone, write(alone, 10n, { f: set('b') }));
    await apply(alone, write(alone, 10n, { f: set('a') }));
    expect(await shown(alone)).toMatchObject([{ f: '["b"]' }]);
    expect(await queued()).toBe(0);
  });

  it('through the outside door are asked for as well, and its answer says so', async () => {
    await apply(table, write(table, 10n, { f: set('b') }));
    const change = write(table, 10n, { f: set('a') });
    const outcomes = await rig.target.outside.apply({
      shard: { topic: table.topic, incarnation: 1, partition: 0 },
      table: table.name,
      origin: 'redrive',
      changes: [{ offset: 0n, change, id: identify(change).id }],
      also: () => [],
      dryRun: false,
    });
    expect(outcomes).toEqual(['queued']);
    expect(await shown()).toMatchObject([{ f: '["b"]' }]);
    await serve({ cells: [null, live(10n, set('a')), null] });
    expect(await shown()).toMatchObject([{ f: '["a"]' }]);
  });

  it('each copy of a change that met one counts: the door names its row', async () => {
    await apply(table, write(table, 10n, { f: set('b') }));
    const result = await apply(table, write(table, 10n, { f: set('a') }));
    expect(result).toMatchObject({ kind: 'committed', stats: { asked: new Set([one.text]) } });
  });

  it('end as the source has them, in any order, with any copies, read at any moment', async () => {
    const change = fc.record({ at: fc.constantFrom(10n, 11n), f: fc.constantFrom('a', 'b', 'c', null) });
    const step = fc.oneof(
      { weight: 3, arbitrary: fc.record({ kind: fc.constant('deliver' as const), nth: fc.nat(5) }) },
      { weight: 1, arbitrary: fc.constant({ kind: 'write' as const, nth: 0 }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant('read' as const), nth: fc.nat(5) }) },
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(change, { minLength: 2, maxLength: 5 }),
        fc.array(step, { maxLength: 12 }),
        // The source's order of the bytes, which is not that of the text.
        fc.constantFrom('cab', 'bca', 'abc', 'acb'),
        async (written, steps, order) => {
          await clear();
          let source: { at: bigint; f: string | null } | null = null;
          const rank = (f: string | null): number => (f === null ? 9 : order.indexOf(f));
          let next = 0;
          const emitted: ChangeEvent[] = [];
          const writeNext = (): void => {
            const each = written[next++];
            if (each === undefined) return;
            emitted.push(write(table, each.at, { f: each.f === null ? null : set(each.f), a: 'x' }));
            if (source === null || each.at > source.at || (each.at === source.at && rank(each.f) > rank(source.f))) {
              source = each;
            }
          };
          const row = (): SourceRow =>
            source === null
              ? null
              : {
                  cells: [
                    live(
                      written.slice(0, next).reduce((max, { at }) => (at > max ? at : max), 0n),
                      'x',
                    ),
                    source.f === null ? null : live(source.at, set(source.f)),
                    null,
                  ],
                };
          const deliver = async (nth: number): Promise<void> => {
            const event = emitted[nth];
            if (event !== undefined) await apply(table, event);
          };
          let nowMs = START_MS;
          const read = async (during: () => Promise<unknown>): Promise<void> => {
            nowMs += 100_000;
            rig.clock.set(nowMs);
            await serve(row(), during);
          };
          writeNext();
          for (const { kind, nth } of steps) {
            if (kind === 'write') writeNext();
            else if (kind === 'deliver') await deliver(nth);
            else {
              // The answer is of before, what happens during the read is not in it.
              await read(async () => {
                writeNext();
                await deliver(nth);
              });
            }
          }
          while (next < written.length) writeNext();
          for (let nth = 0; nth < emitted.length; nth += 1) await deliver(nth);
          for (let turn = 0; turn < 6 && (await queued()) > 0; turn += 1) await read(() => Promise.resolve());
          expect(await queued()).toBe(0);
          expect(await shown()).toEqual(row() === null ? [] : [{ a: 'x', f: row()!.cells[1]?.value ?? null, n: null }]);
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe('a change from behind the purged horizon', () => {
  const PURGED = 1_000n;
  beforeEach(() => rig.pool.query(`UPDATE ${SCHEMA}._cdc_tables SET purged_until = ${PURGED}`));

  it('is read again instead of refused: what the source has comes, with its own times', async () => {
    await apply(table, write(table, 900n, { a: 'old', f: set('a') }, { insert: true }));
    expect(await shown()).toEqual([]);
    await serve({ cells: [live(900n, 'old'), null, null] });
    expect(await shown()).toEqual([{ a: 'old', f: null, n: null }]);
    expect(await queued()).toBe(0);
  });

  it('shows nothing where the source has no row, and no copy of it ever does', async () => {
    for (let copies = 0; copies < 2; copies += 1) {
      await apply(table, write(table, 900n, { a: 'ghost' }, { insert: true }));
      await serve(null);
      expect(await shown()).toEqual([]);
    }
    expect(await queued()).toBe(0);
  });

  it('in a row that lives leaves what stands there and is asked for alone; the newer part of the batch applies', async () => {
    await apply(table, write(table, 2_000n, { a: 'new' }, { insert: true }));
    await apply(table, write(table, 900n, { f: set('old') }), write(table, 2_001n, { a: 'newer' }));
    expect(await shown()).toEqual([{ a: 'newer', f: null, n: null }]);
    await serve({ cells: [live(2_001n, 'newer'), live(900n, set('old')), null] });
    expect(await shown()).toEqual([{ a: 'newer', f: '["old"]', n: null }]);
  });

  it('is read through the outside door, too', async () => {
    const change = write(table, 900n, { a: 'old' }, { insert: true });
    const outcomes = await rig.target.outside.apply({
      shard: { topic: table.topic, incarnation: 1, partition: 0 },
      table: table.name,
      origin: 'redrive',
      changes: [{ offset: 0n, change, id: identify(change).id }],
      also: () => [],
      dryRun: false,
    });
    expect(outcomes).toEqual(['queued']);
    expect(await shown()).toEqual([]);
    await serve({ cells: [live(900n, 'old'), null, null] });
    expect(await shown()).toMatchObject([{ a: 'old' }]);
  });

  it('is refused where there is no source', async () => {
    await expect(apply(alone, write(alone, 900n, { a: 'old' }))).rejects.toMatchObject({ code: 'TOO_OLD' });
  });
});

describe('a change of a row that the target can not hold', () => {
  it('waits for no other where there is a source: a redriven letter of it is read again', async () => {
    const change = write(strict, 10n, { f: set('a') });
    const outcomes = await rig.target.outside.apply({
      shard: { topic: strict.topic, incarnation: 1, partition: 0 },
      table: strict.name,
      origin: 'redrive',
      changes: [{ offset: 0n, change, id: identify(change).id }],
      also: () => [],
      dryRun: false,
    });
    expect(outcomes).toEqual(['queued']);
    await serve({ cells: [live(5n, 'a'), live(10n, set('a')), null] }, undefined, strict);
    expect(await shown(strict)).toEqual([{ a: 'a', f: '["a"]', n: null }]);
  });

  it('each copy of it counts: the door names its row', async () => {
    const result = await apply(strict, write(strict, 10n, { f: set('a') }));
    expect(result).toMatchObject({ stats: { asked: new Set([one.text]) } });
  });
});
