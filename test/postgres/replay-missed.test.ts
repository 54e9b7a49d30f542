/** Missed changes found by a window over a changelog that knows row keys only, replayed against a real PostgreSQL. */
import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { rowKey, type Cell, type ChangeEvent } from '../../src/change/change-event.ts';
import { identify } from '../../src/change/change-id.ts';
import type { Decoder } from '../../src/decode/record.ts';
import type { ChangelogEntry } from '../../src/reconcile/delivery/changelog.ts';
import { replayMissed, type ReplayOutcome, type ReplayParts } from '../../src/reconcile/delivery/replay-missed.ts';
import type { RowReplayParts } from '../../src/reconcile/delivery/replay-rows.ts';
import { verifyWindows, type VerifiedWindow } from '../../src/reconcile/delivery/verify-windows.ts';
import type { ScannedRow } from '../../src/reconcile/end-state/source-slices.ts';
import { FindingStore } from '../../src/target/stores/finding-store.ts';
import { LedgerReader } from '../../src/target/stores/ledger-reader.ts';
import { PacedDoor } from '../../src/target/paced-door.ts';
import { noteAccounted } from '../../src/target/stores/replay-ledger.ts';
import { comparedParts } from '../support/compared-parts.ts';
import { openDoorRig, type DoorRig } from '../support/door-rig.ts';
import { COMPARED } from '../support/two-sides.ts';

const SCHEMA = 'replay_missed';
const SIGNAL = new AbortController().signal;
const START_MS = 1_000_000_000_000;
const WINDOW = { startMs: START_MS, endMs: START_MS + 60_000 };
const SHARD = { topic: COMPARED.topic, incarnation: 1, partition: 0 };
const pacing = { elapsedMs: () => performance.now(), pause: () => Promise.resolve() };

/** What Cassandra keeps of one row, by its rules; written without the merge of src/. */
interface Kept {
  marker: bigint | null;
  readonly cells: (Cell | null)[];
}

type Step =
  | { readonly do: 'insert'; readonly p: number; readonly c: number; readonly a: string | null }
  | { readonly do: 'update'; readonly p: number; readonly c: number; readonly b: number | null }
  | { readonly do: 'delete'; readonly p: number; readonly c: number }
  | { readonly do: 'delete partition'; readonly p: number };

let rig: DoorRig;
let source: Map<string, ScannedRow>;
let rowParts: RowReplayParts;
let findings: FindingStore;
beforeAll(async () => {
  rig = await openDoorRig(inject('postgresUrl'), [COMPARED], { schema: SCHEMA });
  findings = new FindingStore(rig.pool, SCHEMA);
  rowParts = { ...comparedParts(rig, SCHEMA, rig.target.boundOf(COMPARED.name), () => source), findings };
});
afterAll(() => rig.close());

async function reset(): Promise<void> {
  await rig.pool.query('TRUNCATE compared');
  for (const name of ['graveyard', 'range_tombstones', 'queue', 'ledger', 'findings', 'audit_log']) {
    await rig.pool.query(`TRUNCATE ${SCHEMA}._cdc_${name}`);
  }
  source = new Map();
}
beforeEach(reset);

/** The n-th change of a history; its write time rises by 1.5 ms and some µs. */
function changeOf(step: Step, n: number): ChangeEvent {
  const writeTime = BigInt(START_MS) * 1000n + BigInt(n) * 1_507n;
  const base = { table: COMPARED.name, writeTime, ambiguity: null };
  if (step.do === 'delete partition') {
    return { ...base, kind: 'partition-delete', partition: rowKey([String(step.p)]) };
  }
  const key = rowKey([String(step.p), String(step.c)]);
  if (step.do === 'delete') return { ...base, kind: 'row-delete', key };
  const cell = (value: string | null): Cell => ({ writeTime, value, expiry: null });
  if (step.do === 'insert') {
    return { ...base, kind: 'write', key, marker: { writeTime, expiry: null }, cells: [cell(step.a), null] };
  }
  const value = step.b === null ? null : String(step.b);
  return { ...base, kind: 'write', key, marker: null, cells: [null, cell(value)] };
}

