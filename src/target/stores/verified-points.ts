/** Up to when a table's writes were compared by runs that covered it whole: where incremental comparisons go on. */
import type { Pool } from 'pg';
import { classifyPostgresError } from '../postgres-errors.ts';
import { qualified } from '../sql-text.ts';

export class VerifiedPoints {
  readonly #pool: Pool;
  readonly #verified: string;

  constructor(pool: Pool, controlSchema: string) {
    this.#pool = pool;
    this.#verified = qualified(controlSchema, '_cdc_verified');
  }

  /** Write time in µs; null where the table was never covered. */
  async of(tableId: number): Promise<bigint | null> {
    const [line] = await this.#query(`SELECT until_us FROM ${this.#verified} WHERE table_id = $1`, [tableId]);
    return line?.['until_us'] == null ? null : BigInt(line['until_us']);
  }

  /** Moves on, never back. */
  async moveTo(tableId: number, untilUs: bigint, jobId: string): Promise<void> {
    await this.#query(
      `INSERT INTO ${this.#verified} AS v (table_id, until_us, job_id) VALUES ($1, $2, $3)
       ON CONFLICT (table_id) DO UPDATE SET until_us = EXCLUDED.until_us, job_id = EXCLUDED.job_id, verified_at = now()
       WHERE v.until_us < EXCLUDED.until_us`,
      [tableId, String(untilUs), jobId],
    );
  }

  async #query(text: string, values: readonly unknown[]): Promise<Readonly<Record<string, string | null>>[]> {
    try {
      return (await this.#pool.query<Record<string, string | null>>(text, [...values])).rows;
    } catch (error) {
      throw classifyPostgresError(error, 'reading or writing verified points', true);
    }
  }
}
