/**
 * What the connector loses, captured for real: facts that Lockstep has to live with, each with what Lockstep's counters and
 * the prover's audit say of it. A release of the connector that behaves otherwise shows here first.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Closing } from '../../src/demo/closing.ts';
import { logRanges } from '../../src/demo/kafka/kafka.ts';
import { seededRandom } from '../../src/demo/workload/random.ts';
import { waitFor } from '../../src/demo/waiting.ts';
import { packageFile } from '../../src/stack/package-root.ts';
import type { CapturedEvent } from '../prove/audit/captured-event.ts';
import { evidenceOf } from '../prove/audit/evidence.ts';
import { compareTable } from '../prove/audit/image-difference.ts';
import type { RowEvidence } from '../prove/audit/row-evidence.ts';
import { PLACE, type GeneratedType } from '../prove/generate/cql-type.ts';
import { scalarValue } from '../prove/generate/cql-value.ts';
import type { Effect } from '../prove/generate/statement.ts';
import type { GeneratedColumn, GeneratedTable, KeyColumn } from '../prove/generate/table.ts';
import { barrier, type LostChange } from '../prove/stage/barrier.ts';
import { topicOf } from '../prove/stage/members.ts';
import { openSite, type Site } from '../prove/stage/site.ts';
import { makeTableSet, type ProvenTable, type TableSet } from '../prove/stage/table-set.ts';

/** What has not come after so long without a record is not coming; the agent reads every 100 ms. */
const LOST_AFTER_MS = 6_000;
const ARRIVAL_LIMIT_MS = 30_000;
/** `commitlog_segment_size` of the stack is 4 MiB; what a lost segment takes along ends with it. */
const SEGMENT_BYTES = 4 * 1024 * 1024;

const int: GeneratedType = { kind: 'scalar', name: 'int' };
const text: GeneratedType = { kind: 'scalar', name: 'text' };
const key = (name: string): KeyColumn => ({
  name,
  type: int,
  descending: false,
  pool: Array.from({ length: 12 }, (_, value) => ({ ...scalarValue('int', String(value)), rank: value })),
});

function table(keyspace: string, name: string, regular: readonly GeneratedColumn[], usesTtl = false): GeneratedTable {
  return {
    keyspace,
    name,
    partitionKey: [key('pk')],
    clustering: [key('ck')],
    statics: [{ name: 's', type: text }],
    regular: [...regular],
    usesTtl,
    defaultTtlSeconds: 0,
    ties: false,
  };
}

const plain: readonly GeneratedColumn[] = [
  { name: 'a', type: text },
  { name: 'b', type: text },
];

let dir: string;
let site: Site;
let set: TableSet;
const closing = new Closing();
const { signal } = new AbortController();

let clock = 0n;
/** µs, each greater than the one before. */
function nowUs(): bigint {
  const now = BigInt(Date.now()) * 1000n;
  clock = now > clock ? now : clock + 1n;
  return clock;
}

const named = (name: string): ProvenTable => {
  const found = set.tables.find((each) => each.table.name === name);
  if (found === undefined) throw new Error(`no table ${name}`);
  return found;
};

const partition = (pk: number): string => JSON.stringify([String(pk)]);
const row = (pk: number, ck: number): string => JSON.stringify([String(pk), String(ck)]);
const write = (pk: number, ck: number, columns: readonly string[], insert = true): Effect => ({
  kind: 'write',
  partition: partition(pk),
  row: row(pk, ck),
  insert,
  columns,
  live: columns,
  ttlSeconds: 0,
});

interface Part {
  readonly effect: Effect;
  readonly timeUs: bigint;
}

/** Writes a statement and remembers what it does. */
async function execute(proven: ProvenTable, cql: string, parts: readonly Part[], ttlSeconds = 0): Promise<void> {
  await set.session.write({
    table: proven.table,
    cql,
    unset: 0,
    requestTimeUs: null,
    ttlSeconds,
    effects: parts.map(({ effect, timeUs }) => ({ ...effect, timeUs })),
  });
}

const eventsOf = (proven: ProvenTable, key_: string): CapturedEvent[] =>
  set.events.of(proven.topic).events.filter((event) => event.row === key_);

/** Comes to rest; what no topic has of this table. */
async function rest(proven: ProvenTable): Promise<readonly LostChange[]> {
  const result = await barrier(site, set, signal, { lostAfterMs: LOST_AFTER_MS });
  if (result.kind !== 'reached') throw new Error(`${result.kind}: ${result.why}`);
  return result.lost.filter((lost) => lost.table === proven);
}

async function differing(proven: ProvenTable) {
  const client = await site.postgres.connect();
  try {
    const names = {
      keyspace: proven.table.keyspace,
      table: proven.table.name,
      target: { schema: set.names.set, table: proven.table.name },
    };
    const { differing: rows } = await compareTable(site.source, client, names, proven.columns);
    const judged: (RowEvidence & { readonly key: string })[] = [];
    // One after another: they share a table.
    for (const each of rows) judged.push({ key: each.key, ...(await evidenceOf(site, set, proven, each, nowUs())) });
    return judged;
  } finally {
    client.release();
  }
}

