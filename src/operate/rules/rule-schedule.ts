/** Rules on their schedule: the owner of the first table's first shard runs what is due, one rule after the other. */
import type { Client } from 'cassandra-driver';
import { messageOf } from '../../shared/errors.ts';
import { prepareSource } from '../../source/rule-query.ts';
import { JobStore, type Job } from '../../target/stores/job-store.ts';
import { RuleFindingStore } from '../../target/stores/rule-finding-store.ts';
import { describeTarget } from '../../target/scan/rule-query.ts';
import { UPKEEP_BACKOFF } from '../upkeep/backoff.ts';
import { repeating } from '../upkeep/repeating.ts';
import type { RunningParts } from '../service/running-parts.ts';
import type { Service } from '../service/service.ts';
import { RULE, runRuleJob } from './rule-job.ts';
import { rulePartsOf } from './rule-parts.ts';
import { nextRunMs, rulesOf, type ScheduledRule } from './rules-of.ts';

const LOOK_EVERY_MS = 15_000;
/** A round runs every rule that is due, each with its barriers. */
const ROUND_TIMEOUT_MS = 6 * 3_600_000;
const PREPARE_TIMEOUT_MS = 10_000;
/** A runner gives signs of life every 10 s; one that was not heard of for this long is gone. */
const SILENT_MS = 300_000;

/**
 * Whether a rule is due: a time of its schedule has passed since its last run began, or since the service started where it
 * never ran. What was missed while nothing ran is made up for once.
 */
export function isDue(
  rule: ScheduledRule,
  last: Pick<Job, 'startedMs'> | null,
  startedMs: number,
  nowMs: number,
): boolean {
  const next = nextRunMs(rule, last?.startedMs ?? startedMs);
  return next !== null && next <= nowMs;
}

/** Queries that the systems refuse are told of when the service starts, not when the first run is due. */
async function tellRefused(parts: RunningParts, cassandra: Client, rules: readonly ScheduledRule[]): Promise<void> {
  for (const { name, cql, sql } of rules) {
    const asked = await Promise.allSettled([
      prepareSource(cassandra, cql),
      describeTarget(parts.pool, sql, PREPARE_TIMEOUT_MS),
    ]);
    for (const each of asked) {
      if (each.status === 'rejected')
        parts.logger.error({ rule: name, err: each.reason as unknown }, 'a rule can not run');
    }
  }
}

/** Null where there are no rules, or scheduled jobs are switched off. */
export function runRules(parts: RunningParts): Service | null {
  const { configuration, prepared, consumer, pool, clock, logger } = parts;
  const { cassandra } = prepared;
  const rules = rulesOf(configuration);
  if (rules.length === 0 || cassandra === null || !configuration.reconciliation.enabled) return null;
  const { controlSchema } = configuration.target.postgres;
  const stores = { jobs: new JobStore(pool, controlSchema), findings: new RuleFindingStore(pool, controlSchema) };
  const systems = {
    configuration,
    cassandra,
    pool,
    clock,
    shards: prepared.target.shards,
    logRanges: (topic: string) => parts.port.logRanges(topic),
  };
  const startedMs = clock.nowMs();
  const first = configuration.tables[0]?.source;
  const runOne = async (rule: ScheduledRule, signal: AbortSignal): Promise<void> => {
    const last = await stores.jobs.latestOf(RULE, 'rule', rule.name);
    if (!isDue(rule, last, startedMs, clock.nowMs())) return;
    // The member that owned the shard before may still be at it.
    if (last !== null && (await stores.jobs.isWorkedOn(last.id))) return;
    try {
      const { verdict, document } = await runRuleJob(
        { ...stores, parts: rulePartsOf(systems, rule) },
        rule,
        'schedule',
        signal,
      );
      const level = verdict === 'DRIFT' ? 'error' : verdict === 'PASS' ? 'debug' : 'warn';
      logger[level]({ rule: rule.name, verdict, reasons: document['reasons'] }, 'a business rule was checked');
    } catch (error) {
      if (signal.aborted) throw error;
      // Its job says FAILED and why; the other rules run all the same.
      logger.warn({ rule: rule.name, err: error }, `a business rule could not be checked: ${messageOf(error)}`);
    }
  };
  let told = false;
  return repeating('rules', {
    everyMs: LOOK_EVERY_MS,
    timeoutMs: ROUND_TIMEOUT_MS,
    backoff: UPKEEP_BACKOFF,
    work: async (signal) => {
      if (!told) await tellRefused(parts, cassandra, rules);
      told = true;
      if (!consumer.shards().some(({ table, partition }) => table === first && partition === 0)) return;
      await stores.jobs.endSilent(RULE, SILENT_MS, 'its runner is gone');
      for (const rule of rules) {
        if (signal.aborted) return;
        await runOne(rule, signal);
      }
    },
    onError: (error, failures) => {
      logger[failures === 1 ? 'warn' : 'debug'](
        { err: error, failures },
        'looking for rules that are due failed, retrying',
      );
    },
  });
}
