import fc from 'fast-check';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { choicesOf } from '../../src/catalog/target-choices.ts';
import { allowedTargets, tieBytesSql, tieOrder, valueMapping } from '../../src/catalog/type-mapping.ts';
import { TARGET_SESSION_SETTINGS } from '../../src/catalog/value-mapping.ts';
import type { Column } from '../../src/catalog/table.ts';
import { VARINT_BYTES_SQL } from '../../src/catalog/varint-bytes.sql.ts';
import { compareClustering, serialise } from '../../src/change/values/value-order.ts';
import { parseCqlType } from '../../src/change/parse-cql-type.ts';
import { columnOf, COLLECTIONS, SCALAR_NAMES, valuesOf, vector3 } from './catalog-values.ts';

/** Values of one column that go to the server together; a round trip each would take minutes. */
const VALUES = 200;

let client: pg.Client;

beforeAll(async () => {
  client = new pg.Client(inject('postgresUrl'));
  await client.connect();
  await client.query('CREATE SCHEMA IF NOT EXISTS catalog_test; CREATE EXTENSION IF NOT EXISTS citext');
  await client.query('SET search_path = catalog_test, public');
  for (const [name, value] of Object.entries(TARGET_SESSION_SETTINGS)) {
    await client.query('SELECT set_config($1, $2, false)', [name, value]);
  }
  await client.query(VARINT_BYTES_SQL);
});
afterAll(async () => {
  await client.query('DROP SCHEMA catalog_test CASCADE');
  await client.end();
});

/** Every pair of CQL type and target, with values. */
function pairs(): { title: string; column: Column; values: fc.Arbitrary<string> }[] {
  const written = (base: string, array: boolean): string[] => {
    if (base === 'character varying') return ['character varying', 'character varying(5000)'];
    if (base === 'numeric') return ['numeric', 'numeric(1000,20)', 'numeric(30,0)'];
    return [array ? `${base}[]` : base];
  };
  const of = (typeText: string, type: Column['type'], values: fc.Arbitrary<string>) =>
    choicesOf(type).flatMap((choice) =>
      written(choice.base, choice.array).flatMap((targetType) => {
        const losses = choice.needs === null ? [] : [choice.needs];
        const lossy = choice.base === 'time without time zone' ? [losses, ['sub-microsecond']] : [losses];
        const json = targetType.startsWith('json') && type.kind === 'scalar';
        const written = json ? values.map((text) => JSON.stringify({ b: text, a: [text, 1.5] })) : values;
        return lossy.map((allowLoss) => ({
          title: `${typeText} in ${targetType} ${allowLoss.join()}`,
          column: columnOf(type, targetType, 'regular', allowLoss),
          values: written,
        }));
      }),
    );
  return [
    ...SCALAR_NAMES.flatMap((name) => of(name, parseCqlType(name), valuesOf(name))),
    ...COLLECTIONS.flatMap(({ typeText, type, values }) => of(typeText, type, values)),
    ...of('vector<float, 3>', vector3.type, vector3.values),
  ];
}

/** The cast is without length or precision, as the door's: an explicit cast to varchar(3) would cut silently. */
async function insertAll(table: string, targetType: string, inputs: readonly string[]): Promise<void> {
  const cast = targetType.replace(/\(.*\)/, '');
  const rows = `unnest($1::text[]) WITH ORDINALITY AS u(t, i)`;
  await client.query(`INSERT INTO ${table} SELECT i - 1, t::${cast} FROM ${rows}`, [inputs]);
}

/** What PostgreSQL gives back for each input text, as output text and as `::text`; null where it refuses. */
async function stored(targetType: string, inputs: readonly string[]): Promise<(readonly [string, string] | null)[]> {
  await client.query(`CREATE TEMP TABLE trip (i integer, v ${targetType})`);
  try {
    await client.query('BEGIN');
    try {
      await client.query('SAVEPOINT s');
      await insertAll('trip', targetType, inputs);
    } catch (error) {
      if (!(error instanceof pg.DatabaseError) || inputs.length > 1) throw error;
      await client.query('ROLLBACK TO s');
    }
    const { rows } = await client.query<[number, string, string]>({
      text: 'SELECT i, v, v::text FROM trip',
      rowMode: 'array',
      types: { getTypeParser: () => (text: string) => text },
    });
    const shown = new Map(rows.map(([i, plain, cast]) => [String(i), [plain, cast] as const]));
    return inputs.map((_, i) => shown.get(String(i)) ?? null);
  } finally {
    await client.query('ROLLBACK');
    await client.query('DROP TABLE IF EXISTS trip');
  }
}

