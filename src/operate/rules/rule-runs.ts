/** Rules that somebody asked for over HTTP: begun at once as jobs, run one after the other by the member that was asked. */
import { LockstepError } from '../../shared/errors.ts';
import { JobStore, type EndedJob } from '../../target/stores/job-store.ts';
import { RuleFindingStore } from '../../target/stores/rule-finding-store.ts';
import type { RunningParts } from '../service/running-parts.ts';
import { beginRuleJob, RULE, type RuleRun } from './rule-job.ts';
import { rulePartsOf } from './rule-parts.ts';
import { nextRunMs, ruleNamed, rulesOf, type ScheduledRule } from './rules-of.ts';

/** A rule and how it stands. */
export interface RuleStanding {
  readonly rule: ScheduledRule;
  readonly last: EndedJob | null;
  readonly nextMs: number | null;
  readonly open: number;
  readonly accepted: number;
}

export class RuleRuns {
  readonly findings: RuleFindingStore;
  readonly #running: RunningParts;
  readonly #jobs: JobStore;
  readonly #rules: readonly ScheduledRule[];
  readonly #signal: AbortSignal;
  /** What was begun before ends first: each rule may scan a whole table. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(running: RunningParts, signal: AbortSignal) {
    const { pool, configuration } = running;
    const { controlSchema } = configuration.target.postgres;
    this.#running = running;
    this.#signal = signal;
    this.#jobs = new JobStore(pool, controlSchema);
    this.findings = new RuleFindingStore(pool, controlSchema);
    this.#rules = rulesOf(configuration);
  }

  /** As configured, each with its newest run. */
  async standing(): Promise<readonly RuleStanding[]> {
    const { configuration, clock } = this.#running;
    const counts = await this.findings.counts();
    return Promise.all(
      this.#rules.map(async (rule) => {
        const { jobs } = await this.#jobs.newest(RULE, { rule: rule.name }, { limit: 1, offset: 0 });
        const { open = 0, accepted = 0 } = counts.get(rule.name) ?? {};
        const nextMs = configuration.reconciliation.enabled ? nextRunMs(rule, clock.nowMs()) : null;
        return { rule, last: jobs[0] ?? null, nextMs, open, accepted };
      }),
    );
  }

  /**
   * Begins runs of rules; none named: of all. @returns IDs of their jobs, in the order of the names.
   *
   * @throws LockstepError `RULE_UNKNOWN` (usage); `RULE_RUNNING` (usage) where one of them is being run.
   */
  async begin(names: readonly string[], actor: string): Promise<readonly string[]> {
    const { configuration, prepared, pool, clock, port, logger } = this.#running;
    const rules = names.length === 0 ? this.#rules : [...new Set(names)].map((name) => ruleNamed(this.#rules, name));
    const { cassandra } = prepared;
    if (rules.length === 0 || cassandra === null) {
      throw new LockstepError(cassandra === null ? 'there is no source to ask' : 'the configuration has no rules', {
        code: 'RULE_UNKNOWN',
        kind: 'usage',
        remedy: cassandra === null ? 'configure source.cassandra' : 'add one under reconciliation.rules',
      });
    }
    for (const { name } of rules) {
      const last = await this.#jobs.latestOf(RULE, 'rule', name);
      if (last === null || !(await this.#jobs.isWorkedOn(last.id))) continue;
      throw new LockstepError(`rule ${name} is being run: job ${last.id}`, {
        code: 'RULE_RUNNING',
        kind: 'usage',
        remedy: `wait for it to end: GET /jobs/${last.id}`,
      });
    }
    const systems = {
      configuration,
      cassandra,
      pool,
      clock,
      shards: prepared.target.shards,
      logRanges: (topic: string) => port.logRanges(topic),
    };
    const ids: string[] = [];
    for (const rule of rules) {
      const run: RuleRun = { jobs: this.#jobs, findings: this.findings, parts: rulePartsOf(systems, rule) };
      const begun = await beginRuleJob(run, rule, actor, this.#signal);
      ids.push(begun.id);
      this.#turn = this.#turn
        .then(() => begun.run())
        .catch((error: unknown) => {
          // Its job says FAILED and why.
          logger.warn({ rule: rule.name, job: begun.id, err: error }, 'a business rule could not be checked');
        });
    }
    return ids;
  }

  /** Resolves when what was begun has ended; the signal has been aborted before. */
  async close(): Promise<void> {
    await this.#turn;
  }
}
