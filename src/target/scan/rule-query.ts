/** A query of a rule, asked of the target: one SELECT in a transaction that can't write. */
import type { Pool, PoolClient } from 'pg';
import { LockstepError, messageOf } from '../../shared/errors.ts';
import { classifyPostgresError } from '../postgres-errors.ts';
import { rollback } from '../transaction.ts';

/** Rows a page: memory is bounded whatever the answer. */
const PAGE_ROWS = 1_000;

export interface TargetColumn {
  readonly name: string;
  /** OID of the type. */
  readonly type: number;
}

export interface TargetAnswer {
  readonly columns: readonly TargetColumn[];
  readonly rows: readonly (readonly (string | null)[])[];
}

/** What `pg` knows and its types do not: one statement only, because the extended protocol refuses a second one. */
interface OneStatement {
  readonly text: string;
  readonly rowMode: 'array';
  readonly queryMode: 'extended';
}

const one = (text: string): OneStatement => ({ text, rowMode: 'array', queryMode: 'extended' });

/** An error of the rule's own query is the rule's fault; that of the connection is not. */
function ruleError(error: unknown): LockstepError {
  const { code: state } = error as { readonly code?: unknown };
  if (state === '57014') {
    return new LockstepError(`the target did not answer within the rule's time: ${messageOf(error)}`, {
      code: 'RULE_TIMEOUT',
      kind: 'transient',
      remedy: 'make the query cheaper, or raise the timeout of the rule',
      cause: error,
    });
  }
  const classified = classifyPostgresError(error, 'asking the target');
  // Elsewhere a transaction that can't write means a standby; here it means a query that tried to.
  if (classified.kind === 'transient' && state !== '25006') return classified;
  return new LockstepError(`the target refuses the query: ${messageOf(error)}`, {
    code: 'RULE_SQL',
    kind: 'config',
    remedy: 'correct reconciliation.rules[].sql: one SELECT that only reads; the user needs SELECT on its tables',
    cause: error,
  });
}

/** Declares the cursor: from here on the transaction reads, whatever the query calls. */
async function declare(client: PoolClient, sql: string, timeoutMs: number): Promise<void> {
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  await client.query(`SET LOCAL statement_timeout = ${timeoutMs}`);
  await client.query('SET LOCAL idle_in_transaction_session_timeout = 60000');
  // DECLARE takes a SELECT or VALUES and nothing else: no COMMIT, no SET, no INSERT inside WITH.
  await client.query(one(`DECLARE rule_rows NO SCROLL CURSOR FOR ${sql.replace(/;\s*$/, '')}`));
}

/**
 * Asks page by page; the first page comes even where it has no rows. All statements together may take `timeoutMs`. Rejects
 * with a LockstepError.
 */
export async function* askTarget(
  pool: Pool,
  sql: string,
  { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal: AbortSignal },
): AsyncGenerator<TargetAnswer> {
  const client = await pool.connect().catch((error: unknown) => {
    throw classifyPostgresError(error, 'asking the target');
  });
  const deadline = performance.now() + timeoutMs;
  try {
    await declare(client, sql, timeoutMs);
    for (;;) {
      signal.throwIfAborted();
      const leftMs = Math.max(1, Math.ceil(deadline - performance.now()));
      await client.query(`SET LOCAL statement_timeout = ${leftMs}`);
      const { fields, rows } = await client.query<(string | null)[]>(one(`FETCH ${PAGE_ROWS} FROM rule_rows`));
      yield { columns: fields.map(({ name, dataTypeID }) => ({ name, type: dataTypeID })), rows };
      if (rows.length < PAGE_ROWS) return;
    }
  } catch (error) {
    signal.throwIfAborted();
    throw error instanceof LockstepError ? error : ruleError(error);
  } finally {
    client.release(!(await rollback(client)));
  }
}

/** Has the target look at a query without asking it: its columns. Rejects with a LockstepError. */
export async function describeTarget(pool: Pool, sql: string, timeoutMs: number): Promise<readonly TargetColumn[]> {
  const client = await pool.connect().catch((error: unknown) => {
    throw classifyPostgresError(error, 'asking the target');
  });
  try {
    await declare(client, sql, timeoutMs);
    const { fields } = await client.query(one('FETCH 0 FROM rule_rows'));
    return fields.map(({ name, dataTypeID }) => ({ name, type: dataTypeID }));
  } catch (error) {
    throw ruleError(error);
  } finally {
    client.release(!(await rollback(client)));
  }
}
