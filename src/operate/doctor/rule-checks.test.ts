import { describe, expect, it } from 'vitest';
import { parseConfiguration } from '../../config/index.ts';
import { LockstepError } from '../../shared/errors.ts';
import { runChecks, type Check } from './check.ts';
import { ruleChecks, type RuleWork } from './rule-checks.ts';

const rule = (more = '') =>
  `{ name: revenue, key: [day], cql: "SELECT day, n FROM t", sql: "SELECT day, n FROM t"${more} }`;

async function found(rules: string, work: Partial<RuleWork> = {}) {
  const configuration = parseConfiguration(
    `
source: { cassandra: {} }
tables: [{ source: shop.orders, topic: cass1.shop.orders, target: public.orders }]
reconciliation: { rules: [${rules}] }`,
    'f.yaml',
    {},
  );
  const there = ['configuration', 'cassandra.reachable', 'postgres.reachable'].map((id): Check => ({
    id,
    needs: [],
    run: () => Promise.resolve([]),
  }));
  const all = {
    prepare: async () => undefined,
    describe: async () => [
      { name: 'day', type: 1082 },
      { name: 'n', type: 20 },
    ],
    ...work,
  };
  const results = await runChecks([...there, ...ruleChecks(() => configuration, all)]);
  return results.map(({ id, status, found: what }) => `${id} ${status}: ${what}`);
}

describe('doctor on rules', () => {
  it('is well with rules that both sides understand', async () => {
    expect(await found(rule())).toEqual([
      'rules.configuration ok: 1 rule',
      'rules.source ok: the source takes its query',
      'rules.target ok: compares n',
    ]);
  });

  it('skips where there are none', async () => {
    expect((await found(''))[0]).toBe('rules.configuration skipped: no rules are configured');
  });

  it('names what is wrong by itself, and asks nobody then', async () => {
    const results = await found(rule(', schedule: hourly'));
    expect(results[0]).toMatch(/rules\.configuration fault: .*revenue: schedule/);
    expect(results.slice(1).every((each) => each.includes('skipped'))).toBe(true);
  });

  it.each<[string, Partial<RuleWork>, RegExp]>([
    [
      'the source refuses',
      {
        prepare: () =>
          Promise.reject(
            new LockstepError('the source refuses the query: no table t', { code: 'RULE_CQL', kind: 'config' }),
          ),
      },
      /rules\.source fault: the source refuses/,
    ],
    [
      'the target refuses',
      {
        describe: () =>
          Promise.reject(new LockstepError('the target refuses the query: no t', { code: 'RULE_SQL', kind: 'config' })),
      },
      /rules\.target fault: the target refuses/,
    ],
    ['the key is missing', { describe: async () => [{ name: 'n', type: 20 }] }, /no column day; it has n/],
    [
      'a type can not be compared',
      {
        describe: async () => [
          { name: 'day', type: 1082 },
          { name: 'n', type: 3802 },
        ],
      },
      /column n of its SQL is of type OID 3802/,
    ],
    ['there is nothing to compare', { describe: async () => [{ name: 'day', type: 1082 }] }, /nothing but its key/],
  ])('finds that %s', async (_what, work, message) => {
    expect((await found(rule(), work)).join('\n')).toMatch(message);
  });
});
