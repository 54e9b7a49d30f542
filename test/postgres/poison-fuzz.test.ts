/**
 * Mutated captured events, 100,000 of them among good ones, through decoder, isolation and a real door: whatever the bytes,
 * the shard goes on to the end, what is set aside is set aside to the byte, and no good record is among it.
 */
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { BatchApplier } from '../../src/consume/batch-applier.ts';
import { itemOf, type Item } from '../../src/consume/item.ts';
import { defaultLimits } from '../../src/consume/limits.ts';
import { silentObserver } from '../../src/consume/observer.ts';
import { RecentFingerprints } from '../../src/consume/recent-fingerprints.ts';
import type { DeadLetter } from '../../src/deadletter/dead-letter.ts';
import { createDebeziumCassandraDecoder } from '../../src/decode/debezium-cassandra/index.ts';
import { representableOnly } from '../../src/decode/representable.ts';
import { mutated, seededBelow } from '../fixtures/debezium-cassandra/mutations.ts';
import { capturedRecords, recordOf } from '../fixtures/debezium-cassandra/tables.ts';
import { column, openDoorRig, scalar, tableOf, type DoorRig } from '../support/door-rig.ts';

/** One seed replays a failure: LOCKSTEP_FUZZ_SEED=… */
const SEED = Number(process.env['LOCKSTEP_FUZZ_SEED'] ?? 20261127);
const CASES = Number(process.env['LOCKSTEP_FUZZ_CASES'] ?? 100_000);
/** Every so many records one that was not touched. */
const GOOD_EVERY = 10;
const BATCH = 2_000;

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
      limits: defaultLimits,
      observer: silentObserver,
      clock: rig.clock,
      timers: {
        elapsedMs: () => performance.now(),
        random: Math.random,
        pause: async () => undefined,
        yield: async () => undefined,
      },
      recent: new RecentFingerprints(1_000),
      table: table.name,
      onCommitted: ({ prepared }) => {
        expect(prepared.batch.from).toBe(committed);
        committed = prepared.batch.next;
      },
      onTrouble: () => undefined,
    });
    for (let from = 0; from < CASES; from += BATCH) {
      const items: Item[] = [];
      sent.clear();
      letters.length = 0;
      for (let i = from; i < Math.min(CASES, from + BATCH); i += 1) {
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
        items.push(itemOf(record, decoder));
      }
      const next = BigInt(from + items.length);
      const bytes = items.reduce((sum, item) => sum + item.bytes, 0);
      const outcome = await applier.apply(
        shard,
        { items, from: BigInt(from), next, bytes },
        new AbortController().signal,
      );
      expect(outcome).toEqual({ kind: 'committed' });
      expect(committed).toBe(next);
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
    const { rows } = await rig.pool.query<{ decoded: string; refused: string }>(
      `SELECT count(*) FILTER (WHERE code LIKE 'PG%') AS refused, count(*) FILTER (WHERE code NOT LIKE 'PG%') AS decoded
     FROM poison_fuzz._cdc_dead_letters`,
    );
    // Both ways of failing must occur, or the corpus tests half of it.
    expect(Number(rows[0]?.decoded)).toBeGreaterThan(CASES / 4);
    expect(Number(rows[0]?.refused)).toBeGreaterThan(0);
  },
);
