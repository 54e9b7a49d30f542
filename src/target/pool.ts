import pg from 'pg';
import { TARGET_SESSION_SETTINGS } from '../catalog/value-mapping.ts';

export interface PostgresOptions {
  readonly url: string;
  /** Upper bound of connections of this process. */
  readonly poolSize: number;
  /** Told of errors of idle connections; the pool replaces them by itself. */
  readonly onIdleError?: (error: Error) => void;
}

/** Longest wait for a lock before a transaction steps back and is retried, ms. */
const LOCK_TIMEOUT_MS = 10_000;
/** A statement that takes longer is cancelled; a batch is bounded, so only a sick server takes this long, ms. */
const STATEMENT_TIMEOUT_MS = 60_000;
/** A transaction whose client went silent holds the shard row no longer than this, ms (DESIGN §5). */
const IDLE_IN_TRANSACTION_TIMEOUT_MS = 10_000;
const CONNECT_TIMEOUT_MS = 10_000;

/**
 * Connections for the door and its bookkeeping. All values come back as PostgreSQL's own text (no type parser), because
 * a number or a Date would round; output formats are pinned so that this text is the same everywhere. Queries are
 * pipelined: each still has its own Sync, so an error makes COMMIT answer ROLLBACK — check it.
 */
export function createPool(options: PostgresOptions): pg.Pool {
  const settings = [
    `statement_timeout=${STATEMENT_TIMEOUT_MS}`,
    `lock_timeout=${LOCK_TIMEOUT_MS}`,
    `idle_in_transaction_session_timeout=${IDLE_IN_TRANSACTION_TIMEOUT_MS}`,
    ...Object.entries(TARGET_SESSION_SETTINGS).map(([name, value]) => `${name}=${value.replaceAll(' ', '\\ ')}`),
    'client_encoding=UTF8',
    // JIT compiles the wide CASE expressions anew for each batch: measured as pure loss on statements of this size.
    'jit=off',
    'tcp_keepalives_idle=5',
    'tcp_keepalives_interval=2',
    'tcp_keepalives_count=2',
    'tcp_user_timeout=10000',
  ];
  const pool = new pg.Pool({
    connectionString: options.url,
    max: options.poolSize,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    application_name: 'lockstep',
    options: settings.map((setting) => `-c ${setting}`).join(' '),
    types: { getTypeParser: () => (value: string) => value },
    pipeline: true,
  });
  pool.on('error', (error) => options.onIdleError?.(error));
  // A connection that dies while it is checked out reports to its queries *and* emits `error`: without a listener of its
  // own that ends the process ⚠.
  pool.on('connect', (client) => client.on('error', () => undefined));
  return pool;
}
