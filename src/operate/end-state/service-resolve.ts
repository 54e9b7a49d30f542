/** Findings resolved within a running service: with connections of its own, so that a person never waits for a comparison. */
import { createPool } from '../../target/index.ts';
import { LockstepError } from '../../shared/errors.ts';
import { FindingDecisions } from '../../target/stores/finding-decisions.ts';
import { FindingStore } from '../../target/stores/finding-store.ts';
import { RuleFindingStore } from '../../target/stores/rule-finding-store.ts';
import { ScanBudget } from '../../target/stores/scan-budget.ts';
import type { ByHand, ResolveParts } from '../../reconcile/end-state/resolve-finding.ts';
import { sourceTableName } from '../../catalog/static-table.ts';
import { ScanThrottle } from '../jobs/scan-throttle.ts';
import { processPacing } from '../connect/process-pacing.ts';
import type { RunningParts } from '../service/running-parts.ts';
import {
  resolveByHand,
  type Decision,
  type FindingRef,
  type Resolved,
  type ResolveSystems,
} from './resolve-by-hand.ts';
import { ServiceSides } from './service-sides.ts';

/** Requests that look at rows beside one another; each takes one connection for its row and one for barrier and findings. */
const AT_ONCE = 2;
const POOL_SIZE = 2 * AT_ONCE;

export class ServiceResolve {
  readonly #running: RunningParts;
  readonly #systems: ResolveSystems;
  #pool: ReturnType<typeof createPool> | null = null;
  #busy = 0;

  constructor(running: RunningParts) {
    this.#running = running;
    const { pool, configuration } = running;
    const { controlSchema } = configuration.target.postgres;
    this.#systems = {
      findings: new FindingStore(pool, controlSchema),
      decisions: new FindingDecisions(pool, controlSchema),
      ruleFindings: new RuleFindingStore(pool, controlSchema),
      reconciliation: configuration.reconciliation,
      withParts: (table, work) => this.#withParts(table, work),
    };
  }

  /** @throws LockstepError as `resolveByHand`; `RESOLVE_BUSY` (transient) where others are being resolved. */
  resolve(ref: FindingRef, decision: Decision, hand: ByHand, signal: AbortSignal): Promise<Resolved> {
    return resolveByHand(this.#systems, ref, decision, hand, signal);
  }

  async close(): Promise<void> {
    await this.#pool?.end();
  }

  async #withParts<T>(table: string, work: (parts: Omit<ResolveParts, 'decisions'>) => Promise<T>): Promise<T> {
    const { configuration, prepared } = this.#running;
    const { cassandra } = prepared;
    if (cassandra === null) {
      throw new LockstepError('source.cassandra is not configured, so there is nothing to read rows from', {
        code: 'SOURCE_MISSING',
        kind: 'config',
        remedy: 'set source.cassandra: contactPoints and localDataCenter',
      });
    }
    if (this.#busy >= AT_ONCE) {
      throw new LockstepError('other findings are being resolved', {
        code: 'RESOLVE_BUSY',
        kind: 'transient',
        remedy: 'try again in a moment',
      });
    }
    const { url, controlSchema } = configuration.target.postgres;
    const pool = (this.#pool ??= createPool({ url, poolSize: POOL_SIZE }));
    // Nothing is scanned, so nothing is held up.
    const { throttle } = configuration.reconciliation;
    const sides = new ServiceSides({
      running: this.#running,
      cassandra,
      pool,
      throttle: new ScanThrottle(new ScanBudget(pool, controlSchema), throttle, processPacing),
    });
    this.#busy += 1;
    try {
      const side = (await sides.of(sourceTableName(table))).find(({ parts }) => parts.table.table.name === table);
      if (side === undefined) {
        throw new LockstepError(`the configuration has no table ${table} any more`, {
          code: 'TABLE_UNKNOWN',
          kind: 'usage',
          remedy: 'close the finding by its status: MANUAL_RESOLVED or IGNORED',
        });
      }
      return await work(side.parts);
    } finally {
      this.#busy -= 1;
    }
  }
}
