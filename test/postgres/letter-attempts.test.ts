/** One attempt is counted once, whoever makes it: the owner of a waiting letter's shard, or a person beside it. */
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { LetterIndex, type IndexedLetter } from '../../src/deadletter/letter-index.ts';
import { createDebeziumCassandraDecoder } from '../../src/decode/debezium-cassandra/index.ts';
import type { SourceRecord } from '../../src/decode/record.ts';
import { beginRedrive, RedriveRun, type RedriveParts } from '../../src/operate/redrive/redrive-job.ts';
import { tryWaiting, type WaitingParts } from '../../src/operate/redrive/waiting-letters.ts';
import { processPacing } from '../../src/operate/connect/process-pacing.ts';
import { auditEntry } from '../../src/target/stores/audit-log.ts';
import { JobStore } from '../../src/target/stores/job-store.ts';
import { PacedDoor } from '../../src/target/paced-door.ts';
import { cell, eventRecord } from '../fixtures/debezium-cassandra/events.ts';
import { column, openDoorRig, scalar, tableOf, type DoorRig } from '../support/door-rig.ts';

const SCHEMA = 'letter_attempts';
const table = tableOf('letter_child', [
  column('id', 'partition', scalar('int'), 'integer'),
  column('v', 'regular', scalar('text'), 'text'),
]);
const shard = { topic: table.topic, incarnation: 1, partition: 0 };
const decoder = createDebeziumCassandraDecoder(table);
const LETTERS = 20;

let rig: DoorRig;
let index: LetterIndex;
beforeAll(async () => {
  rig = await openDoorRig(inject('postgresUrl'), [table], { schema: SCHEMA });
  index = new LetterIndex(rig.pool, SCHEMA);
  await rig.pool.query('DROP TABLE IF EXISTS letter_parent');
  await rig.pool.query('CREATE TABLE letter_parent (name text PRIMARY KEY)');
  await rig.pool.query('ALTER TABLE letter_child ADD FOREIGN KEY (v) REFERENCES letter_parent (name)');
});
afterAll(async () => {
  await rig.pool.query('DROP TABLE letter_child, letter_parent');
  await rig.close();
});

beforeEach(async () => {
  await rig.pool.query('TRUNCATE letter_child, letter_parent');
  await rig.pool.query(`DELETE FROM ${SCHEMA}._cdc_dead_letters`);
  await rig.pool.query(
    `INSERT INTO ${SCHEMA}._cdc_dead_letters
       (topic, incarnation, partition, "offset", table_id, code, reason, path, status, attempts, sha256, value_bytes, record_ms, first_failed_at)
     SELECT $1, 1, 0, n, (SELECT id FROM ${SCHEMA}._cdc_tables), 'PG_23503', 'no parent', '', 'waiting', 1, ''::bytea, 1, 0,
       now() - interval '10 seconds'
     FROM generate_series(1, ${LETTERS}) AS n`,
    [table.topic],
  );
});

function recordOf(letter: IndexedLetter): SourceRecord {
  const record = eventRecord({
    table,
    op: 'i',
    after: { id: cell(String(letter.offset)), v: cell('"parent"') },
    tsUs: 1_700_000_000_000_000n,
  });
  return { ...record, topic: table.topic, partition: 0, offset: letter.offset };
}

/** Reads that end together: both have seen the letters before one of them tries any. */
function meeting(): (letters: readonly IndexedLetter[]) => Promise<ReadonlyMap<bigint, SourceRecord>> {
  let arrived = 0;
  let open: () => void = () => undefined;
  const both = new Promise<void>((resolve) => {
    open = resolve;
  });
  return async (letters) => {
    arrived += 1;
    if (arrived === 2) open();
    if (arrived <= 2) await both;
    return new Map(letters.map((letter) => [letter.id, recordOf(letter)]));
  };
}

