/**
 * Mutated captured events, 100,000 of them among good ones, through decoder, isolation and a real door: whatever the bytes,
 * the shard goes on to the end, what is set aside is set aside to the byte, and no good record is among it. Memory is
 * bounded: by bytes in flight while it works, and nothing of what is done stays behind.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { BatchApplier } from '../../src/consume/shard/batch-applier.ts';
import { ByteBudget } from '../../src/consume/byte-budget.ts';
import { defaultLimits } from '../../src/consume/limits.ts';
import { silentObserver } from '../../src/consume/observer.ts';
import { RecentFingerprints } from '../../src/consume/shard/recent-fingerprints.ts';
import { ShardIntake } from '../../src/consume/shard/shard-intake.ts';
import type { DeadLetter } from '../../src/deadletter/dead-letter.ts';
import { createDebeziumCassandraDecoder } from '../../src/decode/debezium-cassandra/index.ts';
import type { SourceRecord } from '../../src/decode/record.ts';
import { representableOnly } from '../../src/decode/representable.ts';
import { systemTimers, type Timers } from '../../src/consume/timers.ts';
import { mutated, seededBelow } from '../fixtures/debezium-cassandra/mutations.ts';
import { capturedRecords, recordOf } from '../fixtures/debezium-cassandra/tables.ts';
import { column, openDoorRig, scalar, tableOf, type DoorRig } from '../support/door-rig.ts';

/** One seed replays a failure: LOCKSTEP_FUZZ_SEED=… */
const SEED = Number(process.env['LOCKSTEP_FUZZ_SEED'] ?? 20261127);
const CASES = Number(process.env['LOCKSTEP_FUZZ_CASES'] ?? 100_000);
/** Every so many records one that was not touched. */
const GOOD_EVERY = 10;
/** After so many everything is looked at. */
const ROUND = 10_000;
/** Records of one fetch, fewer bytes than the budget: a larger one would be let in alone, above the bound. */
const FETCH = 250;
const MAX_BYTES_IN_FLIGHT = 1_536 * 1024;
/** A batch and what waits behind it fill the budget, so that fetches have to wait for it. */
const MAX_QUEUED_BYTES = 640 * 1024;
/** Rounds before memory is first measured: code is compiled and caches are full then. */
const WARM_ROUNDS = 3;
/** A tenth of what 100,000 records take: what one leaked record in ten would come to. */
const MAX_GROWTH_BYTES = 32 * 1024 * 1024;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** What is really held, bytes of buffers included. */
function heldBytes(): number {
  collectGarbage();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

const table = tableOf('people', [
  column('id', 'partition', scalar('uuid'), 'uuid'),
  column('age', 'regular', scalar('int'), 'integer'),
  column('email', 'regular', scalar('text'), 'text'),
  column('name', 'regular', scalar('text'), 'text'),
  column('phone', 'regular', scalar('text'), 'text'),
]);

let rig: DoorRig;
beforeAll(async () => {
  rig = await openDoorRig(inject('postgresUrl'), [table], { schema: 'poison_fuzz' });
  // What decodes and still does not apply, for the isolation to find: names that nobody has.
  const names = capturedRecords('people').flatMap(({ value }) => {
    const { after } = JSON.parse(value?.toString() ?? '') as { after: { name: { value: string | null } | null } };
    return after.name?.value == null ? [] : [`'${after.name.value.replaceAll("'", "''")}'`];
  });
  await rig.pool.query(`ALTER TABLE people ADD CONSTRAINT known CHECK (name IS NULL OR name IN (${names.join(', ')}))`);
});
afterAll(async () => {
  await rig.pool.query('DROP TABLE people');
  await rig.close();
});

it(
  `sets nothing aside but what was mutated, to the byte (seed ${SEED}, ${CASES} cases)`,
  { timeout: 300_000 },
  async () => {
    const random = seededBelow(SEED);
    const originals = capturedRecords('people');
    const decoder = representableOnly(table, createDebeziumCassandraDecoder(table));
    const shard = { topic: table.topic, incarnation: 1, partition: 0 };
    const sent = new Map<bigint, { key: Buffer | null; value: Buffer | null; good: boolean }>();
    const letters: DeadLetter[] = [];
    let committed = 0n;
    let mostInFlight = 0;
    const budget = new ByteBudget(MAX_BYTES_IN_FLIGHT, (used) => {
      mostInFlight = Math.max(mostInFlight, used);
    });
    const limits = { ...defaultLimits, maxQueuedBytes: MAX_QUEUED_BYTES };
    const timers: Timers = {
      elapsedMs: () => performance.now(),
      random: Math.random,
      pause: systemTimers.pause,
      yield: async () => undefined,
    };
    const applier = new BatchApplier({
      door: rig.target.door,
      deadLetters: {
        put: async (given) => {
          letters.push(...given);
        },
        forget: () => undefined,
        close: async () => undefined,
      },
      breaker: { maxRatio: 1, minRecords: 1_000_000 },
      limits,
      observer: silentObserver,
      clock: rig.clock,
      timers,
      recent: new RecentFingerprints(1_000),
      table: table.name,
      onCommitted: ({ prepared }) => {
        expect(prepared.batch.from).toBe(committed);
        committed = prepared.batch.next;
      },
      onTrouble: () => undefined,
    });
    const { signal } = new AbortController();
    const work: { applying: Promise<void> | null } = { applying: null };
    const intake = new ShardIntake({
      decoder,
      budget,
      limits,
      timers,
      onStretch: () => {
        work.applying ??= applyAll().finally(() => {
          work.applying = null;
        });
      },
      onKeyForm: async () => true,
    });
    const applyAll = async (): Promise<void> => {
      for (let stretch = intake.take(); stretch !== null; stretch = intake.take()) {
        expect(await applier.apply(shard, stretch, signal)).toEqual({ kind: 'committed' });
        intake.release(stretch);
      }
    };
    let heldWarm = 0;
    for (let from = 0; from < CASES; from += ROUND) {
      if (from === WARM_ROUNDS * ROUND) heldWarm = heldBytes();
      let records: SourceRecord[] = [];
      sent.clear();
      letters.length = 0;
      const next = BigInt(Math.min(CASES, from + ROUND));
      for (let i = from; i < Math.min(CASES, from + ROUND); i += 1) {
        const original = originals[random(originals.length)];
        const [key, value] = [original?.key ?? null, original?.value ?? null];
        const good = i % GOOD_EVERY === 0;
        const record = {
          ...recordOf(
            good || random(10) > 0 ? key : mutated(key?.toString() ?? '', random),
            good ? value : mutated(value?.toString() ?? '', random),
          ),
          topic: table.topic,
          offset: BigInt(i),
        };
        sent.set(record.offset, { key: record.key, value: record.value, good });
        records.push(record);
        if (records.length < FETCH && record.offset + 1n < next) continue;
        const first = records[0]?.offset ?? next;
        await intake.add({ records, from: first, next: record.offset + 1n, signal, heartbeat: async () => undefined });
        records = [];
      }
      while (work.applying !== null) await work.applying;
      expect(committed).toBe(next);
      expect(budget.used).toBe(0);
      // Isolation may produce a letter again; the DLQ's key makes them one.
      for (const { record } of letters) {
        const original = sent.get(record.offset);
        expect(original?.good).toBe(false);
        expect([record.key, record.value]).toEqual([original?.key, original?.value]);
      }
      const { rows } = await rig.pool.query<{ o: string }>(
        'SELECT "offset" AS o FROM poison_fuzz._cdc_dead_letters WHERE "offset" >= $1 ORDER BY "offset"',
        [from],
      );
      expect(new Set(rows.map(({ o }) => o))).toEqual(new Set(letters.map(({ record }) => String(record.offset))));
    }
    expect(mostInFlight).toBeLessThanOrEqual(MAX_BYTES_IN_FLIGHT);
    // The budget was needed, or the bound shows nothing.
    expect(mostInFlight).toBeGreaterThan(MAX_BYTES_IN_FLIGHT / 2);
    sent.clear();
    letters.length = 0;
    if (heldWarm > 0) expect(heldBytes() - heldWarm).toBeLessThan(MAX_GROWTH_BYTES);
    const { rows } = await rig.pool.query<{ decoded: string; refused: string }>(
      `SELECT count(*) FILTER (WHERE code LIKE 'PG%') AS refused, count(*) FILTER (WHERE code NOT LIKE 'PG%') AS decoded
     FROM poison_fuzz._cdc_dead_letters`,
    );
    // Both ways of failing must occur, or the corpus tests half of it.
    expect(Number(rows[0]?.decoded)).toBeGreaterThan(CASES / 4);
    expect(Number(rows[0]?.refused)).toBeGreaterThan(0);
  },
);
