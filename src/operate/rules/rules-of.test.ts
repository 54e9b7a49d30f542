import { describe, expect, it } from 'vitest';
import { parseConfiguration } from '../../config/index.ts';
import { isDue } from './rule-schedule.ts';
import { nextRunMs, ruleNamed, rulesOf } from './rules-of.ts';

const configuration = (rule: string) =>
  parseConfiguration(
    `
source: { cassandra: {} }
tables: [{ source: shop.orders, topic: cass1.shop.orders, target: public.orders }]
reconciliation: { rules: [${rule}] }`,
    'f.yaml',
    {},
  );
const GOOD = `{ name: revenue, key: [day], cql: "SELECT day, sum(total) AS total FROM shop.orders GROUP BY day",
  sql: "SELECT day, sum(total) AS total FROM orders GROUP BY day", tolerance: { relative: 0.001 }, schedule: "*/15 * * * *" }`;
const with_ = (from: string, to: string) => configuration(GOOD.replace(from, to));

describe('rules of the configuration', () => {
  it('are read with their tolerance, and ask about all tables unless told otherwise', () => {
    const [rule] = rulesOf(configuration(GOOD));
    expect(rule).toMatchObject({
      name: 'revenue',
      key: ['day'],
      severity: 'warning',
      tables: ['shop.orders'],
      timeoutMs: 60_000,
    });
    expect([rule!.tolerance.kind, rule!.tolerance.limit.toFixed()]).toEqual(['relative', '0.001']);
    const exact = rulesOf(with_('tolerance: { relative: 0.001 },', ''))[0]!.tolerance;
    expect([exact.kind, exact.limit.toFixed()]).toEqual(['absolute', '0']);
  });

  it.each<[string, () => unknown, RegExp]>([
    [
      'CQL that writes',
      () => rulesOf(with_('SELECT day, sum(total) AS total FROM shop.orders GROUP BY day', 'TRUNCATE shop.orders')),
      /revenue: cql: it does not begin with SELECT/,
    ],
    [
      'SQL that writes',
      () => rulesOf(with_('SELECT day, sum(total) AS total FROM orders GROUP BY day', 'DELETE FROM orders')),
      /revenue: sql: it is no SELECT/,
    ],
    ['a schedule that is none', () => rulesOf(with_('*/15 * * * *', 'hourly')), /revenue: schedule: /],
    ['a key column twice', () => rulesOf(with_('[day]', '[day, day]')), /revenue: key: day stands there twice/],
    ['two tolerances', () => with_('relative: 0.001', 'relative: 0.001, absolute: 1'), /tolerance/],
    ['a negative tolerance', () => with_('0.001', '-1'), /tolerance/],
    ['no key', () => with_('[day]', '[]'), /key/],
    ['a table that is not there', () => with_('schedule:', 'tables: [shop.order], schedule:'), /shop\.order/],
    ['two rules of one name', () => configuration(`${GOOD}, ${GOOD}`), /each name once/],
  ])('are refused with %s, by name', (_what, make, message) => {
    expect(make).toThrow(message);
  });

  it('are named by whoever asks for one', () => {
    expect(() => ruleNamed(rulesOf(configuration(GOOD)), 'revenu')).toThrow(/the nearest is revenue/);
  });
});

describe('a schedule', () => {
  const [rule] = rulesOf(configuration(GOOD));
  const at = (time: string): number => Date.parse(`2026-11-29T${time}Z`);

  it('is UTC', () => {
    expect(nextRunMs(rule!, at('10:07:00'))).toBe(at('10:15:00'));
    expect(nextRunMs({ ...rule!, schedule: null }, 0)).toBeNull();
  });

  it('is due once for all that was missed, and not before its time', () => {
    const last = { startedMs: at('10:00:03') };
    expect(isDue(rule!, last, at('09:00:00'), at('10:14:59'))).toBe(false);
    expect(isDue(rule!, last, at('09:00:00'), at('10:15:00'))).toBe(true);
    expect(isDue(rule!, last, at('09:00:00'), at('18:00:00'))).toBe(true);
    expect(isDue(rule!, { startedMs: at('18:00:00') }, at('09:00:00'), at('18:00:05'))).toBe(false);
    expect(isDue(rule!, null, at('10:01:00'), at('10:14:00'))).toBe(false);
    expect(isDue(rule!, null, at('10:01:00'), at('10:15:00'))).toBe(true);
    expect(isDue({ ...rule!, schedule: null }, null, 0, at('18:00:00'))).toBe(false);
  });
});
