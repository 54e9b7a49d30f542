import { describe, expect, it } from 'vitest';
import { tableMappingSchema } from '../../catalog/table-mapping.ts';
import { valueProblem } from '../../catalog/value-problems.ts';
import type { IndexedLetter, LetterIndex } from '../../deadletter/letter-index.ts';
import { MASK, Masking } from './masking.ts';

const mapping = (columns: readonly string[]) =>
  tableMappingSchema.parse({
    source: 'shop.people',
    topic: 't',
    target: 'public.people',
    columns: Object.fromEntries(columns.map((name) => [name, { sensitive: true }])),
  });
const index = {
  regularColumns: () => Promise.resolve(new Map([['shop.people', new Set(['email', 'age'])]])),
} as unknown as LetterIndex;

const letter = (more: Partial<IndexedLetter>): IndexedLetter => ({
  id: 1n,
  shard: { topic: 't', incarnation: 1, partition: 0 },
  offset: 0n,
  table: 'shop.people',
  code: 'TEXT_NUL',
  reason: valueProblem('TEXT_NUL', 'a@b\0').message,
  path: 'after.email.value',
  changeId: null,
  rowKey: '["a@b"]',
  status: 'pending',
  attempts: 1,
  sha256: Buffer.alloc(0),
  valueBytes: 1,
  recordMs: 0,
  firstFailedMs: 0,
  lastFailedMs: 0,
  resolvedMs: null,
  ...more,
});

describe('what is shown of a letter', () => {
  it('quotes no value of a sensitive column, and says what is wrong and what to do all the same', async () => {
    const masking = await Masking.of([mapping(['email'])], index);
    const { reason, rowKey } = masking.letter(letter({}));
    expect(reason).not.toContain('a@b');
    expect(reason).toContain(MASK);
    expect(reason).toContain('U+0000');
    // The key has no sensitive column.
    expect(rowKey).toBe('["a@b"]');
  });

  it('masks the row key where a column of the key is sensitive', async () => {
    const masking = await Masking.of([mapping(['login'])], index);
    expect(masking.letter(letter({})).rowKey).toBe(MASK);
  });

  it('leaves other columns and other tables as they are', async () => {
    const masking = await Masking.of([mapping(['email'])], index);
    const age = letter({ path: 'after.age.value', reason: 'the integer 5 is …' });
    expect(masking.letter(age)).toEqual(age);
    const other = letter({ table: 'shop.orders' });
    expect(masking.letter(other)).toEqual(other);
    expect(Masking.off.letter(letter({}))).toEqual(letter({}));
  });

  it.each(['PG_22P02', 'PG_P0001'])('hides what PostgreSQL or a trigger may quote: %s', async (code) => {
    const masking = await Masking.of([mapping(['email'])], index);
    expect(masking.letter(letter({ code, path: '', reason: 'invalid: "a@b"' })).reason).not.toContain('a@b');
    expect(masking.reason('shop.people', code, 'invalid: "a@b"')).not.toContain('a@b');
  });

  it('shows what PostgreSQL says without values', async () => {
    const masking = await Masking.of([mapping(['email'])], index);
    const check = letter({ code: 'PG_23514', path: '', reason: 'violates check constraint "short"' });
    expect(masking.letter(check).reason).toBe(check.reason);
  });
});
