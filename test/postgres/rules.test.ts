/** Business rules against a real PostgreSQL: what may be asked of it, what is found, and what becomes of findings. */
import type { Pool } from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { compareSides } from '../../src/reconcile/rules/compare-sides.ts';
import { toleranceOf } from '../../src/reconcile/rules/compare-values.ts';
import type { AskSide, Rule } from '../../src/reconcile/rules/rule.ts';
import { runRuleJob, RULE } from '../../src/operate/rules/rule-job.ts';
import { targetColumn } from '../../src/operate/rules/rule-sides.ts';
import { JobStore } from '../../src/target/stores/job-store.ts';
import { RuleFindingStore } from '../../src/target/stores/rule-finding-store.ts';
import { askTarget, describeTarget } from '../../src/target/scan/rule-query.ts';
import { COMPARED } from '../support/two-sides.ts';
import { openDoorRig, type DoorRig } from '../support/door-rig.ts';

const SCHEMA = 'rules';
const signal = new AbortController().signal;

let rig: DoorRig;
let pool: Pool;
beforeAll(async () => {
  rig = await openDoorRig(inject('postgresUrl'), [COMPARED], { schema: SCHEMA });
  pool = rig.pool;
  await pool.query(`CREATE TABLE ${SCHEMA}.sales (day date, total numeric, at timestamptz)`);
  await pool.query(`CREATE SEQUENCE ${SCHEMA}.numbers`);
});
afterAll(() => rig.close());
beforeEach(async () => {
  await pool.query(`TRUNCATE ${SCHEMA}.sales, ${SCHEMA}._cdc_rule_findings`);
  await pool.query(
    `INSERT INTO ${SCHEMA}.sales SELECT '2026-11-01'::date + i % 3, 0.10, now() FROM generate_series(0, 2999) AS i`,
  );
});

async function rows(sql: string, timeoutMs = 5_000): Promise<(string | null)[][]> {
  const all: (string | null)[][] = [];
  for await (const page of askTarget(pool, sql, { timeoutMs, signal })) all.push(...page.rows.map((row) => [...row]));
  return all;
}
const count = async (): Promise<string | null> => (await rows(`SELECT count(*) FROM ${SCHEMA}.sales`))[0]![0]!;

describe('the SQL of a rule', () => {
  it('comes page by page, as text, with its columns; also without a row', async () => {
    const pages: number[] = [];
    for await (const page of askTarget(pool, `SELECT i AS n FROM generate_series(1, 2500) AS i;`, {
      timeoutMs: 5_000,
      signal,
    })) {
      pages.push(page.rows.length);
    }
    expect(pages).toEqual([1000, 1000, 500]);
    expect(await rows(`SELECT day, sum(total) AS total FROM ${SCHEMA}.sales GROUP BY day ORDER BY day`)).toEqual([
      ['2026-11-01', '100.00'],
      ['2026-11-02', '100.00'],
      ['2026-11-03', '100.00'],
    ]);
    const answers = [];
    for await (const page of askTarget(pool, 'SELECT 1 AS n WHERE false', { timeoutMs: 5_000, signal }))
      answers.push(page);
    expect(answers).toEqual([{ columns: [{ name: 'n', type: 23 }], rows: [] }]);
    expect(
      await describeTarget(pool, `SELECT day, sum(total) AS total FROM ${SCHEMA}.sales GROUP BY day`, 5_000),
    ).toEqual([
      { name: 'day', type: 1082 },
      { name: 'total', type: 1700 },
    ]);
  });

  it.each([
    ['an INSERT', `INSERT INTO ${SCHEMA}.sales VALUES (now(), 1, now())`],
    ['a second statement', `SELECT 1 AS n; DELETE FROM ${SCHEMA}.sales`],
    ['a COMMIT and more', `SELECT 1 AS n; COMMIT; DELETE FROM ${SCHEMA}.sales`],
    ['a DELETE inside WITH', `WITH gone AS (DELETE FROM ${SCHEMA}.sales RETURNING 1) SELECT count(*) AS n FROM gone`],
    ['a way out of READ ONLY', `SELECT set_config('transaction_read_only', 'off', true) AS n`],
    ['a sequence', `SELECT nextval('${SCHEMA}.numbers') AS n`],
    ['a lock on rows', `SELECT total AS n FROM ${SCHEMA}.sales FOR UPDATE`],
    ['a new table', `SELECT 1 AS n INTO ${SCHEMA}.copy`],
    ['no query at all', 'nonsense'],
    ['a table that is not there', 'SELECT n FROM nowhere'],
  ])('may not be %s, and nothing is changed', async (_what, sql) => {
    await expect(rows(sql)).rejects.toMatchObject({ code: 'RULE_SQL', kind: 'config' });
    expect(await count()).toBe('3000');
  });

  it('ends with its time, and gives its connection back', async () => {
    const began = performance.now();
    await expect(rows('SELECT pg_sleep(30) IS NULL AS n', 300)).rejects.toMatchObject({
      code: 'RULE_TIMEOUT',
      kind: 'transient',
    });
    expect(performance.now() - began).toBeLessThan(10_000);
    for (let i = 0; i < 12; i++) await expect(rows('nonsense')).rejects.toThrow();
    expect(await count()).toBe('3000');
  });
});

