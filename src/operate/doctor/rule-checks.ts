import type { Configuration } from '../../config/index.ts';
import { LockstepError, messageOf } from '../../shared/errors.ts';
import { targetColumn } from '../rules/rule-sides.ts';
import { rulesOf, type ScheduledRule } from '../rules/rules-of.ts';
import { counted, fault, ok, skipped, type Check, type Finding } from './check.ts';

const REMEDY = 'Correct the rule in reconciliation.rules.';

/** The functions that ask the systems; tests put others there. */
export interface RuleWork {
  readonly prepare: (cql: string) => Promise<void>;
  readonly describe: (sql: string) => Promise<readonly { readonly name: string; readonly type: number }[]>;
}

const faultOf = (rule: string, error: unknown): Finding =>
  fault(messageOf(error), (error instanceof LockstepError ? error.remedy : undefined) ?? REMEDY, rule);

async function sourceFinding(rule: ScheduledRule, work: RuleWork): Promise<Finding> {
  try {
    await work.prepare(rule.cql);
    return ok('the source takes its query', rule.name);
  } catch (error) {
    return faultOf(rule.name, error);
  }
}

async function targetFinding(rule: ScheduledRule, work: RuleWork): Promise<Finding> {
  try {
    const columns = (await work.describe(rule.sql)).map(targetColumn);
    const names = columns.map(({ name }) => name);
    const missing = rule.key.filter((name) => !names.includes(name));
    if (missing.length > 0)
      return fault(`its SQL has no column ${missing.join(', ')}; it has ${names.join(', ')}`, REMEDY, rule.name);
    const strange = columns.find(({ kind }) => kind === null);
    if (strange !== undefined)
      return fault(
        `column ${strange.name} of its SQL is ${strange.type}, which can not be compared`,
        REMEDY,
        rule.name,
      );
    if (names.length === rule.key.length) return fault('its SQL has nothing but its key', REMEDY, rule.name);
    return ok(`compares ${names.filter((name) => !rule.key.includes(name)).join(', ')}`, rule.name);
  } catch (error) {
    return faultOf(rule.name, error);
  }
}

/** Business rules: what is wrong with them, before they run. Nothing is asked but whether the queries are understood. */
export function ruleChecks(configuration: () => Configuration, work: RuleWork): readonly Check[] {
  const none = [skipped('no rules are configured')];
  const hasRules = (): boolean => configuration().reconciliation.rules.length > 0;
  return [
    {
      id: 'rules.configuration',
      needs: ['configuration'],
      run() {
        if (!hasRules()) return Promise.resolve(none);
        return Promise.resolve([ok(counted(rulesOf(configuration()).length, 'rule'))]);
      },
    },
    {
      id: 'rules.source',
      needs: ['rules.configuration', 'cassandra.reachable'],
      run: async () => Promise.all(rulesOf(configuration()).map((rule) => sourceFinding(rule, work))),
    },
    {
      id: 'rules.target',
      needs: ['rules.configuration', 'postgres.reachable'],
      run: async () => Promise.all(rulesOf(configuration()).map((rule) => targetFinding(rule, work))),
    },
  ];
}
