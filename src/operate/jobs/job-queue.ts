/**
 * The queue that members share work by: pg-boss (docs/decisions/0004) in a schema of its own, beside the control tables. What
 * a message means stands in the control tables; a message only says that there is something to do.
 */
import pg, { type PoolClient } from 'pg';
import { PgBoss, type JobWithMetadata } from 'pg-boss';
import type { Logger } from '../telemetry/logger.ts';

/** A member that was not heard of for this long is gone, seconds; pg-boss takes no less than 10. */
const HEARTBEAT_S = 15;
/** How often one of the members looks for those that are gone, seconds. */
const LOOK_S = 5;
/** How often schedules are looked at, seconds; one that came due in between is not lost. */
const SCHEDULE_LOOK_S = 10;
/** How often a worker without work looks for some, seconds. */
const POLL_S = 1;
/** Connections of a member to the queue. */
const POOL_SIZE = 3;
/** A range of one huge partition takes hours; whether somebody still works on it, its heartbeat tells. */
const LONGEST_WORK_S = 24 * 3600 - 1;
/** How often a member may be lost, or stopped, while it holds the same message. */
const HAND_OVERS = 20;
/** Ended messages are kept for a look at them, seconds. */
const KEPT_S = 24 * 3600;
/** What a stop waits for work that is being given up, ms. */
const STOP_MS = 1_500;
const STATEMENT_TIMEOUT_MS = 60_000;

export const QUEUES = { part: 'comparison-part', conclude: 'comparison-conclude', due: 'comparison-due' } as const;
const GIVEN_UP = 'comparison-given-up';

export interface PartMessage {
  readonly job_id: string;
  readonly side: 'rows' | 'statics';
  readonly part: number;
}

export interface JobMessage {
  readonly job_id: string;
}

/** A schedule has come due; what it is about is in it. */
export type DueMessage =
  | {
      readonly kind: 'schedule';
      readonly strategy: string;
      readonly repair: boolean;
      readonly tables: readonly string[];
    }
  | { readonly kind: 'upkeep' };

export interface Schedule {
  /** Unique among the schedules of an installation. */
  readonly key: string;
  /** In UTC. */
  readonly cron: string;
  readonly message: DueMessage;
}

export interface QueueWorkers {
  readonly parts: number;
  readonly onPart: (message: PartMessage, signal: AbortSignal) => Promise<void>;
  readonly onConclude: (message: JobMessage, signal: AbortSignal) => Promise<void>;
  readonly onDue: (message: DueMessage, signal: AbortSignal) => Promise<void>;
  /** A message whose workers were lost again and again. */
  readonly onGivenUp: (message: PartMessage | JobMessage) => Promise<void>;
}

/** Where pg-boss keeps its tables: its names would clash with others in the control schema. */
export function jobSchemaOf(controlSchema: string): string {
  return controlSchema === 'public' ? 'lockstep_jobs' : `${controlSchema}_lockstep_jobs`;
}

/** `pg-boss` over a client of ours: messages commit with what they are about. */
const over = (client: PoolClient) => ({
  executeSql: async (text: string, values?: unknown[]) => client.query<Record<string, unknown>>(text, values),
});

async function hasSchema(url: string, schema: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, statement_timeout: STATEMENT_TIMEOUT_MS });
  try {
    await client.connect();
    const { rows } = await client.query('SELECT 1 FROM pg_namespace WHERE nspname = $1', [schema]);
    return rows.length > 0;
  } finally {
    await client.end().catch(() => undefined);
  }
}

export class JobQueue {
  readonly #boss: PgBoss;

  private constructor(boss: PgBoss) {
    this.#boss = boss;
  }

