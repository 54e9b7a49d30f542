import type { Pool, PoolClient, QueryArrayResult, QueryResult } from 'pg';
import { LockstepError } from '../shared/errors.ts';

/**
 * Advisory lock class of the table gates. Any constant works as long as every writer of `_cdc_*` uses the same one; the
 * ASCII letters "LSTP".
 */
const GATE_CLASS = 0x4c535450;

export type GateMode = 'shared' | 'exclusive';

/** Statement that takes the gate of a table until the end of the transaction; `$1` is the table's id. */
export function gateStatement(mode: GateMode): string {
  return `SELECT pg_advisory_xact_lock${mode === 'shared' ? '_shared' : ''}(${GATE_CLASS}, $1::integer)`;
}

export interface Statement {
  /** Prepared under this name once a session. */
  readonly name?: string;
  readonly text: string;
  readonly values?: readonly unknown[];
}

/**
 * Sends statements in one go and waits for all answers. In a pipeline each statement has its own Sync: after an error the
 * rest fail with 25P02 ("transaction is aborted"), so the first error is the one that tells.
 */
export async function pipeline(
  client: PoolClient,
  statements: readonly Statement[],
): Promise<QueryArrayResult<(string | null)[]>[]> {
  const settled = await Promise.allSettled(
    statements.map((statement) =>
      client.query<(string | null)[]>({
        ...(statement.name === undefined ? {} : { name: statement.name }),
        text: statement.text,
        values: [...(statement.values ?? [])],
        rowMode: 'array',
      }),
    ),
  );
  const failed = settled.find((result) => result.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
  return settled.map((result) => (result as PromiseFulfilledResult<QueryArrayResult<(string | null)[]>>).value);
}

/**
 * The answer to COMMIT: an aborted transaction answers ROLLBACK without an error ⚠ (pipelined), which would be taken as
 * success.
 */
export function checkCommitted(result: Pick<QueryResult, 'command'> | undefined): void {
  if (result?.command !== 'COMMIT') {
    throw new LockstepError(`COMMIT was answered ${result?.command ?? 'with nothing'}`, {
      code: 'COMMIT_NOT_CONFIRMED',
      kind: 'transient',
      remedy: 'none needed: the position is read again and the batch repeated if it did not commit',
    });
  }
}

/** Ends a failed transaction. A connection that can't even roll back is destroyed, which rolls back as well. */
export async function rollback(client: PoolClient): Promise<boolean> {
  try {
    await client.query('ROLLBACK');
    return true;
  } catch {
    return false;
  }
}

/** Work on a connection of its own; what it has begun is rolled back where it fails. Rejects with what `pg` or the work throws. */
export async function withClient<T>(pool: Pool, work: (client: PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let healthy = true;
  try {
    return await work(client);
  } catch (error) {
    healthy = await rollback(client);
    throw error;
  } finally {
    client.release(!healthy);
  }
}
