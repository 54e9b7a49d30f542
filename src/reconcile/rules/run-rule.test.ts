import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareSides } from './compare-sides.ts';
import { toleranceOf } from './compare-values.ts';
import type { AskSide, Rule, RuleColumn } from './rule.ts';
import { runRule } from './run-rule.ts';

const RULE: Rule = {
  name: 'revenue',
  cql: 'SELECT day, total FROM t',
  sql: 'SELECT day, total FROM t',
  key: ['day'],
  tolerance: toleranceOf('absolute', '0.5'),
  severity: 'warning',
  mayBeEmpty: false,
  timeoutMs: 1_000,
};
const COLUMNS: readonly RuleColumn[] = [
  { name: 'day', kind: 'text', type: 'text' },
  { name: 'total', kind: 'number', type: 'decimal' },
];
type Rows = Readonly<Record<string, string | null>>;
const never = new AbortController().signal;

/** A side that says the next of these at each look, the last for ever; in pages of two, keys in any order. */
function saying(...looks: readonly Rows[]): AskSide {
  let look = 0;
  return async function* () {
    const rows = Object.entries(looks[Math.min(look++, looks.length - 1)] ?? {});
    yield await Promise.resolve({ columns: COLUMNS, rows: rows.slice(0, 2) });
    for (let at = 2; at < rows.length; at += 2) yield { columns: COLUMNS, rows: rows.slice(at, at + 2) };
  };
}

const proven = () => Promise.resolve(null);
const parts = (source: AskSide, target: AskSide, barrier: () => Promise<string | null> = proven) => ({
  source,
  target,
  barrier,
  captured: proven,
});

describe('one look', () => {
  it('finds exactly the keys that differ beyond the tolerance, whatever order the sides answer in', async () => {
    const value = fc.option(fc.integer({ min: 0, max: 3 }).map(String), { nil: null });
    const side = fc.dictionary(fc.constantFrom(...'abcdefgh'), value);
    await fc.assert(
      fc.asyncProperty(side, side, fc.boolean(), async (source, target, reversed) => {
        const turned = reversed ? Object.fromEntries(Object.entries(target).reverse()) : target;
        const look = await compareSides(RULE, { source: saying(source), target: saying(turned) }, never);
        const expected = [...new Set([...Object.keys(source), ...Object.keys(target)])]
          .filter((key) => !(key in source) || !(key in target) || source[key] !== target[key])
          .map((key) => [
            JSON.stringify([key]),
            key in source ? (key in target ? 'VALUE_MISMATCH' : 'MISSING_IN_POSTGRES') : 'MISSING_IN_CASSANDRA',
          ]);
        expect([...look.mismatches.values()].map(({ key, kind }) => [key, kind])).toEqual(expected.sort());
        expect([look.sourceKeys, look.targetKeys]).toEqual([Object.keys(source).length, Object.keys(target).length]);
      }),
      { numRuns: 200 },
    );
  });

  it.each<[string, readonly RuleColumn[], RegExp]>([
    ['lacks the key', [{ name: 'd', kind: 'text', type: 'text' }, COLUMNS[1]!], /no column day; it has d, total/],
    ['has another column', [...COLUMNS, { name: 'n', kind: 'number', type: 'int' }], /only the SQL has a column n/],
    ['lacks a column', [COLUMNS[0]!, { name: 'n', kind: 'number', type: 'int' }], /only the CQL has a column total/],
    [
      'has another type',
      [COLUMNS[0]!, { name: 'total', kind: 'text', type: 'text' }],
      /total is a number in the CQL and a text in the SQL/,
    ],
    [
      'has a type that is none',
      [COLUMNS[0]!, { name: 'total', kind: null, type: 'jsonb' }],
      /total of the SQL is jsonb/,
    ],
    ['has nothing to compare', [COLUMNS[0]!], /nothing but its key/],
    ['has a column twice', [COLUMNS[0]!, COLUMNS[1]!, COLUMNS[1]!], /two columns total/],
  ])('refuses SQL that %s, and says which', async (_what, columns, message) => {
    const target: AskSide = async function* () {
      yield await Promise.resolve({ columns, rows: [] });
    };
    await expect(compareSides(RULE, { source: saying({}), target }, never)).rejects.toThrow(message);
  });

  it('refuses an answer that has a key twice', async () => {
    const target: AskSide = async function* () {
      yield await Promise.resolve({
        columns: COLUMNS,
        rows: [
          ['a', '1'],
          ['b', '1'],
          ['a', '2'],
        ],
      });
    };
    await expect(compareSides(RULE, { source: saying({}), target }, never)).rejects.toThrow(
      /the SQL has the key \["a"\] more than once/,
    );
  });

  it('keeps 10,000 differences and counts the others, in bounded memory', async () => {
    const many: AskSide = async function* () {
      for (let page = 0; page < 120; page++) {
        yield await Promise.resolve({
          columns: COLUMNS,
          rows: Array.from({ length: 100 }, (_, i) => [`k${page * 100 + i}`, '1']),
        });
      }
    };
    const look = await compareSides(RULE, { source: many, target: saying({}) }, never);
    expect([look.sourceKeys, look.mismatches.size, look.more]).toEqual([12_000, 10_000, 2_000]);
  });
});

