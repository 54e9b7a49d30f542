import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { rowKey, type ChangeEvent, type RowKey } from '../../src/change/change-event.ts';
import type { CqlType } from '../../src/change/source-type.ts';
import { rereadPolicy } from '../../src/catalog/reread-policy.ts';
import type { Table } from '../../src/catalog/table.ts';
import type { ReadRows } from '../../src/target/index.ts';
import { quoteIdentifier } from '../../src/target/sql-text.ts';
import { column, openDoorRig, scalar, tableOf, type DoorRig } from '../support/door-rig.ts';
import { SimulatedSource, type Mutation } from '../support/simulated-source.ts';

const SCHEMA = 'reread_convergence';
const PARTITIONS = 2;
const setOfText: CqlType = { kind: 'set', element: scalar('text'), frozen: false };

function withPolicy(table: Table, mode: 'apply' | 'reread' = 'apply'): Table {
  return { ...table, rereads: { mode, existenceChecks: true } };
}

const values = [
  column('a', 'regular', scalar('text'), 'text'),
  column('s', 'regular', setOfText, 'jsonb'),
  column('d', 'regular', scalar('duration'), 'text'),
];
const plain = withPolicy(tableOf('r_plain', [column('k', 'partition', scalar('text'), 'text'), ...values]));
const clusteredColumns = [
  column('k', 'partition', scalar('text'), 'text'),
  column('c', 'clustering', scalar('int'), 'integer'),
  ...values,
];
const clustered = withPolicy(tableOf('r_clustered', clusteredColumns));
const everyChange = withPolicy(tableOf('r_every', clusteredColumns), 'reread');

let rig: DoorRig;
beforeAll(async () => {
  rig = await openDoorRig(inject('postgresUrl'), [plain, clustered, everyChange], {
    schema: SCHEMA,
    partitions: PARTITIONS,
  });
});
afterAll(() => rig.close());

async function empty(): Promise<void> {
  for (const bound of rig.target.tables) await rig.pool.query(`TRUNCATE ${bound.target}`);
  for (const control of ['graveyard', 'range_tombstones', 'queue', 'ledger']) {
    await rig.pool.query(`TRUNCATE ${SCHEMA}._cdc_${control}`);
  }
}

async function targetRows(table: Table): Promise<Map<string, unknown>> {
  const bound = rig.target.tables.find((entry) => entry.table === table);
  if (bound === undefined) throw new Error(`no ${table.name}`);
  const names = [...bound.keys, ...bound.regular].map((entry) => quoteIdentifier(entry.column.target));
  const result = await rig.pool.query<(string | null)[]>({
    text: `SELECT ${names.join(', ')} FROM ${bound.target}`,
    rowMode: 'array',
  });
  return new Map(
    result.rows.map((row) => [
      JSON.stringify(bound.keys.map((entry, i) => entry.mapping.fromTarget(row[i] ?? ''))),
      bound.regular.map((entry, i) => {
        const value = row[bound.keys.length + i] ?? null;
        return value === null ? null : entry.mapping.fromTarget(value);
      }),
    ]),
  );
}

type Step =
  | { readonly kind: 'mutate'; readonly index: number }
  /** The events of a mutation reach the target, once more where they did already. */
  | { readonly kind: 'deliver'; readonly index: number }
  /** A shard's owner reads; `during` steps happen between the source's answer and the merge. */
  | { readonly kind: 'read'; readonly shard: number; readonly during: number }
  /** A backfill reads everything; `during` steps happen between the source's answer and the merge. */
  | { readonly kind: 'scan'; readonly during: number };

interface History {
  /** So many mutations are older than the capture: no event tells of them. */
  readonly uncaptured: number;
  readonly mutations: readonly Mutation[];
  readonly steps: readonly Step[];
}

const keysOf = (isClustered: boolean): readonly [RowKey, RowKey] =>
  isClustered ? [rowKey(['p', '1']), rowKey(['p', '2'])] : [rowKey(['p']), rowKey(['q'])];

