/** What the job queue needs of a real PostgreSQL, and that doctor knows it. */
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import type pg from 'pg';
import { parseConfiguration } from '../../src/config/index.ts';
import { runChecks, type Check, type CheckResult } from '../../src/operate/doctor/check.ts';
import { createPostgresProbe, postgresChecks } from '../../src/operate/doctor/postgres-checks.ts';
import { JobQueue } from '../../src/operate/jobs/job-queue.ts';
import { createLogger } from '../../src/operate/telemetry/logger.ts';
import { createPool } from '../../src/target/index.ts';

const ROLE = 'queue_worker';
const CONTROL = 'queue_control';
const SCHEMA = `${CONTROL}_lockstep_jobs`;
const logger = createLogger({ level: 'silent' });

let pool: pg.Pool;
let url: string;
let database: string;

beforeAll(async () => {
  pool = createPool({ url: inject('postgresUrl'), poolSize: 1 });
  const { rows } = await pool.query<{ name: string }>('SELECT current_database() AS name');
  database = rows[0]!.name;
  await pool.query(`DROP SCHEMA IF EXISTS ${SCHEMA} CASCADE`);
  await pool.query(`DROP ROLE IF EXISTS ${ROLE}`);
  await pool.query(`CREATE ROLE ${ROLE} LOGIN PASSWORD 'secret'`);
  await pool.query(`REVOKE CREATE ON DATABASE "${database}" FROM PUBLIC`);
  const as = new URL(inject('postgresUrl'));
  as.username = ROLE;
  as.password = 'secret';
  url = as.href;
});
afterAll(async () => {
  await pool.query(`DROP SCHEMA IF EXISTS ${SCHEMA} CASCADE`);
  await pool.query(`DROP ROLE IF EXISTS ${ROLE}`);
  await pool.end();
});

async function doctor(): Promise<Pick<CheckResult, 'status' | 'found' | 'remedy'> | undefined> {
  const configuration = parseConfiguration(
    `
source: { cassandra: {} }
target: { postgres: { url: "${url}", controlSchema: ${CONTROL} } }
tables: [{ source: shop.orders, topic: t, target: public.orders }]`,
    'f.yaml',
    {},
  );
  const probe = createPostgresProbe(url);
  const valid: Check = { id: 'configuration', needs: [], run: () => Promise.resolve([]) };
  const results = await runChecks([
    valid,
    ...postgresChecks(
      () => configuration,
      () => probe,
    ),
  ]);
  await probe.close();
  return results.find(({ id }) => id === 'postgres.job_schema');
}

it('a role that may not create schemas works in one that was made for it; doctor says which statement makes it', async () => {
  await expect(JobQueue.open(url, SCHEMA, logger)).rejects.toMatchObject({ code: '42501' });
  const before = await doctor();
  expect(before).toMatchObject({ status: 'fault', remedy: `CREATE SCHEMA "${SCHEMA}" AUTHORIZATION "${ROLE}";` });

  await pool.query(before!.remedy!);
  expect(await doctor()).toMatchObject({ status: 'ok', found: expect.stringContaining('may create') as string });
  await (await JobQueue.open(url, SCHEMA, logger)).close();
  expect(await doctor()).toMatchObject({
    status: 'ok',
    found: expect.stringContaining('owns the job queue') as string,
  });

  // Tables of another role can be neither worked in nor upgraded.
  await pool.query(`ALTER TABLE ${SCHEMA}.version OWNER TO CURRENT_USER`);
  expect(await doctor()).toMatchObject({ status: 'fault', found: expect.stringContaining('version') as string });
});
