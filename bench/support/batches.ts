/** The transactions that the service really made, from its own ledger. */
import type { BenchDatabase } from './database.ts';

export interface BatchSizes {
  readonly count: number;
  readonly mean: number;
  readonly p10: number;
  readonly p50: number;
  readonly max: number;
}

export async function batchSizes(database: BenchDatabase): Promise<BatchSizes> {
  const { rows } = await database.pool.query<Record<keyof BatchSizes, number>>(
    `SELECT count(*)::float8 AS count, avg(records)::float8 AS mean, max(records)::float8 AS max,
       percentile_cont(0.1) WITHIN GROUP (ORDER BY records) AS p10,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY records) AS p50
     FROM _cdc_ledger`,
  );
  return rows[0] ?? { count: 0, mean: 0, p10: 0, p50: 0, max: 0 };
}