  /** Creates what is missing. Rejects where the database can't be reached, or the role may not create the schema. */
  static async open(url: string, schema: string, logger: Logger): Promise<JobQueue> {
    const boss = new PgBoss({
      connectionString: url,
      schema,
      // CREATE SCHEMA IF NOT EXISTS asks for the right to create one also where it is there.
      createSchema: !(await hasSchema(url, schema)),
      max: POOL_SIZE,
      application_name: 'lockstep-jobs',
      options: `-c statement_timeout=${STATEMENT_TIMEOUT_MS}`,
      superviseIntervalSeconds: LOOK_S,
      monitorIntervalSeconds: LOOK_S,
      queueCacheIntervalSeconds: LOOK_S,
      cronMonitorIntervalSeconds: SCHEDULE_LOOK_S,
      cronWorkerIntervalSeconds: SCHEDULE_LOOK_S / 2,
      openTelemetry: { enabled: false },
    });
    boss.on('error', (error) => logger.warn({ err: error }, 'the job queue has a problem, retrying'));
    boss.on('warning', (warning) => logger.debug(warning, 'job queue'));
    try {
      await boss.start();
      const queue = new JobQueue(boss);
      await queue.#createQueues();
      return queue;
    } catch (error) {
      await boss.stop({ graceful: false }).catch(() => undefined);
      throw error;
    }
  }

  async #createQueues(): Promise<void> {
    const shared = {
      retryLimit: HAND_OVERS,
      retryDelay: 1,
      retryBackoff: true,
      retryDelayMax: 30,
      heartbeatSeconds: HEARTBEAT_S,
      expireInSeconds: LONGEST_WORK_S,
      deleteAfterSeconds: KEPT_S,
    };
    await this.#boss.createQueue(GIVEN_UP, { retryLimit: HAND_OVERS, retryDelay: 5, deleteAfterSeconds: KEPT_S });
    const queues = {
      [QUEUES.part]: { ...shared, deadLetter: GIVEN_UP },
      [QUEUES.conclude]: { ...shared, deadLetter: GIVEN_UP },
      [QUEUES.due]: { ...shared, retryLimit: 3 },
    };
    for (const [name, options] of Object.entries(queues)) {
      await this.#boss.createQueue(name, options);
      // A queue that is there keeps what it was created with.
      await this.#boss.updateQueue(name, options);
    }
  }

  /** For the transaction that creates the parts. */
  async sendParts(client: PoolClient, parts: readonly PartMessage[]): Promise<void> {
    await this.#boss.insert(
      QUEUES.part,
      parts.map((data) => ({ data })),
      { db: over(client) },
    );
  }

  /** For the transaction that ends the last part. */
  async sendConclude(client: PoolClient, message: JobMessage): Promise<void> {
    await this.#boss.send(QUEUES.conclude, message, { db: over(client) });
  }

  /** Makes these the schedules, and no others. */
  async schedule(schedules: readonly Schedule[]): Promise<void> {
    const wanted = new Set(schedules.map(({ key }) => key));
    for (const { key } of await this.#boss.getSchedules(QUEUES.due)) {
      if (!wanted.has(key)) await this.#boss.unschedule(QUEUES.due, key);
    }
    for (const { key, cron, message } of schedules) {
      await this.#boss.schedule(QUEUES.due, cron, message, { key, tz: 'UTC' });
    }
  }

  /** Takes work from now on. With no workers for parts this member only looks after schedules. */
  async work(workers: QueueWorkers): Promise<void> {
    const { parts, onPart, onConclude, onDue, onGivenUp } = workers;
    for (let i = 0; i < parts; i++) await this.#take(QUEUES.part, onPart);
    if (parts > 0) await this.#take(QUEUES.conclude, onConclude);
    await this.#take(QUEUES.due, onDue);
    await this.#take(GIVEN_UP, onGivenUp);
  }

  async #take(queue: string, handler: (message: never, signal: AbortSignal) => Promise<void>): Promise<void> {
    let worker: string | null = null;
    const options = { includeMetadata: true, pollingIntervalSeconds: POLL_S } as const;
    worker = await this.#boss.work(queue, options, async (jobs: JobWithMetadata<never>[]) => {
      for (const { data, signal } of jobs) await handler(data, signal);
      // Where there was one message, there may be more: the next is not waited for.
      if (worker !== null) this.#boss.notifyWorker(worker);
    });
  }

  /** Hands back what is being worked on. */
  async close(): Promise<void> {
    await this.#boss.stop({ graceful: true, timeout: STOP_MS });
  }
}