/** Applies a whole history to the source. */
function applyToSource(changes: readonly ChangeEvent[]): void {
  const kept = new Map<string, Kept>();
  for (const change of changes) {
    if (change.kind === 'write') {
      const row = kept.get(change.key.text) ?? { marker: null, cells: [null, null] };
      row.marker = change.marker?.writeTime ?? row.marker;
      for (const [i, each] of change.cells.entries()) if (each !== null) row.cells[i] = each;
      kept.set(change.key.text, row);
    } else if (change.kind === 'row-delete') kept.delete(change.key.text);
    else if (change.kind === 'partition-delete') {
      for (const text of kept.keys()) {
        if ((JSON.parse(text) as string[])[0] === change.partition.values[0]) kept.delete(text);
      }
    }
  }
  for (const [text, { marker, cells }] of kept) {
    const live = cells.map((each) => (each?.value == null ? null : each));
    if (marker === null && live.every((each) => each === null)) continue;
    const key = rowKey(JSON.parse(text) as string[]);
    source.set(text, { key, token: rowParts.table.tokenOf(key.values)!, cells: live });
  }
}

async function shownByTarget(): Promise<readonly string[]> {
  const { rows } = await rig.pool.query<{ p: string; c: string; a: string | null; b: string | null }>(
    'SELECT p, c, a, b FROM compared ORDER BY p, c',
  );
  return rows.map(({ p, c, a, b }) => JSON.stringify([p, c, a, b]));
}

function shownBySource(): readonly string[] {
  return [...source.values()]
    .map(({ key, cells }) => JSON.stringify([...key.values, cells[0]?.value ?? null, cells[1]?.value ?? null]))
    .sort();
}

/** An entry as the changelog table has it. */
function entryOf(change: ChangeEvent): ChangelogEntry {
  const key = 'key' in change ? change.key : change.partition;
  return { id: identify(change).id, evidence: { kind: 'key', changeKind: change.kind, key: key.values } };
}

const outcomes: ReplayOutcome[] = [];
async function verify(changes: readonly ChangeEvent[], more: Partial<ReplayParts> = {}): Promise<VerifiedWindow> {
  outcomes.length = 0;
  const table = rig.target.boundOf(COMPARED.name);
  const decoder: Decoder = { decode: () => ({ kind: 'skipped', reason: 'kafka-tombstone' }) };
  const replay = replayMissed({
    mode: 'auto',
    limits: { maxRows: 1_000, maxShare: 1 },
    door: new PacedDoor(rig.target.outside, pacing),
    topicOf: () => ({ topic: COMPARED.topic, decoder }),
    shardsOf: () => Promise.resolve([SHARD]),
    rowsOf: () => Promise.resolve(rowParts),
    note: (_table, shard, ids) => noteAccounted(rig.pool, SCHEMA, table.id, shard, ids),
    record: (_table, jobId, found) => findings.record(table.id, jobId, found),
    newJobId: randomUUID,
    onOutcome: (_table, _id, outcome) => outcomes.push(outcome),
    ...more,
  });
  const entries = changes.map(entryOf);
  const [found] = await verifyWindows(
    {
      changelog: {
        name: 'cassandra',
        async *read() {
          yield await Promise.resolve(entries);
        },
      },
      ledger: new LedgerReader(rig.pool, SCHEMA),
      hasCollections: () => true,
      replay,
    },
    COMPARED.name,
    [WINDOW],
    () => Promise.resolve({ unproven: null, silent: null }),
    SIGNAL,
  );
  return found!;
}

const small = fc.nat(2);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('insert' as const),
      p: small,
      c: small,
      a: fc.constantFrom('x', 'y', null),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('update' as const), p: small, c: small, b: fc.constantFrom(1, 2, null) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('delete' as const), p: small, c: small }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('delete partition' as const), p: small }) },
);

