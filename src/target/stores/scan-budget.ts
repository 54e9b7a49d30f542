/** The budget by which all members read the source: one row tells when it may be read next, and who reads moves it on. */
import type { Pool } from 'pg';
import { classifyPostgresError } from '../postgres-errors.ts';
import { qualified } from '../sql-text.ts';

export class ScanBudget {
  readonly #pool: Pool;
  readonly #budget: string;

  constructor(pool: Pool, controlSchema: string) {
    this.#pool = pool;
    this.#budget = qualified(controlSchema, '_cdc_scan_budget');
  }

  /**
   * Takes so many ms of reading, by the server's clock. @returns how long the taker has to wait, ms.
   *
   * @param name One budget each.
   */
  async take(name: string, costMs: number): Promise<number> {
    try {
      const { rows } = await this.#pool.query<{ wait_ms: string }>(
        `INSERT INTO ${this.#budget} AS b (name, free_at) VALUES ($1, clock_timestamp() + $2::float8 * interval '1 ms')
         ON CONFLICT (name) DO UPDATE
           SET free_at = greatest(b.free_at, clock_timestamp()) + $2::float8 * interval '1 ms'
         RETURNING extract(epoch FROM free_at - clock_timestamp()) * 1000 - $2::float8 AS wait_ms`,
        [name, costMs],
      );
      return Math.max(0, Number(rows[0]?.wait_ms ?? 0));
    } catch (error) {
      throw classifyPostgresError(error, 'taking from the budget of scans', true);
    }
  }
}