async function deadLetters(proven: ProvenTable): Promise<string[]> {
  const { rows } = await site.postgres.query<{ code: string }>(
    `SELECT code FROM "${set.names.set}"._cdc_dead_letters WHERE topic = $1 ORDER BY id`,
    [proven.topic],
  );
  return rows.map(({ code }) => code);
}

const agentLog = (): Promise<string> => readFile(join(site.stack.dir, 'logs', 'agent.log'), 'utf8');
const agentIsHealthy = async (): Promise<boolean> => (await site.stack.status()).parts.agent.healthy;

/** Fills the commit log's segment, so that what comes next is in another. */
async function nextSegment(): Promise<void> {
  const blob = `0x${'ab'.repeat(64 * 1024)}`;
  for (let bytes = 0; bytes < 2 * SEGMENT_BYTES; bytes += 64 * 1024) {
    await site.source.execute(`INSERT INTO ${set.names.set}.filler (k, v) VALUES (${bytes}, ${blob})`);
  }
}

/** Whether a new row arrives in the topic. */
async function arrives(proven: ProvenTable, pk: number, ck: number): Promise<boolean> {
  const timeUs = nowUs();
  await execute(
    proven,
    `INSERT INTO ${proven.table.keyspace}.${proven.table.name} (pk, ck) VALUES (${pk}, ${ck}) USING TIMESTAMP ${timeUs}`,
    [{ effect: write(pk, ck, []), timeUs }],
  );
  return waitFor(
    async () => {
      await set.events.readOn(signal);
      return eventsOf(proven, row(pk, ck)).some((event) => event.timeUs === timeUs);
    },
    { limitMs: LOST_AFTER_MS, everyMs: 500 },
  );
}

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'lockstep-losses-'));
  site = await openSite({ dir: join(dir, 'stack'), nodes: 1 }, closing, signal);
  set = await makeTableSet({
    site,
    name: 'losses',
    tables: (keyspace) => [
      table(keyspace, 'replaced', plain),
      table(keyspace, 'timed', plain),
      table(keyspace, 'statics', plain),
      table(keyspace, 'ranged', plain),
      table(keyspace, 'placed', [...plain, { name: 'home', type: { ...PLACE, frozen: false } }]),
    ],
    random: seededRandom(1),
    program: packageFile('src', 'main.ts'),
    signal,
    clockUs: nowUs,
  });
  closing.add(() => set.members.stop());
  await site.source.execute(`CREATE TABLE ${set.names.set}.filler (k int PRIMARY KEY, v blob) WITH cdc = false`);
  await set.members.add();
  await set.members.ready(signal);
});

afterAll(async () => {
  await closing.run();
  await site.stack.destroy();
  await rm(dir, { recursive: true, force: true });
});

