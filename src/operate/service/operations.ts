/** What operators ask of a running service beyond looking at it: dead letters, redrives, windows, stopped shards. */
import type { Kafka } from 'kafkajs';
import type { Pool } from 'pg';
import type { Configuration } from '../../config/index.ts';
import { LetterBytes } from '../../consume/letter-bytes.ts';
import { discardLetters, type Discarding } from '../../deadletter/discard-letters.ts';
import type { LetterFilter } from '../../deadletter/letter-filter.ts';
import { LetterIndex } from '../../deadletter/letter-index.ts';
import type { KeepingSummary } from '../../deadletter/letter-keeping.ts';
import { systemClock } from '../../shared/clock.ts';
import { FindingStore } from '../../target/stores/finding-store.ts';
import { JobStore, type EndedJob } from '../../target/stores/job-store.ts';
import { ShardAdmin } from '../../target/stores/shard-admin.ts';
import { WindowStore } from '../../target/stores/window-store.ts';
import { keepingSummary } from '../upkeep/dlq-keeping.ts';
import type { ServiceResolve } from '../end-state/service-resolve.ts';
import type { Caller } from '../http/access.ts';
import { notStarted } from '../http/server.ts';
import type { Comparisons } from '../jobs/comparisons.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Prepared } from '../connect/preparation.ts';
import { Masking, sensitiveColumnsOf } from '../redrive/masking.ts';
import { beginRedrive, RedriveRun, type RedriveRequest } from '../redrive/redrive-job.ts';
import { readReport, type ReportRequest } from '../report/read-report.ts';
import type { ReconciliationReport } from '../report/reconciliation-report.ts';
import type { RuleRuns } from '../rules/rule-runs.ts';
import { redriveParts } from '../redrive/redrive-parts.ts';

/** A page waits for it. */
const KEEPING_LIMIT_MS = 20_000;

export interface OperationsOptions {
  readonly configuration: Configuration;
  readonly prepared: Prepared;
  readonly pool: Pool;
  readonly kafka: Kafka;
  readonly logger: Logger;
  /** Ends redrives between two letters; they can be resumed. */
  readonly signal: AbortSignal;
}

/** What needs the running parts of the service. */
interface Work {
  readonly rules: RuleRuns;
  readonly resolve: ServiceResolve;
}

export class Operations {
  readonly letters: LetterIndex;
  readonly bytes: LetterBytes;
  readonly jobs: JobStore;
  readonly windows: WindowStore;
  readonly findings: FindingStore;
  readonly shards: ShardAdmin;
  readonly #options: OperationsOptions;
  readonly #running = new Set<Promise<unknown>>();
  #comparisons: () => Comparisons | null = () => null;
  #work: Work | null = null;

  constructor(options: OperationsOptions) {
    const { pool, kafka, configuration } = options;
    const { controlSchema } = configuration.target.postgres;
    this.#options = options;
    this.letters = new LetterIndex(pool, controlSchema);
    this.bytes = new LetterBytes(kafka, configuration.deadLetter.topic);
    this.jobs = new JobStore(pool, controlSchema);
    this.windows = new WindowStore(pool, controlSchema);
    this.findings = new FindingStore(pool, controlSchema);
    this.shards = new ShardAdmin(pool, controlSchema);
  }

  /** What a caller may not see of letters: sensitive values are for those who may operate. */
  async masking({ scopes }: Pick<Caller, 'scopes'>): Promise<Masking> {
    return scopes.has('operate') ? Masking.off : Masking.of(this.#options.configuration.tables, this.letters);
  }

  /** What the DLQ topic still has of the open letters; null where Kafka does not tell. */
  keeping(filter: LetterFilter): Promise<KeepingSummary | null> {
    const { kafka, configuration, signal, logger } = this.#options;
    const { topic } = configuration.deadLetter;
    const limit = AbortSignal.any([signal, AbortSignal.timeout(KEEPING_LIMIT_MS)]);
    return keepingSummary({ kafka, topic, index: this.letters }, filter, systemClock.nowMs(), limit).catch(
      (error: unknown) => {
        logger.warn({ err: error }, 'whether the records of dead letters are still there is unknown');
        return null;
      },
    );
  }

  /** Source tables, as configured. */
  tableNames(): readonly string[] {
    return this.#options.configuration.tables.map(({ source }) => source);
  }

  /** Key columns of a table, or of the table of its static columns, and which columns are masked. */
  columnsOf(table: string): { readonly keyColumns: readonly string[]; readonly sensitive: ReadonlySet<string> } {
    const { prepared, configuration } = this.#options;
    const source = this.tableNames().find((name) => table === name || table.startsWith(`${name}#`)) ?? null;
    const keys = source === null ? [] : prepared.target.boundOf(table).keys;
    return {
      keyColumns: keys.map(({ column }) => column.name),
      sensitive: sensitiveColumnsOf(configuration.tables, source),
    };
  }

  /** What reconciliation has found. Rejects with a classified LockstepError. */
  report(request: ReportRequest, nowMs: number): Promise<ReconciliationReport> {
    const { pool, configuration } = this.#options;
    return readReport(pool, configuration, request, nowMs);
  }

  /** Comparisons are begun with these from now on. */
  compareWith(comparisons: () => Comparisons | null): void {
    this.#comparisons = comparisons;
  }

  /** Null where there is no source, or the job queue is not there. */
  get comparisons(): Comparisons | null {
    return this.#comparisons();
  }

  get reconciliation(): Configuration['reconciliation'] {
    return this.#options.configuration.reconciliation;
  }

  /** Rules and decisions about findings are worked on with these from now on. */
  workWith(work: Work): void {
    this.#work = work;
  }

  /** Business rules; the service is still starting where it throws. */
  get rules(): RuleRuns {
    return this.#work?.rules ?? notStarted();
  }

  /** Rejects as `resolveByHand` does. */
  resolve(...request: Parameters<ServiceResolve['resolve']>): ReturnType<ServiceResolve['resolve']> {
    return (this.#work ?? notStarted()).resolve.resolve(...request);
  }

  /** Begins a redrive and works on it in the background. */
  async redrive(request: RedriveRequest): Promise<EndedJob> {
    const { signal, logger, pool, prepared, configuration } = this.#options;
    const { controlSchema } = configuration.target.postgres;
    const parts = redriveParts(pool, controlSchema, prepared.target, this.bytes);
    const job = await beginRedrive(parts, request);
    const run = new RedriveRun(parts, job, () => undefined)
      .run(signal)
      .then(
        ({ status, counts, error }) => {
          logger.info({ job: job.id, status, ...counts, error }, 'redrive ended');
        },
        (error: unknown) => {
          // The job's own row could not be written: it counts as silent and can be resumed.
          logger.error({ job: job.id, err: error }, 'redrive lost its database');
        },
      )
      .finally(() => this.#running.delete(run));
    this.#running.add(run);
    return { ...job, verdict: null, report: null };
  }

  /** Leaves open letters for good. @returns how many. Rejects as `discardLetters` does. */
  discard(filter: LetterFilter, decision: Discarding): Promise<number> {
    const { pool, configuration } = this.#options;
    return discardLetters(pool, configuration.target.postgres.controlSchema, filter, decision);
  }

  /** Resolves when what runs has ended; the signal has been aborted before. */
  async close(): Promise<void> {
    await Promise.allSettled([...this.#running, this.#work?.rules.close(), this.#work?.resolve.close()]);
  }
}
