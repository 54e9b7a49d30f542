/** The rules of the configuration, checked as far as that goes without asking anybody. */
import { CronExpressionParser } from 'cron-parser';
import { closest } from 'fastest-levenshtein';
import type { Configuration } from '../../config/index.ts';
import { toleranceOf } from '../../reconcile/rules/compare-values.ts';
import type { Rule } from '../../reconcile/rules/rule.ts';
import { LockstepError, messageOf } from '../../shared/errors.ts';
import { cqlProblem } from '../../source/rule-query.ts';

/** A rule with what its runs need beside it. */
export interface ScheduledRule extends Rule {
  /** Cron in UTC; null: on demand only. */
  readonly schedule: string | null;
  /** Source names of the tables that it reads. */
  readonly tables: readonly string[];
}

type RuleSettings = Configuration['reconciliation']['rules'][number];

const problem = (rule: RuleSettings, key: string, message: string, remedy: string): LockstepError =>
  new LockstepError(`reconciliation.rules: ${rule.name}: ${key}: ${message}`, {
    code: 'RULE_INVALID',
    kind: 'config',
    remedy,
  });

/** What is wrong with a rule, before any system is asked. */
function problemsOf(rule: RuleSettings): LockstepError[] {
  const problems: LockstepError[] = [];
  const cql = cqlProblem(rule.cql);
  if (cql !== null)
    problems.push(problem(rule, 'cql', cql, 'write one SELECT that names its columns and groups by the key'));
  if (!/^\s*(SELECT|WITH|VALUES|TABLE)\b/i.test(rule.sql.replace(/--[^\n]*|\/\*[\s\S]*?\*\//g, ' '))) {
    problems.push(
      problem(rule, 'sql', 'it is no SELECT', 'write one SELECT; it runs in a transaction that can only read'),
    );
  }
  const twice = rule.key.find((name, at) => rule.key.indexOf(name) < at);
  if (twice !== undefined) problems.push(problem(rule, 'key', `${twice} stands there twice`, 'name each column once'));
  if (rule.schedule !== null) {
    try {
      CronExpressionParser.parse(rule.schedule, { tz: 'UTC' });
    } catch (error) {
      problems.push(problem(rule, 'schedule', messageOf(error), 'write a cron expression such as */15 * * * *'));
    }
  }
  return problems;
}

/** @throws {LockstepError} `config`, one message for all that is wrong. */
export function rulesOf(configuration: Configuration): readonly ScheduledRule[] {
  const { rules } = configuration.reconciliation;
  const problems = rules.flatMap(problemsOf);
  const [first] = problems;
  if (first !== undefined) {
    throw new LockstepError(problems.map(messageOf).join('; '), {
      code: 'RULE_INVALID',
      kind: 'config',
      remedy: [...new Set(problems.map(({ remedy }) => remedy ?? ''))].join('; '),
    });
  }
  const all = configuration.tables.map(({ source }) => source);
  return rules.map(({ name, cql, sql, key, tolerance, severity, schedule, tables, allowEmpty, timeout }) => ({
    name,
    cql,
    sql,
    key,
    tolerance:
      tolerance.relative === null
        ? toleranceOf('absolute', tolerance.absolute ?? '0')
        : toleranceOf('relative', tolerance.relative),
    severity,
    schedule,
    tables: tables.length === 0 ? all : tables,
    mayBeEmpty: allowEmpty,
    timeoutMs: timeout,
  }));
}

/** @throws {LockstepError} `usage`, with the nearest name, where there is no such rule. */
export function ruleNamed(rules: readonly ScheduledRule[], name: string): ScheduledRule {
  const rule = rules.find((each) => each.name === name);
  if (rule !== undefined) return rule;
  const names = rules.map((each) => each.name);
  throw new LockstepError(
    `there is no rule ${name}${names.length === 0 ? '' : `; the nearest is ${closest(name, names)}`}`,
    { code: 'RULE_UNKNOWN', kind: 'usage', remedy: 'name a rule as reconciliation.rules[].name has it' },
  );
}

/** When a rule is due next after a moment, ms; null where it runs on demand only. */
export function nextRunMs(rule: ScheduledRule, afterMs: number): number | null {
  if (rule.schedule === null) return null;
  return CronExpressionParser.parse(rule.schedule, { tz: 'UTC', currentDate: new Date(afterMs) })
    .next()
    .getTime();
}