describe('a value that check lets pass comes back as it was', () => {
  test.each(pairs())('$title', async ({ column, values }) => {
    const mapping = valueMapping(column);
    const samples = fc.sample(values, { numRuns: VALUES, seed: 42 });
    const fitting = samples.filter((text) => (mapping.check?.(text) ?? null) === null);
    expect(fitting.length).toBeGreaterThan(0);
    const back = await stored(
      column.targetType,
      fitting.map((text) => mapping.toTarget(text)),
    );
    for (const [i, text] of fitting.entries()) {
      const found = back[i];
      expect(found, `PostgreSQL refused ${text}`).not.toBeNull();
      expect(mapping.fromTarget(found?.[0] ?? '')).toBe(mapping.asStored(text));
      expect(mapping.fromTarget(found?.[1] ?? '')).toBe(mapping.asStored(text));
      if (mapping.identity) expect(mapping.toTarget(text)).toBe(text);
    }
  });
});

describe('a value that check refuses is refused, rounded or changed by PostgreSQL', () => {
  const refusals: [string, string, string][] = [
    ['text', 'text', 'a\u0000b'],
    ['list<text>', 'jsonb', '["a\\u0000"]'],
    ['list<text>', 'jsonb', '["\\ud800"]'],
    ['list<decimal>', 'jsonb', `[0.${'0'.repeat(16_383)}1]`],
    ['list<decimal>', 'jsonb', '[1E+131072]'],
    ['int', 'smallint', '32768'],
    ['varint', 'bigint', '-9223372036854775809'],
    ['varint', 'numeric', '1'.repeat(131_073)],
    ['decimal', 'numeric', `0.${'0'.repeat(16_383)}1`],
    ['decimal', 'numeric', '1E+131072'],
    ['decimal', 'numeric(5,2)', '1000.00'],
    ['date', 'date', '-004713-11-23'],
    ['date', 'date', '+5874898-01-01'],
    ['timestamp', 'timestamp with time zone', '-004713-11-23T23:59:59.999Z'],
    ['timestamp', 'timestamp with time zone', '@9224318016000000'],
    ['timestamp', 'timestamp without time zone', '@9223372036854775807'],
  ];
  test.each(refusals)('%s in %s: %s', async (typeText, targetType, text) => {
    const mapping = valueMapping(columnOf(parseCqlType(typeText), targetType));
    expect(mapping.check?.(text)).toMatchObject({ code: expect.any(String) as string });
    const [back] = await stored(targetType, [mapping.toTarget(text)]);
    expect(back).toBeNull();
  });
  test.each([
    ['decimal', 'numeric(5,2)', '1.005', '1.01'],
    ['time', 'time without time zone', '12:00:00.123456789', '12:00:00.123456000'],
    ['text', 'character varying(3)', 'abc ', 'abc'],
  ])('%s in %s: %s would silently become %s', async (typeText, targetType, text, wrong) => {
    const mapping = valueMapping(columnOf(parseCqlType(typeText), targetType));
    expect(mapping.check?.(text)).toMatchObject({ code: expect.any(String) as string });
    const [back] = await stored(targetType, [mapping.toTarget(text)]);
    expect(mapping.fromTarget(back?.[0] ?? '')).toBe(wrong);
  });
  test.each([
    ['text', 'bytea', 'a\u0000b'],
    ['list<text>', 'json', '["a\\u0000"]'],
    ['date', 'integer', '-5877641-06-23'],
    ['timestamp', 'bigint', '@-9223372036854775808'],
    ['time', 'bigint', '23:59:59.999999999'],
  ])('the remedy for %s, %s, holds %j', async (typeText, targetType, text) => {
    const mapping = valueMapping(columnOf(parseCqlType(typeText), targetType));
    expect(mapping.check?.(text) ?? null).toBeNull();
    const [back] = await stored(targetType, [mapping.toTarget(text)]);
    expect(mapping.fromTarget(back?.[0] ?? '')).toBe(text);
  });
});