/** The source's answer to the same question: days and totals. */
function source(totals: Readonly<Record<string, string>>): AskSide {
  return async function* () {
    yield await Promise.resolve({
      columns: [
        { name: 'total', kind: 'number' as const, type: 'decimal' },
        { name: 'day', kind: 'date' as const, type: 'date' },
      ],
      rows: Object.entries(totals).map(([day, total]) => [total, day]),
    });
  };
}
const target: AskSide = async function* (stop) {
  const sql = `SELECT day, sum(total) AS total FROM ${SCHEMA}.sales GROUP BY day`;
  for await (const { columns, rows: page } of askTarget(pool, sql, { timeoutMs: 5_000, signal: stop })) {
    yield { columns: columns.map(targetColumn), rows: page };
  }
};

const RULE_OF: Rule = {
  name: 'revenue',
  cql: '',
  sql: '',
  key: ['day'],
  tolerance: toleranceOf('absolute', '0'),
  severity: 'critical',
  mayBeEmpty: false,
  timeoutMs: 5_000,
};
const scheduled = { ...RULE_OF, schedule: null, tables: [] };

describe('a rule', () => {
  it('compares sums to the last digit, keys in whatever order', async () => {
    const agree = { '2026-11-03': '100', '2026-11-01': '100.000', '2026-11-02': '1E+2' };
    expect((await compareSides(RULE_OF, { source: source(agree), target }, signal)).mismatches.size).toBe(0);
    const off = { ...agree, '2026-11-02': '100.0000000000000000000000000001' };
    const look = await compareSides(RULE_OF, { source: source(off), target }, signal);
    expect([...look.mismatches.values()]).toEqual([
      {
        key: '["2026-11-02"]',
        kind: 'VALUE_MISMATCH',
        columns: ['total'],
        source: { total: off['2026-11-02'] },
        target: { total: '100' },
      },
    ]);
  });

  it('has findings of its own: seen again, accepted while they look the same, superseded when they are gone', async () => {
    const jobs = new JobStore(pool, SCHEMA);
    const findings = new RuleFindingStore(pool, SCHEMA);
    const agree: Record<string, string> = { '2026-11-01': '100', '2026-11-02': '100', '2026-11-03': '100' };
    const proven = () => Promise.resolve(null);
    const run = async (totals: Readonly<Record<string, string>>) => {
      const parts = { source: source(totals), target, barrier: proven, captured: proven };
      return (await runRuleJob({ jobs, findings, parts }, scheduled, 'me', signal)).document;
    };
    const all = async () =>
      (await findings.list({ limit: 10 })).map(({ key, kind, status, seen }) => [key, kind, status, seen]);

    expect(await run(agree)).toMatchObject({ verdict: 'PASS', cassandra_keys: 3, postgres_keys: 3, mismatch_count: 0 });
    const off = { ...agree, '2026-11-02': '99', '2026-11-09': '1' };
    expect(await run(off)).toMatchObject({ verdict: 'DRIFT', mismatch_count: 2, looks: 3 });
    await run(off);
    expect(await all()).toEqual([
      ['["2026-11-09"]', 'MISSING_IN_POSTGRES', 'PENDING', 2],
      ['["2026-11-02"]', 'VALUE_MISMATCH', 'PENDING', 2],
    ]);

    for (const { id } of await findings.list({ limit: 10 })) await findings.resolve(id, 'IGNORED', 'me', 'agreed');
    expect(await run(off)).toMatchObject({ verdict: 'PASS', accepted: 2, mismatch_count: 0, reasons: [] });
    expect(await run({ ...off, '2026-11-02': '98' })).toMatchObject({
      verdict: 'DRIFT',
      accepted: 1,
      mismatch_count: 1,
    });
    expect(await findings.counts()).toEqual(new Map([['revenue', { open: 1, accepted: 1 }]]));

    expect(await run(agree)).toMatchObject({ verdict: 'PASS', superseded: 2 });
    expect((await all()).map(([, , status]) => status)).toEqual(['SUPERSEDED', 'SUPERSEDED']);
    const last = await jobs.latestOf(RULE, 'rule', 'revenue');
    expect(last).toMatchObject({ status: 'COMPLETED', requestedBy: 'me' });
  });

  it('that can not be asked fails, and its job says why', async () => {
    const jobs = new JobStore(pool, SCHEMA);
    const bad: AskSide = async function* (stop) {
      for await (const { columns, rows: page } of askTarget(pool, 'SELECT n FROM nowhere', {
        timeoutMs: 5_000,
        signal: stop,
      })) {
        yield { columns: columns.map(targetColumn), rows: page };
      }
    };
    const proven = () => Promise.resolve(null);
    const parts = { source: source({}), target: bad, barrier: proven, captured: proven };
    const run = { jobs, findings: new RuleFindingStore(pool, SCHEMA), parts };
    await expect(runRuleJob(run, { ...scheduled, name: 'bad' }, 'me', signal)).rejects.toMatchObject({
      code: 'RULE_SQL',
    });
    expect(await jobs.latestOf(RULE, 'rule', 'bad')).toMatchObject({
      status: 'FAILED',
      error: expect.stringContaining('nowhere') as string,
    });
  });

  it('is refused a finding that is not open', async () => {
    await expect(new RuleFindingStore(pool, SCHEMA).resolve(999_999n, 'IGNORED', 'me', 'x')).rejects.toMatchObject({
      code: 'RULE_FINDING_UNKNOWN',
      kind: 'usage',
    });
  });
});