describe('missed changes of which only the key is known', () => {
  it('are replayed whichever of a history were lost: the target is as the source, and the next pass proves it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(step, fc.boolean()), { minLength: 1, maxLength: 14 }), async (history) => {
        await reset();
        const changes = history.map(([each], n) => changeOf(each, n));
        applyToSource(changes);
        const arrived = changes.filter((_, n) => history[n]?.[1]);
        if (arrived.length > 0) await rig.apply(COMPARED, 0, arrived);

        const found = await verify(changes);
        expect(found).toMatchObject({ verdict: 'PASS', replayed: changes.length - arrived.length });
        expect(await shownByTarget()).toEqual(shownBySource());
        expect(await verify(changes)).toMatchObject({
          verdict: 'PASS',
          replayed: 0,
          account: { changelog: changes.length, processed: changes.length, missing: 0, unexpected: 0 },
        });
        const left = await findings.list({ status: 'PENDING', limit: 10, offset: 0 });
        expect(left).toEqual([]);

        // What was lost and is found after all by the capture changes nothing any more.
        const lost = changes.filter((_, n) => !history[n]?.[1]);
        if (lost.length > 0) await rig.apply(COMPARED, 0, lost.reverse());
        expect(await shownByTarget()).toEqual(shownBySource());
      }),
      { numRuns: 60 },
    );
  });

  const LOST: readonly Step[] = [
    { do: 'insert', p: 0, c: 0, a: 'x' },
    { do: 'insert', p: 1, c: 0, a: 'x' },
    { do: 'update', p: 1, c: 0, b: 7 },
  ];

  it('are left to a person where they are to be reviewed: findings say what differs, and the window stays open', async () => {
    const changes = LOST.map(changeOf);
    applyToSource(changes);
    await rig.apply(COMPARED, 0, changes.slice(1, 2));
    const found = await verify(changes, { mode: 'review' });
    expect(found).toMatchObject({ verdict: 'DRIFT', replayed: 0, account: { missing: 2 } });
    expect(await shownByTarget()).toEqual([JSON.stringify(['1', '0', 'x', null])]);
    const noted = await findings.list({ status: 'PENDING', limit: 10, offset: 0 });
    expect(noted.map(({ rowKey: row, type }) => [row, type]).sort()).toEqual([
      ['["0","0"]', 'MISSING_IN_POSTGRES'],
      ['["1","0"]', 'DATA_MISMATCH'],
    ]);
    expect(outcomes).toEqual(['review', 'review']);

    // Somebody repaired them: the changes are accounted for, and nothing is open any more.
    await rig.apply(COMPARED, 0, [changeOf(LOST[0]!, 50), changeOf(LOST[2]!, 51)]);
    applyToSource([...changes, changeOf(LOST[0]!, 50), changeOf(LOST[2]!, 51)]);
    expect(await verify(changes, { mode: 'review' })).toMatchObject({ verdict: 'PASS', replayed: 2 });
    expect(await findings.count({ status: 'PENDING', limit: 1, offset: 0 })).toBe(0);
  });

  it('are left to a person where more rows differ than may be repaired', async () => {
    const changes = LOST.map(changeOf);
    applyToSource(changes);
    const found = await verify(changes, { limits: { maxRows: 1, maxShare: 1 } });
    expect(found).toMatchObject({ verdict: 'DRIFT', replayed: 0, account: { missing: 3 } });
    expect(await shownByTarget()).toEqual([]);
    expect(await findings.count({ status: 'PENDING', limit: 1, offset: 0 })).toBe(2);
  });

  it('are findings where there is no source to read them from', async () => {
    const changes = LOST.map(changeOf);
    const found = await verify(changes, { rowsOf: null });
    expect(found).toMatchObject({ verdict: 'DRIFT', replayed: 0 });
    expect(outcomes).toEqual(['failed', 'failed', 'failed']);
    const noted = await findings.list({ limit: 10, offset: 0 });
    expect(noted.map(({ rowKey: row, cause }) => [row, cause]).sort()).toEqual([
      ['["0","0"]', 'missed-change'],
      ['["1","0"]', 'missed-change'],
    ]);
  });

  it('are not accounted for while their rows are being written to', async () => {
    const changes = LOST.map(changeOf);
    applyToSource(changes);
    let n = 0;
    const moving: RowReplayParts = {
      ...rowParts,
      readSource: (keys) => {
        n += 1;
        const cells = [{ writeTime: BigInt(n), value: `v${n}`, expiry: null }, null];
        return Promise.resolve(keys.map(() => ({ cells })));
      },
    };
    const found = await verify(changes.slice(0, 1), { rowsOf: () => Promise.resolve(moving) });
    expect(found).toMatchObject({ verdict: 'DRIFT', replayed: 0 });
    expect(outcomes).toEqual(['open']);
  });
});
