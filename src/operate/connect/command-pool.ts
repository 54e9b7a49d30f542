import type { Pool } from 'pg';
import type { Configuration } from '../../config/index.ts';
import { createPool } from '../../target/index.ts';
import { reachPostgres } from './reach.ts';

/** A command looks at a few tables, one after the other. */
const POOL_SIZE = 2;

/**
 * Work of a command over the control tables, with a pool of its own that is closed afterwards.
 *
 * @throws LockstepError where PostgreSQL does not answer, with its address and what to do.
 */
export async function withControlTables<T>(
  configuration: Configuration,
  work: (pool: Pool, controlSchema: string) => Promise<T>,
): Promise<T> {
  const { url, controlSchema } = configuration.target.postgres;
  const pool = createPool({ url, poolSize: POOL_SIZE });
  try {
    await reachPostgres(pool, url);
    return await work(pool, controlSchema);
  } finally {
    await pool.end();
  }
}