function mutation(isClustered: boolean): fc.Arbitrary<(at: bigint) => Mutation> {
  const [often, other] = keysOf(isClustered);
  const key = fc.oneof({ weight: 4, arbitrary: fc.constant(often) }, { weight: 1, arbitrary: fc.constant(other) });
  const a = fc.constantFrom('x', 'y', null);
  const elements = fc.subarray(['e', 'f', 'g']);
  const insert = fc.record({ key, a, s: elements });
  const update = fc
    .record({
      key,
      a: fc.constantFrom('x', 'y', null, undefined),
      d: fc.constantFrom('1mo2d', '3ns', null, undefined, undefined),
      add: fc.subarray(['e', 'f']),
      remove: fc.subarray(['g', 'h']),
    })
    .filter(({ a: value, d, add, remove }) => value !== undefined || d !== undefined || add.length + remove.length > 0)
    .map(({ a: value, d, ...rest }) => ({
      ...rest,
      ...(value === undefined ? {} : { a: value }),
      ...(d === undefined ? {} : { d }),
    }));
  const arbitraries: { weight: number; arbitrary: fc.Arbitrary<(at: bigint) => Mutation> }[] = [
    { weight: 3, arbitrary: insert.map((fields) => (at: bigint) => ({ kind: 'insert' as const, at, ...fields })) },
    { weight: 5, arbitrary: update.map((fields) => (at: bigint) => ({ kind: 'update' as const, at, ...fields })) },
    { weight: 2, arbitrary: key.map((of) => (at: bigint) => ({ kind: 'delete' as const, at, key: of })) },
    { weight: 2, arbitrary: insert.map((fields) => (at: bigint) => ({ kind: 'replace' as const, at, ...fields })) },
    { weight: 1, arbitrary: key.map((of) => (at: bigint) => ({ kind: 'touch' as const, at, key: of })) },
  ];
  if (isClustered) {
    const from = fc.constantFrom('1', '2');
    const partition = rowKey(['p']);
    arbitraries.push({
      weight: 2,
      arbitrary: from.map((bound) => (at: bigint) => ({ kind: 'delete-from' as const, at, partition, from: bound })),
    });
  }
  return fc.oneof(...arbitraries);
}

/** Mutations in the order in which they reach the source, their events late and again, reads at any moment. */
function history(isClustered: boolean, withScans = false): fc.Arbitrary<History> {
  return fc
    .record({
      made: fc.array(
        fc.record({
          make: mutation(isClustered),
          rank: fc.double({ noNaN: true, min: 0, max: 1 }),
          delay: fc.oneof(fc.constant(0), fc.nat(70)),
          again: fc.option(fc.nat(120), { nil: null }),
        }),
        { minLength: 1, maxLength: 8 },
      ),
      reads: fc.array(fc.record({ at: fc.nat(150), shard: fc.nat(PARTITIONS - 1), during: fc.nat(2) }), {
        minLength: 2,
        maxLength: 24,
      }),
      before: fc.nat(5),
      scans: fc.array(fc.record({ at: fc.nat(120), during: fc.nat(6) }), { minLength: 1, maxLength: 3 }),
    })
    .map(({ made, reads, before, scans }) => {
      const uncaptured = withScans ? Math.min(before, made.length) : 0;
      // Write times are not the order of arrival: clocks differ. What is older than the capture is older in both.
      const rankOf = (i: number): number => (made[i]?.rank ?? 0) + (i < uncaptured ? 0 : 2);
      const order = made.map((_, i) => i).sort((left, right) => rankOf(left) - rankOf(right));
      const mutations = made.map(({ make }, i) => make(BigInt(order.indexOf(i) + 1) * 10n));
      const timed: { at: number; step: Step }[] = [];
      for (const [i, { delay, again }] of made.entries()) {
        timed.push({ at: i * 10, step: { kind: 'mutate', index: i } });
        if (i < uncaptured) continue;
        timed.push({ at: i * 10 + 1 + delay, step: { kind: 'deliver', index: i } });
        if (again !== null) timed.push({ at: i * 10 + 1 + again, step: { kind: 'deliver', index: i } });
      }
      for (const { at, shard, during } of reads) timed.push({ at, step: { kind: 'read', shard, during } });
      // A backfill begins after the capture: what it reads is never older than what no event tells of.
      for (const { at, during } of withScans ? scans : []) {
        timed.push({ at: Math.max(at, uncaptured * 10), step: { kind: 'scan', during } });
      }
      timed.sort((left, right) => left.at - right.at);
      return { uncaptured, mutations, steps: timed.map(({ step }) => step) };
    });
}