describe('ties: the order of tieBytesSql is the order of the source’s serialised bytes', () => {
  test.each(pairs())('$title', async ({ column, values }) => {
    const mapping = valueMapping(column);
    const fitting = fc
      .sample(values, { numRuns: VALUES, seed: 7 })
      .filter((text) => (mapping.check?.(text) ?? null) === null);
    const expression = tieBytesSql(column, 'v');
    const key = expression ?? `convert_to(v::text, 'UTF8')`;
    await client.query(`CREATE TEMP TABLE ties (i integer, v ${column.targetType})`);
    await insertAll(
      'ties',
      column.targetType,
      fitting.map((text) => mapping.toTarget(text)),
    );
    const { rows } = await client.query<{ i: number; bytes: Buffer | null }>(`SELECT i, ${key} AS bytes FROM ties`);
    await client.query('DROP TABLE ties');
    const bytes = new Map(rows.map((row) => [row.i, row.bytes]));
    const order = tieOrder(column);
    for (const [i, text] of fitting.entries()) {
      const mine = bytes.get(i);
      if (mine === null || mine === undefined) throw new Error(`no bytes of ${text}`);
      const source = serialise(column.type, mapping.asStored(text));
      if (expression !== null && source !== null)
        expect(mine.toString('hex')).toBe(Buffer.from(source).toString('hex'));
      const other = fitting[i + 1];
      const theirs = bytes.get(i + 1);
      if (other === undefined || theirs === null || theirs === undefined) continue;
      expect(Math.sign(order(text, other)), `${text} and ${other}`).toBe(Buffer.compare(mine, theirs));
    }
  });
});

describe('keys: equality and order of PostgreSQL are those of the source, where the rules say so', () => {
  const keyPairs = SCALAR_NAMES.flatMap((name) => {
    const type = parseCqlType(name);
    return (['partition', 'clustering'] as const).flatMap((kind) =>
      allowedTargets(type, kind)
        .filter((choice) => choice.base !== 'character varying')
        .map((choice) => ({ name, kind, choice, title: `${name} as ${kind} key in ${choice.base}` })),
    );
  });
  test.each(keyPairs)('$title', async ({ name, kind, choice }) => {
    const column = columnOf(parseCqlType(name), choice.base, kind);
    const mapping = valueMapping(column);
    const values = fc.sample(valuesOf(name), { numRuns: 400, seed: 11 });
    const twins = ['1.0', '1.00', '-1.50', '-1.5', '100', '1E+2'];
    const samples = [...new Set([...values, ...(name === 'decimal' ? twins : [])])].filter(
      (text) => (mapping.check?.(text) ?? null) === null,
    );
    const collate = /text|char/.test(choice.base) ? 'COLLATE "C"' : '';
    const { rows } = await client.query<{ i: string; position: string }>(
      `SELECT i, dense_rank() OVER (ORDER BY v) AS position
       FROM (SELECT i, t::${choice.base} ${collate} AS v FROM unnest($1::text[]) WITH ORDINALITY AS u(t, i)) AS s`,
      [samples.map((text) => mapping.toTarget(text))],
    );
    const position = new Map(rows.map((row) => [Number(row.i) - 1, Number(row.position)]));
    for (let i = 0; i < samples.length; i++) {
      for (let j = i + 1; j < Math.min(samples.length, i + 40); j++) {
        const [a = '', b = ''] = [samples[i], samples[j]];
        const target = Math.sign((position.get(i) ?? 0) - (position.get(j) ?? 0));
        if (kind === 'partition') {
          // Partitions are told apart by their bytes; samples are distinct, so are their bytes.
          expect(target === 0, `${a} and ${b}`).toBe(false);
        } else {
          const source = compareClustering(column.type, a, b);
          expect(target === 0, `${a} and ${b}`).toBe(source === 0);
          if (choice.clustering === 'same-order') expect(target, `${a} and ${b}`).toBe(source);
        }
      }
    }
  });
});
