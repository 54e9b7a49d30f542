import { describe, expect, it } from 'vitest';
import { cqlProblem } from './rule-query.ts';

describe('the CQL of a rule', () => {
  it.each([
    'SELECT day, sum(total) AS total FROM shop.orders GROUP BY day',
    "  select k, v FROM t WHERE s = 'a;b' ;  ",
    '-- revenue\n/* of a day */ SELECT "a;b", n FROM t',
  ])('may be %s', (cql) => {
    expect(cqlProblem(cql)).toBeNull();
  });

  it.each([
    ['DELETE FROM t WHERE k = 1', /does not begin with SELECT/],
    ['INSERT INTO t (k) VALUES (1)', /does not begin with SELECT/],
    ["-- SELECT\nUPDATE t SET v = 'SELECT' WHERE k = 1", /does not begin with SELECT/],
    ['BEGIN BATCH DELETE FROM t WHERE k = 1; APPLY BATCH', /does not begin with SELECT/],
    ['SELECTED FROM t', /does not begin with SELECT/],
    ['SELECT k, v FROM t; DROP TABLE t', /more than one statement/],
    ['SELECT * FROM t', /name the columns/],
    ['SELECT DISTINCT k FROM t', /name the columns/],
    ['SELECT JSON k FROM t', /name the columns/],
  ])('may not be %s', (cql, message) => {
    expect(cqlProblem(cql)).toMatch(message);
  });
});