function shardOf(change: ChangeEvent): number {
  return 'key' in change
    ? (change.key.text.length + (change.key.text.codePointAt(change.key.text.length - 3) ?? 0)) % PARTITIONS
    : 0;
}

const shardId = (table: Table, partition: number) => ({ topic: table.topic, incarnation: 1, partition });

/** Rows that backfills inserted because the target knew nothing of them. */
let inserted = 0;

/** Runs a history to its end: everything delivered, nothing left to read. */
async function run(table: Table, { mutations, steps }: History): Promise<SimulatedSource> {
  const policy = rereadPolicy(table);
  if (policy === null) throw new Error('no policy');
  const source = new SimulatedSource(table.name, table.clustering.length > 0, policy);
  const events = new Map<number, readonly ChangeEvent[]>();
  const pending = [...steps];
  const step = async (): Promise<void> => {
    const next = pending.shift();
    if (next === undefined) return;
    if (next.kind === 'mutate') {
      const made = mutations[next.index];
      if (made !== undefined) events.set(next.index, source.apply(made));
    } else if (next.kind === 'deliver') {
      for (const change of events.get(next.index) ?? []) {
        expect(await rig.apply(table, shardOf(change), [change])).toMatchObject({ kind: 'committed' });
      }
    } else if (next.kind === 'scan') {
      await scan(async () => {
        for (let i = 0; i < next.during; i += 1) if (pending[0]?.kind !== 'scan') await step();
      });
    } else {
      await serve(next.shard, async () => {
        for (let i = 0; i < next.during; i += 1) if (pending[0]?.kind !== 'read') await step();
      });
    }
  };
  const scan = async (during: () => Promise<void>): Promise<void> => {
    const session = await rig.target.sourceRows.open();
    const mark = await session.begin();
    const rows = keysOf(table.clustering.length > 0).flatMap((key) => {
      const row = source.read(key);
      return row === null ? [] : [{ key, cells: row.cells }];
    });
    await during();
    const found = { table: table.name, shard: shardId(table, 0), mark, rows, gateWaitMs: 5_000 };
    const { left } = await session.insert(found);
    inserted += rows.length - left.length;
    const rest = left.flatMap((i) => rows[i] ?? []);
    if (rest.length > 0) await session.merge({ ...found, rows: rest });
    session.close();
  };
  const serve = async (shard: number, during: () => Promise<void>): Promise<boolean> => {
    const read: ReadRows = async (_, keys) => {
      const rows = keys.map((key) => source.read(key));
      await during();
      return rows;
    };
    const { rows, more } = await rig.target.rereads.serve(
      table.name,
      shardId(table, shard),
      read,
      AbortSignal.timeout(60_000),
    );
    return rows > 0 || more;
  };
  while (pending.length > 0) await step();
  let busy = true;
  for (let turns = 0; busy; turns += 1) {
    expect(turns).toBeLessThan(50);
    busy = false;
    for (let shard = 0; shard < PARTITIONS; shard += 1) if (await serve(shard, () => Promise.resolve())) busy = true;
  }
  return source;
}

describe.each([
  ['without clustering columns', plain],
  ['with clustering columns', clustered],
  ['in mode reread', everyChange],
])('a table %s', (_, table) => {
  it('ends as its source, whenever events arrive and reads happen', async () => {
    await fc.assert(
      fc.asyncProperty(history(table.clustering.length > 0), async (given) => {
        await empty();
        const source = await run(table, given);
        expect(await targetRows(table)).toEqual(source.rows());
      }),
      { numRuns: Number(process.env['REREAD_RUNS'] ?? 150) },
    );
  }, 120_000);
});

describe.each([
  ['without clustering columns', plain],
  ['with clustering columns', clustered],
  ['in mode reread', everyChange],
])('a table %s beside a backfill', (_, table) => {
  it('ends as its source, though the oldest changes were never captured', async () => {
    await fc.assert(
      fc.asyncProperty(history(table.clustering.length > 0, true), async (given) => {
        await empty();
        const source = await run(table, given);
        expect(await targetRows(table)).toEqual(source.rows());
      }),
      { numRuns: Number(process.env['REREAD_RUNS'] ?? 150) },
    );
    expect(inserted).toBeGreaterThan(20);
  }, 120_000);
});