describe('what the connector loses', () => {
  it('is the row that a batch deletes and writes again: one delete arrives, and no word of the write', async () => {
    const replaced = named('replaced');
    const timeUs = nowUs();
    await execute(
      replaced,
      `BEGIN BATCH DELETE FROM losses.replaced USING TIMESTAMP ${timeUs} WHERE pk = 1 AND ck = 1;
       INSERT INTO losses.replaced (pk, ck, a) VALUES (1, 1, 'again') USING TIMESTAMP ${timeUs + 1n}; APPLY BATCH`,
      [
        { effect: { kind: 'row-delete', partition: partition(1), row: row(1, 1) }, timeUs },
        { effect: write(1, 1, ['a']), timeUs: timeUs + 1n },
      ],
    );
    expect((await rest(replaced)).map(({ effect }) => effect.kind)).toEqual(['write']);
    expect(new Set(eventsOf(replaced, row(1, 1)).map(({ kind }) => kind))).toEqual(new Set(['row-delete']));
    // It can't be told from any other delete: nothing is set aside, and the audit names the statement.
    expect(await deadLetters(replaced)).toEqual([]);
    for (const { fault, finding } of await differing(replaced)) {
      expect(fault, finding).toBe('connector');
    }
  });

  it('are the times of a batch that writes one partition at several: every event says the newest', async () => {
    const timed = named('timed');
    const early = nowUs();
    const late = nowUs();
    await execute(
      timed,
      `BEGIN BATCH INSERT INTO losses.timed (pk, ck, a) VALUES (1, 1, 'early') USING TIMESTAMP ${early};
       INSERT INTO losses.timed (pk, ck, a) VALUES (1, 2, 'late') USING TIMESTAMP ${late}; APPLY BATCH`,
      [
        { effect: write(1, 1, ['a']), timeUs: early },
        { effect: write(1, 2, ['a']), timeUs: late },
      ],
    );
    expect((await rest(timed)).map(({ effect }) => effect)).toEqual([expect.objectContaining({ row: row(1, 1) })]);
    for (const ck of [1, 2]) {
      expect(new Set(eventsOf(timed, row(1, ck)).map(({ timeUs }) => timeUs))).toEqual(new Set([late]));
    }
    expect(await differing(timed)).toEqual([]);
    // A write between the two then loses against a time that was never its rival.
    await execute(timed, `INSERT INTO losses.timed (pk, ck, a) VALUES (1, 1, 'between') USING TIMESTAMP ${early}`, [
      { effect: write(1, 1, ['a']), timeUs: early },
    ]);
    await rest(timed);
  });

  it('are static columns: a write of one alone gives no event, and no counter moves', async () => {
    const statics = named('statics');
    await rest(statics);
    const before = set.events.of(statics.topic).events.length;
    const consumed = await set.members.sum('cdc_records_consumed_total');
    await execute(statics, `UPDATE losses.statics SET s = 'unseen' WHERE pk = 5`, []);
    await rest(statics);
    expect(set.events.of(statics.topic).events.length).toBe(before);
    expect(await set.members.sum('cdc_records_consumed_total')).toBe(consumed);
    const timeUs = nowUs();
    await execute(
      statics,
      `INSERT INTO losses.statics (pk, ck, s, a) VALUES (5, 1, 'unseen', 'seen') USING TIMESTAMP ${timeUs}`,
      [{ effect: write(5, 1, ['a']), timeUs }],
    );
    expect(await rest(statics)).toEqual([]);
    expect(eventsOf(statics, row(5, 1)).map(({ text: event }) => event.includes('unseen'))).not.toContain(true);
  });

  it.each([
    {
      name: 'two range deletes that touch, in one batch',
      of: 'ranged',
      cql: () => {
        const timeUs = nowUs();
        return `BEGIN BATCH DELETE FROM losses.ranged USING TIMESTAMP ${timeUs} WHERE pk = 7 AND ck >= 1 AND ck < 3;
                DELETE FROM losses.ranged USING TIMESTAMP ${timeUs + 1n} WHERE pk = 7 AND ck >= 3 AND ck < 5; APPLY BATCH`;
      },
    },
    {
      // Of any kind: an INSERT of the whole as well as an update of one field.
      name: 'a write of a non-frozen UDT',
      of: 'placed',
      cql: () => `UPDATE losses.placed USING TIMESTAMP ${nowUs()} SET home = {street: 'x'} WHERE pk = 7 AND ck = 1`,
    },
  ])('is everything behind $name, to the end of the segment', async ({ of, cql }) => {
    const proven = named(of);
    await nextSegment();
    expect(await arrives(proven, 8, 1)).toBe(true);
    const logged = (await agentLog()).length;
    await execute(proven, cql(), []);
    expect(await arrives(proven, 8, 2)).toBe(false);
    // The only sign is in the agent's log. Lockstep has applied all there is, and says so.
    expect((await agentLog()).slice(logged)).toMatch(/errored out/i);
    expect(await agentIsHealthy()).toBe(true);
    expect((await rest(proven)).map(({ effect }) => effect)).toEqual([expect.objectContaining({ row: row(8, 2) })]);
    expect(await deadLetters(proven)).toEqual([]);
    const lost = (await differing(proven)).find((each) => each.key === row(8, 2));
    expect(lost).toMatchObject({ fault: 'connector' });
    await nextSegment();
    expect(await arrives(proven, 8, 3)).toBe(true);
  });

  it('is a table with a user-defined type that is made while the agent runs, until the agent starts again', async () => {
    await site.source.execute(
      `CREATE TABLE losses.late (pk int, ck int, home frozen<place>, PRIMARY KEY (pk, ck)) WITH cdc = true`,
    );
    const late: GeneratedTable = table('losses', 'late', []);
    const ends = async (): Promise<bigint> =>
      (await logRanges(site.kafka, [topicOf(site, late)])).reduce((sum, { end }) => sum + end, 0n);
    const came = (limitMs: number): Promise<boolean> =>
      waitFor(async () => (await ends()) > 0n, { limitMs, everyMs: 500 });
    await site.source.execute(`INSERT INTO losses.late (pk, ck) VALUES (1, 1)`);
    expect(await came(LOST_AFTER_MS)).toBe(false);
    expect(await agentIsHealthy()).toBe(true);
    await site.stack.stopPart('agent');
    await site.stack.startPart('agent');
    await site.source.execute(`INSERT INTO losses.late (pk, ck) VALUES (1, 2)`);
    expect(await came(ARRIVAL_LIMIT_MS)).toBe(true);
  });

  it('are tables made after one with a vector', async () => {
    const { source } = site;
    await source.execute(`CREATE TABLE losses.vectors (k int PRIMARY KEY, v vector<float, 3>) WITH cdc = false`);
    await source.execute(`CREATE TABLE losses.after_vectors (k int PRIMARY KEY, v int) WITH cdc = true`);
    await source.execute(`INSERT INTO losses.after_vectors (k, v) VALUES (1, 1)`);
    const admin = site.kafka.admin();
    await admin.connect();
    try {
      const came = await waitFor(async () => (await admin.listTopics()).includes('cass1.losses.after_vectors'), {
        limitMs: LOST_AFTER_MS,
        everyMs: 500,
      });
      expect(came).toBe(false);
      expect(await agentIsHealthy()).toBe(true);
    } finally {
      await admin.disconnect();
      await source.execute('DROP TABLE losses.vectors');
    }
  });
});
