/** Dead letters that somebody leaves for good. */
import type { Pool } from 'pg';
import { afterAll, beforeAll, beforeEach, expect, inject, it } from 'vitest';
import { discardLetters } from '../../src/deadletter/discard-letters.ts';
import type { LetterFilter } from '../../src/deadletter/letter-filter.ts';
import { LetterIndex } from '../../src/deadletter/letter-index.ts';
import { column, openDoorRig, scalar, tableOf, type DoorRig } from '../support/door-rig.ts';

const SCHEMA = 'discard_letters';
const table = tableOf('letter_left', [
  column('id', 'partition', scalar('int'), 'integer'),
  column('v', 'regular', scalar('text'), 'text'),
]);
/** More than are closed in one transaction. */
const LETTERS = 2_500;

let rig: DoorRig;
let index: LetterIndex;
beforeAll(async () => {
  rig = await openDoorRig(inject('postgresUrl'), [table], { schema: SCHEMA });
  index = new LetterIndex(rig.pool, SCHEMA);
});
afterAll(async () => {
  await rig.pool.query('DROP TABLE letter_left');
  await rig.close();
});

beforeEach(async () => {
  await rig.pool.query(`DELETE FROM ${SCHEMA}._cdc_dead_letters`);
  await rig.pool.query(`TRUNCATE ${SCHEMA}._cdc_audit_log`);
  // Of every ten one waits, and one was redriven before.
  await rig.pool.query(
    `INSERT INTO ${SCHEMA}._cdc_dead_letters
       (topic, incarnation, partition, "offset", table_id, code, reason, path, row_key, status, attempts, sha256, value_bytes, record_ms)
     SELECT $1, 1, 0, n, (SELECT id FROM ${SCHEMA}._cdc_tables), CASE WHEN n % 2 = 0 THEN 'PG_23503' ELSE 'PG_23514' END, 'refused', '',
       '["' || n || '"]', CASE n % 10 WHEN 0 THEN 'waiting' WHEN 1 THEN 'redriven' ELSE 'pending' END, 1, ''::bytea, 1, 0
     FROM generate_series(1, ${LETTERS}) AS n`,
    [table.topic],
  );
});

const discard = (filter: LetterFilter, dryRun = false): Promise<number> =>
  discardLetters(rig.pool, SCHEMA, filter, { by: 'ann', why: 'orders of the old shop', dryRun });
const counted = async (status: 'pending' | 'waiting' | 'redriven' | 'discarded'): Promise<number> =>
  index.count({ status });

it('closes those that are open, however many, and nothing else', async () => {
  expect(await discard({ code: 'PG_23503' }, true)).toBe(LETTERS / 2);
  expect(await counted('discarded')).toBe(0);
  expect(await discard({ code: 'PG_23503' })).toBe(LETTERS / 2);
  expect([await counted('pending'), await counted('waiting'), await counted('redriven')]).toEqual([1_000, 0, 250]);
  expect((await index.openLetters({})).open).toBe(1_000);
  expect(await discard({ code: 'PG_23503' })).toBe(0);
  expect(await discard({ status: 'redriven' })).toBe(0);
});

it('says who and why, with each letter and in the audit log', async () => {
  const [letter] = await index.page({ status: 'pending' }, 0n, 1);
  expect(await discard({ id: letter!.id })).toBe(1);
  const [left] = await index.page({ id: letter!.id }, 0n, 1);
  expect(left).toMatchObject({ status: 'discarded', attempts: 1 });
  expect(left!.resolvedMs).not.toBeNull();
  expect(await index.attempts(letter!.id)).toMatchObject([
    { jobId: null, outcome: 'discarded', code: null, reason: 'orders of the old shop' },
  ]);
  const { rows } = await rig.pool.query(
    `SELECT actor, action, row_key, reason, outcome FROM ${SCHEMA}._cdc_audit_log JOIN ${SCHEMA}._cdc_tables AS t ON t.id = table_id`,
  );
  expect(rows).toEqual([
    {
      actor: 'ann',
      action: 'DISCARD_LETTER',
      row_key: letter!.rowKey,
      reason: 'orders of the old shop',
      outcome: `letter ${letter!.id} is discarded`,
    },
  ]);
});

it('two who discard the same letters count and tell of each once', async () => {
  const counts = await Promise.all([discard({ code: 'PG_23514' }), discard({ code: 'PG_23514' })]);
  expect(counts[0] + counts[1]).toBe(1_000);
  const { rows } = await rig.pool.query<{ outcome: string }>(`SELECT outcome FROM ${SCHEMA}._cdc_audit_log`);
  expect(rows).toHaveLength(1_000);
  expect(new Set(rows.map(({ outcome }) => outcome)).size).toBe(1_000);
});

it('those that come meanwhile stay: nobody has decided about them', async () => {
  const racing: Pick<Pool, 'query'> = {
    query: async (text: string, values: unknown[]) => {
      const answer = await rig.pool.query(text, values);
      await rig.pool.query(
        `INSERT INTO ${SCHEMA}._cdc_dead_letters (topic, incarnation, partition, "offset", code, reason, path, status, sha256, value_bytes, record_ms)
         SELECT topic, 1, 0, max("offset") + 1, 'PG_23514', 'refused', '', 'pending', ''::bytea, 1, 0
         FROM ${SCHEMA}._cdc_dead_letters GROUP BY topic`,
      );
      return answer;
    },
  } as Pick<Pool, 'query'>;
  const decision = { by: 'ann', why: 'orders of the old shop', dryRun: false };
  expect(await discardLetters(racing as Pool, SCHEMA, { code: 'PG_23514' }, decision)).toBe(1_000);
  expect(await index.count({ code: 'PG_23514', status: 'pending' })).toBeGreaterThan(2);
});

it('a letter that was tried by its owner meanwhile is counted once', async () => {
  const [letter] = await index.page({ status: 'waiting' }, 0n, 1);
  await discard({ id: letter!.id });
  expect(await index.waitedInVain(letter!, { code: 'PG_23503', reason: 'no parent', path: '' }, 60_000)).toBe(false);
  const [left] = await index.page({ id: letter!.id }, 0n, 1);
  expect(left).toMatchObject({ status: 'discarded', attempts: 1 });
});

it('all of them are never meant by naming none', async () => {
  await expect(discard({})).rejects.toMatchObject({ code: 'LETTERS_UNNAMED', kind: 'usage' });
});
