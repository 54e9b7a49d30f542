/**
 * What a development stack is: four parts, their endpoints, and how they are driven.
 *
 * Two providers implement {@link Stack}: `native/` (processes on this machine) and `docker/` (containers).
 * Nothing here does I/O.
 */

/** How the parts are run. */
export type ProviderName = 'docker' | 'native';

/** The parts of the stack, in the order in which a person reads them. */
export const PART_NAMES = ['kafka', 'cassandra', 'postgres', 'agent'] as const;

/** One part of the stack. `agent` is the Debezium capture agent that reads Cassandra's commit log. */
export type PartName = (typeof PART_NAMES)[number];

/** What a second Cassandra node adds: the node, and the agent that reads its commit log. Native stacks only. */
export const SECOND_NODE_PARTS = ['cassandra2', 'agent2'] as const;

/** A part of a stack with one Cassandra node or two. */
export type AnyPartName = PartName | (typeof SECOND_NODE_PARTS)[number];

/** How a part is stopped: cleanly, as PostgreSQL's "immediate shutdown" (Java parts dump their threads instead), or by a crash. */
export type StopSignal = 'SIGTERM' | 'SIGQUIT' | 'SIGKILL';

/** Parts that a part must find healthy before it is started. */
export const PART_NEEDS: Readonly<Record<PartName, readonly PartName[]>> = {
  kafka: [],
  cassandra: [],
  postgres: [],
  agent: ['cassandra', 'kafka'],
};

/** The same where there is a second node: it joins the first, and agents start once the ring is whole. */
export const TWO_NODE_PART_NEEDS: Readonly<Record<AnyPartName, readonly AnyPartName[]>> = {
  ...PART_NEEDS,
  cassandra2: ['cassandra'],
  agent: ['cassandra', 'cassandra2', 'kafka'],
  agent2: ['cassandra', 'cassandra2', 'kafka'],
};

/** Prefix of every topic the agent writes: `<prefix>.<keyspace>.<table>`. */
export const TOPIC_PREFIX = 'cass1';

/** The data center name of the single Cassandra node (SimpleSnitch knows no other). */
export const LOCAL_DATA_CENTER = 'datacenter1';

/** The database that Lockstep writes to, and its owner. */
export const POSTGRES_DATABASE = 'shop';
export const POSTGRES_USER = 'lockstep';

/** Where a client finds each part. All addresses are on the loopback interface. */
export interface StackEndpoints {
  readonly kafka: {
    readonly brokers: string[];
    /** Where a proxy finds the listener that advertises the proxy; null where none was asked for. */
    readonly behindProxy: string | null;
  };
  readonly cassandra: { readonly contactPoints: string[]; readonly localDataCenter: string };
  readonly postgres: { readonly url: string };
  readonly agent: { readonly healthUrl: string; readonly topicPrefix: string };
  /** Health URL of every node's agent. */
  readonly agentHealthUrls: readonly string[];
}

/** What happened while a stack goes up or down, for a progress display. Durations in milliseconds. */
export type StackEvent =
  | { readonly kind: 'preparing'; readonly what: string }
  | { readonly kind: 'prepared'; readonly what: string; readonly tookMs: number }
  | { readonly kind: 'starting'; readonly part: AnyPartName }
  | { readonly kind: 'healthy'; readonly part: AnyPartName; readonly tookMs: number; readonly reused: boolean }
  | { readonly kind: 'failed'; readonly part: AnyPartName; readonly message: string }
  | { readonly kind: 'stopping'; readonly part: AnyPartName }
  | { readonly kind: 'stopped'; readonly part: AnyPartName; readonly tookMs: number };

/**
 * Whether the parts die with the process that started them.
 *
 * `owned`: they do, even when that process is killed with SIGKILL (a demo, a test).
 * `detached`: they run until `down` (what `lockstep stack up` does).
 */
export type Lifetime = 'owned' | 'detached';

/** Options of {@link Stack.up}. */
export interface UpOptions {
  /** Gives up the start; parts that this call started are stopped again. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (event: StackEvent) => void;
  /**
   * Runs when Cassandra and Kafka are healthy, before the agent is started: the place to create keyspaces and tables.
   * The agent reads the schema once when it starts; of one created later it may miss tables for ever (a table created
   * within a moment of its keyspace), or the first changes. An agent that runs already is left running.
   */
  readonly beforeAgent?: (endpoints: StackEndpoints) => Promise<void>;
  /** Default `owned`. Parts that were running already keep the lifetime they have. */
  readonly lifetime?: Lifetime;
}

/** State of one part as an operator sees it. `exited` = it was started and is gone. */
export type PartState = 'running' | 'exited' | 'stopped';

/** One part's row in {@link StackStatus}. */
export interface PartStatus {
  readonly state: PartState;
  /** Answered its health check just now. */
  readonly healthy: boolean;
  /** Process ID, null where it has none (stopped, or in a container). */
  readonly pid: number | null;
  /** Host and port, or URL, without credentials. */
  readonly endpoint: string | null;
  /** Path of its log file, or the command that shows its log. */
  readonly log: string;
}

/** Answer of {@link Stack.status}. */
export interface StackStatus {
  readonly provider: ProviderName;
  readonly dir: string;
  /** Every part is running and healthy. */
  readonly healthy: boolean;
  /** At least one part is running. */
  readonly running: boolean;
  readonly parts: Readonly<Record<PartName, PartStatus>> & Readonly<Partial<Record<AnyPartName, PartStatus>>>;
  /** Null until the stack has been up in this directory. */
  readonly endpoints: StackEndpoints | null;
}

/**
 * A development stack in one directory. Methods of one instance must not overlap; two processes that drive the
 * same directory wait for each other.
 */
export interface Stack {
  readonly provider: ProviderName;
  /** Absolute path; holds all data, logs and the state file. */
  readonly dir: string;

  /** Endpoints as last chosen. Throws `STACK_NOT_UP` when the stack has never been up in this directory. */
  endpoints(): StackEndpoints;

  /**
   * Starts every part that is not running, over the data that is there, and returns once all answer their health
   * checks. When one fails, those started by this call are stopped and the error names the part, its log and the remedy.
   */
  up(options?: UpOptions): Promise<StackEndpoints>;

  /** Stops every part, cleanly where it lets us. Data stays. Stopping a stopped stack does nothing. */
  down(options?: { readonly onProgress?: (event: StackEvent) => void }): Promise<void>;

  status(): Promise<StackStatus>;

  /** Stops one part and returns when it is gone. `SIGTERM` (default) is a clean stop, `SIGKILL` a crash. */
  stopPart(part: AnyPartName, signal?: StopSignal): Promise<void>;

  /** Starts one part over its data, on its old port, and returns when it is healthy. A running part is left alone. */
  startPart(part: AnyPartName): Promise<void>;

  /** `down`, then deletes everything the stack ever wrote. */
  destroy(): Promise<void>;
}
