import pg from 'pg';
import { STATIC_SUFFIX } from '../../catalog/bind.ts';
import { planDdl, type DdlStep } from '../../catalog/ddl.ts';
import type { Finding } from '../../catalog/finding.ts';
import type { Table } from '../../catalog/table.ts';
import { readTargetDatabase, readTargetTable } from '../../catalog/target-schema.ts';
import { classifyPostgresError } from '../../target/index.ts';

/** Two that apply DDL at once would build the same things; the second one waits. Any number that is ours. */
export const APPLY_LOCK = 7_215_448_102;
/** An ALTER TABLE that waits for longer makes everybody behind it wait: rather fail and be tried again. */
const LOCK_TIMEOUT = '5s';
const CONNECT_TIMEOUT_MS = 8_000;

/** Short statements in one transaction; then index builds that don't block writers, each on its own. */
export async function executeDdl(client: pg.Client, steps: readonly DdlStep[]): Promise<void> {
  await client.query(`SET lock_timeout = '${LOCK_TIMEOUT}'`);
  await client.query('BEGIN');
  try {
    for (const { sql, transactional } of steps) if (transactional) await client.query(sql);
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
  await client.query('SET lock_timeout = 0');
  for (const { sql, transactional } of steps) if (!transactional) await client.query(sql);
}

/** Creates the target of a table that is ours, where it is missing. @throws LockstepError classified by SQLSTATE. */
export async function createControlTarget(url: string, table: Table): Promise<void> {
  const client = new pg.Client({
    connectionString: url,
    application_name: 'lockstep schema',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('SELECT pg_advisory_lock($1)', [APPLY_LOCK]);
    const { schemas } = await readTargetDatabase(client);
    const live = await readTargetTable(client, table.targetSchema, table.targetTable);
    if (live !== null) return;
    const schemaExists = schemas.has(table.targetSchema);
    await executeDdl(client, planDdl(table, null, { schemaExists, statics: null }).steps);
  } catch (error) {
    throw classifyPostgresError(error, `creating ${table.targetSchema}.${table.targetTable}`);
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** Columns of a table, by their source names, that its live target lacks (policy `ignore` leaves them out). */
export async function missingColumns(url: string, table: Table): Promise<readonly string[]> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: CONNECT_TIMEOUT_MS });
  client.on('error', () => undefined);
  try {
    await client.connect();
    const live = await readTargetTable(client, table.targetSchema, table.targetTable);
    if (live === null) return [];
    const present = new Set(live.columns.map(({ name }) => name));
    return table.regular.filter(({ target }) => !present.has(target)).map(({ name }) => name);
  } catch (error) {
    throw classifyPostgresError(error, `reading ${table.targetSchema}.${table.targetTable}`);
  } finally {
    await client.end().catch(() => undefined);
  }
}

/**
 * Adds to a live target what its table needs (policy `evolve`): columns and bookkeeping, never anything that rewrites or
 * removes. A target that is not there is not created: its rows would be missing.
 *
 * @returns what was executed, and what stands in the way (nothing is executed then).
 * @throws LockstepError classified by SQLSTATE.
 */
export async function extendTarget(
  url: string,
  table: Table,
): Promise<{ readonly steps: readonly DdlStep[]; readonly refusals: readonly Finding[] }> {
  const client = new pg.Client({
    connectionString: url,
    application_name: 'lockstep schema',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('SELECT pg_advisory_lock($1)', [APPLY_LOCK]);
    const live = await readTargetTable(client, table.targetSchema, table.targetTable);
    if (live === null) return { steps: [], refusals: [] };
    const statics =
      table.statics.length === 0
        ? null
        : await readTargetTable(client, table.targetSchema, table.targetTable + STATIC_SUFFIX);
    const plan = planDdl(table, live, { schemaExists: true, statics });
    if (plan.refusals.length === 0) await executeDdl(client, plan.steps);
    return plan.refusals.length === 0 ? plan : { ...plan, steps: [] };
  } catch (error) {
    throw classifyPostgresError(error, `adding columns to ${table.targetSchema}.${table.targetTable}`);
  } finally {
    await client.end().catch(() => undefined);
  }
}