describe('a run', () => {
  it('passes where the sides agree at the first look, within the tolerance', async () => {
    const report = await runRule(RULE, parts(saying({ a: '10.00', b: null }), saying({ a: '10.5', b: null })), never);
    expect(report).toMatchObject({ verdict: 'PASS', reasons: [], looks: 1, sourceKeys: 2, targetKeys: 2 });
  });

  it('calls drift what stays the same over three looks, and no less', async () => {
    const report = await runRule(RULE, parts(saying({ a: '10', b: '1' }), saying({ a: '9', c: '1' })), never);
    expect(report).toMatchObject({ verdict: 'DRIFT', looks: 3, reasons: ['3 keys differ'] });
    expect(report.mismatches).toEqual([
      { key: '["a"]', kind: 'VALUE_MISMATCH', columns: ['total'], source: { total: '10' }, target: { total: '9' } },
      { key: '["b"]', kind: 'MISSING_IN_POSTGRES', columns: [], source: { total: '1' }, target: null },
      { key: '["c"]', kind: 'MISSING_IN_CASSANDRA', columns: [], source: null, target: { total: '1' } },
    ]);
  });

  it('passes where what differed was under way', async () => {
    const report = await runRule(RULE, parts(saying({ a: '10' }), saying({ a: '8' }, { a: '9' }, { a: '10' })), never);
    expect(report).toMatchObject({ verdict: 'PASS', looks: 3, inFlight: 1, mismatches: [], unproven: [] });
  });

  it('never calls drift what moves whenever it is looked at, and never PASS', async () => {
    const moving = Array.from({ length: 9 }, (_, i) => ({ a: String(10 + i) }));
    const behind = Array.from({ length: 9 }, (_, i) => ({ a: String(9 + i) }));
    const report = await runRule(RULE, parts(saying(...moving), saying(...behind)), never);
    expect(report).toMatchObject({ verdict: 'INCONCLUSIVE', looks: 5, mismatches: [] });
    expect(report.reasons[0]).toContain('they moved whenever they were looked at');
  });

  it('is no proof where the same was seen twice, and then something else', async () => {
    const target = saying({ a: '8' }, { a: '8' }, { a: '9' }, { a: '9' }, { a: '7' });
    const report = await runRule(RULE, parts(saying({ a: '10' }), target), never);
    expect([report.verdict, report.mismatches.length, report.unproven.length]).toEqual(['INCONCLUSIVE', 0, 1]);
  });

  it('proves nothing without its barrier, and says why', async () => {
    const barrier = () => Promise.resolve('a shard has not passed the log end');
    const report = await runRule(RULE, parts(saying({ a: '10' }), saying({ a: '8' }), barrier), never);
    expect(report).toMatchObject({ verdict: 'INCONCLUSIVE', looks: 1, mismatches: [] });
    expect(report.reasons).toEqual([
      '1 keys differ, and it is not proven that they drift: a shard has not passed the log end',
    ]);
  });

  it('passes without a row only where that is right', async () => {
    expect((await runRule(RULE, parts(saying({}), saying({})), never)).verdict).toBe('INCONCLUSIVE');
    expect((await runRule({ ...RULE, mayBeEmpty: true }, parts(saying({}), saying({})), never)).verdict).toBe('PASS');
  });
});
