import { readFileSync } from 'node:fs';
import cassandra from 'cassandra-driver';
import { backOff } from 'exponential-backoff';
import { LockstepError, messageOf } from '../shared/errors.ts';

/** Certificates for TLS; paths of PEM files. */
export interface CassandraTls {
  readonly caFile: string | null;
  readonly certFile: string | null;
  readonly keyFile: string | null;
  readonly serverName: string | null;
  readonly rejectUnauthorized: boolean;
}

/** How the source is reached: `source.cassandra` of the configuration. */
export interface CassandraOptions {
  /** `host:port`; without a port 9042. */
  readonly contactPoints: readonly string[];
  readonly localDataCenter: string;
  /** Consistency of reads; with the writers' it must exceed the replication factor. */
  readonly consistency: keyof typeof cassandra.types.consistencies | Uppercase<string>;
  readonly username: string | null;
  readonly password: string | null;
  readonly ssl: boolean | CassandraTls;
}

/** How long an attempt to connect may take, and a read; scans set their own. */
const CONNECT_TIMEOUT_MS = 5_000;
const READ_TIMEOUT_MS = 12_000;
/** Rows per page: memory per read stays bounded whatever the partition. */
const FETCH_SIZE = 1_000;

const FIRST_DELAY_MS = 250;
const MAX_DELAY_MS = 10_000;

function consistencyOf(name: string): cassandra.types.consistencies {
  const found = Object.entries(cassandra.types.consistencies).find(
    ([key]) => key.toLowerCase() === name.replaceAll('_', '').toLowerCase(),
  );
  if (found === undefined || typeof found[1] !== 'number') {
    throw new LockstepError(`source.cassandra.consistency: unknown consistency ${JSON.stringify(name)}`, {
      code: 'SOURCE_OPTIONS',
      kind: 'config',
      remedy: 'use LOCAL_QUORUM, or another level that Cassandra has',
    });
  }
  return found[1];
}

function readPem(key: string, path: string | null): Readonly<Record<string, Buffer>> {
  if (path === null) return {};
  try {
    return { [key]: readFileSync(path) };
  } catch (cause) {
    throw new LockstepError(`source.cassandra.ssl.${key}File: cannot read ${path}`, {
      code: 'SOURCE_OPTIONS',
      kind: 'config',
      remedy: 'correct the path, or give the user that runs Lockstep the right to read it',
      cause,
    });
  }
}

function tlsOptions(ssl: CassandraOptions['ssl']): Pick<cassandra.ClientOptions, 'sslOptions'> {
  if (ssl === false) return {};
  if (ssl === true) return { sslOptions: { rejectUnauthorized: true } };
  return {
    sslOptions: {
      rejectUnauthorized: ssl.rejectUnauthorized,
      ...(ssl.serverName === null ? {} : { servername: ssl.serverName }),
      ...readPem('ca', ssl.caFile),
      ...readPem('cert', ssl.certFile),
      ...readPem('key', ssl.keyFile),
    },
  };
}

/**
 * The port of the nodes that the driver hears of. It takes their addresses from `system.peers`, which has no ports, so
 * with its default every node but the contact points would count as down wherever CQL is on another port than 9042.
 */
function protocolOptions(contactPoints: readonly string[]): Pick<cassandra.ClientOptions, 'protocolOptions'> {
  const ports = new Set(
    contactPoints.map((point) => /^[^:]+:(\d+)$|\]:(\d+)$/.exec(point)).map((match) => match?.[1] ?? match?.[2]),
  );
  const [port] = ports;
  return ports.size === 1 && port !== undefined ? { protocolOptions: { port: Number(port) } } : {};
}

/**
 * Driver options under which values keep what they are: 64-bit integers as bigint and not as rounded numbers, maps and
 * sets as Map and Set ⚠ (a plain object loses key types). Even so the driver is not exact for decimals with a negative
 * scale, empty values and far timestamps (facts): a reader of values takes those from raw bytes (`decimal_as_blob(c)`).
 */
