/** What schedules begin, and the upkeep of comparisons: incremental ones, runs that nobody works on, old ones. */
import type { Configuration } from '../../config/index.ts';
import { STRATEGIES, type Strategy } from '../../reconcile/end-state/comparison-plan.ts';
import type { Clock } from '../../shared/clock.ts';
import type { JobStore } from '../../target/stores/job-store.ts';
import { BACKFILL } from '../backfill/backfill-job.ts';
import { RECONCILE } from '../end-state/run-comparison.ts';
import { repairModeOf } from './repair-mode.ts';
import type { Comparisons } from './comparisons.ts';
import type { DueMessage, Schedule } from './job-queue.ts';

/** Incremental comparisons and upkeep are looked at every minute. */
const EVERY_MINUTE = '* * * * *';
const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
/** A run of which nobody was heard for so long has no workers left that could ever take it up. */
const SILENT_MS = DAY_MS;
/** Runs, with what their ranges showed, are kept for as long as people compare drift over time. */
const KEPT_MS = 90 * DAY_MS;

type Reconciliation = Configuration['reconciliation'];

/** The schedules of a configuration. Pure. */
export function schedulesOf({ enabled, schedules }: Reconciliation): readonly Schedule[] {
  const upkeep: Schedule = { key: 'upkeep', cron: EVERY_MINUTE, message: { kind: 'upkeep' } };
  if (!enabled) return [upkeep];
  return [
    upkeep,
    ...schedules.map(({ cron, strategy, repair, tables }, i): Schedule => {
      return { key: `schedule-${i}`, cron, message: { kind: 'schedule', strategy, repair, tables } };
    }),
  ];
}

export interface DueParts {
  readonly reconciliation: Reconciliation;
  /** Source tables, as configured. */
  readonly tables: readonly string[];
  readonly comparisons: Pick<Comparisons, 'begin'>;
  readonly jobs: JobStore;
  readonly clock: Clock;
  /** When this member began: a table that was never compared is due an interval later. */
  readonly startedMs: number;
  /** A comparison was begun, or left out with a reason. */
  readonly onDue: (table: string, strategy: Strategy, leftOut: string | null) => void;
}

export class DueComparisons {
  readonly #parts: DueParts;

  constructor(parts: DueParts) {
    this.#parts = parts;
  }

  async handle(message: DueMessage): Promise<void> {
    if (message.kind === 'upkeep') {
      await this.#upkeep();
      return;
    }
    // A message may be of an older program.
    const strategy = STRATEGIES.find((each) => each === message.strategy);
    if (strategy === undefined) return;
    for (const table of this.#tables(message.tables)) await this.#begin(table, strategy, message.repair);
  }

  #tables(named: readonly string[]): readonly string[] {
    const { reconciliation, tables } = this.#parts;
    const wanted = named.length > 0 ? named : reconciliation.tables;
    return wanted.length === 0 ? tables : tables.filter((table) => wanted.includes(table));
  }

  async #begin(table: string, strategy: Strategy, repair: boolean): Promise<void> {
    const { comparisons, jobs, reconciliation, onDue } = this.#parts;
    const filter = { table, strategy, jobType: 'SCHEDULED', status: 'RUNNING' } as const;
    const running = await jobs.newest(RECONCILE, filter, { limit: 1, offset: 0 });
    if (running.total > 0) {
      onDue(table, strategy, 'the one before it is still running');
      return;
    }
    const filling = await jobs.newest(BACKFILL, { table, status: 'RUNNING' }, { limit: 1, offset: 0 });
    if (filling.total > 0) {
      onDue(table, strategy, 'the table is being backfilled');
      return;
    }
    await comparisons.begin({
      table,
      strategy,
      jobType: 'SCHEDULED',
      repair: repair && repairModeOf(reconciliation, table) === 'auto',
      dryRun: false,
      mayBeEmpty: false,
      sampleRows: null,
      span: { fromUs: null, toUs: null },
      requestedBy: 'schedule',
    });
    onDue(table, strategy, null);
  }

  async #upkeep(): Promise<void> {
    const { jobs, clock, reconciliation, startedMs } = this.#parts;
    await jobs.endSilent(RECONCILE, SILENT_MS, 'nobody was heard of for a day');
    await jobs.forget(RECONCILE, KEPT_MS);
    if (!reconciliation.enabled) return;
    for (const table of this.#tables([])) {
      const filter = { table, strategy: 'TIMESTAMP_RANGE', jobType: 'SCHEDULED' } as const;
      const [last] = (await jobs.newest(RECONCILE, filter, { limit: 1, offset: 0 })).jobs;
      const dueMs = (last?.startedMs ?? startedMs) + reconciliation.intervalMinutes * MINUTE_MS;
      if (clock.nowMs() >= dueMs) await this.#begin(table, 'TIMESTAMP_RANGE', false);
    }
  }
}