async function atOnce(): Promise<{ readonly givenUp: number }> {
  const read = meeting();
  let givenUp = 0;
  const waiting: WaitingParts = {
    index,
    door: new PacedDoor(rig.target.outside, processPacing),
    read,
    decoderOf: () => decoder,
    waitMs: 600_000,
    onRedriven: () => undefined,
    onGivenUp: () => {
      givenUp += 1;
    },
  };
  const parts: RedriveParts = {
    ...processPacing,
    index,
    jobs: new JobStore(rig.pool, SCHEMA),
    door: rig.target.outside,
    audit: (entry) => auditEntry(SCHEMA, entry),
    read,
    decoderOf: () => decoder,
  };
  const job = await beginRedrive(parts, {
    filter: { status: 'waiting' },
    dryRun: false,
    limit: LETTERS,
    ratePerSecond: null,
    requestedBy: 'somebody',
    correction: null,
  });
  const { signal } = new AbortController();
  const [progress] = await Promise.all([
    new RedriveRun(parts, job, () => undefined).run(signal),
    tryWaiting(waiting, shard, signal),
  ]);
  expect(progress).toMatchObject({ status: 'COMPLETED', done: LETTERS });
  return { givenUp };
}

async function letters(): Promise<readonly unknown[]> {
  const found = await index.page({}, 0n, 1_000);
  return found.map(({ status, attempts }) => `${status} ${attempts}`);
}

describe('letters of one row in several transactions', () => {
  it('are predicted as they will be: the first is applied, copies and older writes are superseded', async () => {
    await rig.pool.query(`INSERT INTO letter_parent VALUES ('parent')`);
    const { signal } = new AbortController();
    // All of one row: the first is the newest, then copies of it and older ones in turn.
    const record = (letter: IndexedLetter, first: bigint): SourceRecord => {
      const tsUs = 1_700_000_000_000_000n - ((letter.offset - first) % 2n);
      const made = eventRecord({ table, op: 'i', after: { id: cell('1'), v: cell('"parent"') }, tsUs });
      return { ...made, topic: table.topic, partition: 0, offset: letter.offset };
    };
    const parts: RedriveParts = {
      ...processPacing,
      index,
      jobs: new JobStore(rig.pool, SCHEMA),
      door: rig.target.outside,
      audit: (entry) => auditEntry(SCHEMA, entry),
      read: (found) => Promise.resolve(new Map(found.map((letter) => [letter.id, record(letter, 1n)]))),
      decoderOf: () => decoder,
    };
    const redrive = async (dryRun: boolean, limit: number | null) => {
      const filter = { status: 'waiting' as const };
      const asked = { filter, dryRun, limit, ratePerSecond: null, requestedBy: 'somebody', correction: null };
      return new RedriveRun(parts, await beginRedrive(parts, asked), () => undefined).run(signal);
    };
    // More than one transaction takes.
    await rig.pool.query(
      `INSERT INTO ${SCHEMA}._cdc_dead_letters
         (topic, incarnation, partition, "offset", table_id, code, reason, path, status, attempts, sha256, value_bytes, record_ms)
       SELECT topic, 1, 0, "offset" + n * ${LETTERS}, table_id, code, reason, path, status, 1, sha256, 1, 0
       FROM ${SCHEMA}._cdc_dead_letters, generate_series(1, 4) AS n`,
    );
    const predicted = await redrive(true, null);
    expect(predicted.counts).toEqual({ applied: 1, superseded: LETTERS * 5 - 1, queued: 0, failed: 0 });
    expect((await rig.pool.query('SELECT 1 FROM letter_child')).rowCount).toBe(0);
    expect((await redrive(false, null)).counts).toEqual(predicted.counts);
  });
});

describe('a waiting letter that its owner and a person try at the same moment', () => {
  it('has one attempt more where it goes through, and one entry in its history', async () => {
    await rig.pool.query(`INSERT INTO letter_parent VALUES ('parent')`);
    await atOnce();
    expect(await letters()).toEqual(Array.from({ length: LETTERS }, () => 'redriven 2'));
    const { rows } = await rig.pool.query<{ n: string; letters: string }>(
      `SELECT count(*) AS n, count(DISTINCT letter_id) AS letters FROM ${SCHEMA}._cdc_dead_letter_attempts`,
    );
    expect(rows).toEqual([{ n: String(LETTERS), letters: String(LETTERS) }]);
  });

  it('has one attempt more where it fails again, and waits on', async () => {
    const { givenUp } = await atOnce();
    expect(givenUp).toBe(0);
    expect(await letters()).toEqual(Array.from({ length: LETTERS }, () => 'waiting 2'));
  });
});