function driverOptions(options: CassandraOptions): cassandra.DseClientOptions {
  const { username, password } = options;
  return {
    contactPoints: [...options.contactPoints],
    ...protocolOptions(options.contactPoints),
    localDataCenter: options.localDataCenter,
    applicationName: 'lockstep',
    encoding: { map: Map, set: Set, useBigIntAsLong: true, useBigIntAsVarint: true },
    queryOptions: { consistency: consistencyOf(options.consistency), fetchSize: FETCH_SIZE, prepare: true },
    socketOptions: { connectTimeout: CONNECT_TIMEOUT_MS, readTimeout: READ_TIMEOUT_MS },
    ...(username === null ? {} : { authProvider: new cassandra.auth.PlainTextAuthProvider(username, password ?? '') }),
    ...tlsOptions(options.ssl),
  };
}

/** A client that has not connected yet. */
export function createCassandraClient(options: CassandraOptions): cassandra.Client {
  return new cassandra.Client(driverOptions(options));
}

export interface ConnectOptions {
  /** Gives up and rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Attempts at most; left out: for ever, as a service does. */
  readonly attempts?: number;
  /** Called before each wait. */
  readonly onRetry?: (error: LockstepError, attempt: number) => void;
}

/** Failures that no waiting heals: wrong credentials, a data centre that is not there. */
function isConfigurationFault(error: unknown): boolean {
  if (error instanceof cassandra.errors.AuthenticationError) return true;
  if (error instanceof cassandra.errors.ArgumentError) return true;
  if (error instanceof cassandra.errors.NoHostAvailableError) {
    const inner = Object.values(error.innerErrors as Record<string, unknown>);
    return inner.length > 0 && inner.every(isConfigurationFault);
  }
  return false;
}

function classify(error: unknown, options: CassandraOptions): LockstepError {
  if (error instanceof LockstepError) return error;
  const where = options.contactPoints.join(', ');
  const innerErrors =
    error instanceof cassandra.errors.NoHostAvailableError
      ? Object.entries(error.innerErrors as Record<string, unknown>).map(
          ([host, inner]) => `${host}: ${messageOf(inner)}`,
        )
      : [];
  const detail = innerErrors.length > 0 ? innerErrors.join('; ') : messageOf(error);
  if (isConfigurationFault(error)) {
    return new LockstepError(`Cassandra at ${where} refuses the connection: ${detail}`, {
      code: 'SOURCE_REFUSED',
      kind: 'config',
      remedy: 'correct source.cassandra: localDataCenter, username and password',
      cause: error,
    });
  }
  return new LockstepError(`Cassandra at ${where} cannot be reached: ${detail}`, {
    code: 'SOURCE_UNREACHABLE',
    kind: 'transient',
    remedy: 'check source.cassandra.contactPoints, and that the nodes run',
    cause: error,
  });
}

/**
 * Connects, with jittered back-off between attempts. The caller shuts the client down.
 *
 * @throws LockstepError `config` where waiting does not help, `transient` when the attempts are used up.
 */
export async function connectCassandra(
  options: CassandraOptions,
  { signal, attempts = Number.POSITIVE_INFINITY, onRetry }: ConnectOptions = {},
): Promise<cassandra.Client> {
  const attempt = async (): Promise<cassandra.Client> => {
    signal?.throwIfAborted();
    // A client whose connect failed stays half open; every attempt has its own.
    const client = createCassandraClient(options);
    try {
      await client.connect();
      // Nobody waits for it any more: the caller was told of the abort already.
      signal?.throwIfAborted();
      return client;
    } catch (error) {
      await client.shutdown().catch(() => undefined);
      signal?.throwIfAborted();
      throw classify(error, options);
    }
  };
  const connected = backOff(attempt, {
    startingDelay: FIRST_DELAY_MS,
    maxDelay: MAX_DELAY_MS,
    jitter: 'full',
    numOfAttempts: attempts,
    retry: (error: unknown, number) => {
      if (!(error instanceof LockstepError) || error.kind !== 'transient' || signal?.aborted === true) return false;
      if (number < attempts) onRetry?.(error, number);
      return true;
    },
  });
  return await (signal === undefined ? connected : Promise.race([connected, rejectionOf(signal)]));
}

/** Rejects when the signal aborts, so that a stop does not wait for the end of a back-off. */
function rejectionOf(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener(
      'abort',
      () => {
        reject(signal.reason instanceof Error ? signal.reason : new Error('aborted'));
      },
      { once: true },
    );
  });
}
