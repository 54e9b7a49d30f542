import pg from 'pg';
import { STATIC_SUFFIX } from '../../catalog/bind.ts';
import { checkDatabase, checkTarget } from '../../catalog/check-target.ts';
import type { Finding } from '../../catalog/finding.ts';
import type { Table } from '../../catalog/table.ts';
import { readTargetDatabase, readTargetTable, withTargetNotNull } from '../../catalog/target-schema.ts';
import { classifyPostgresError } from '../../target/index.ts';

const CONNECT_TIMEOUT_MS = 8_000;
const STATEMENT_TIMEOUT_MS = 8_000;

/** A table compared with its live target. */
export interface CheckedTable {
  /** With what the target says about NOT NULL. */
  readonly table: Table;
  readonly findings: readonly Finding[];
}

/** Tables compared with their targets, and what stands against the database as a whole. */
export interface CheckedTargets {
  readonly database: readonly Finding[];
  readonly tables: readonly CheckedTable[];
}

/**
 * Compares tables with their live targets, over a connection of its own (the door's pool leaves values as text).
 * @throws LockstepError classified by SQLSTATE.
 */
export async function checkTargets(url: string, tables: readonly Table[]): Promise<CheckedTargets> {
  const client = new pg.Client({
    connectionString: url,
    application_name: 'lockstep check',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
  });
  // A connection that breaks rejects the query under way; the event has nothing to add.
  client.on('error', () => undefined);
  try {
    await client.connect();
    const database = checkDatabase(await readTargetDatabase(client));
    const checked: CheckedTable[] = [];
    for (const table of tables) {
      const live = await readTargetTable(client, table.targetSchema, table.targetTable);
      const statics =
        table.statics.length === 0
          ? null
          : await readTargetTable(client, table.targetSchema, table.targetTable + STATIC_SUFFIX);
      checked.push({
        table: live === null ? table : withTargetNotNull(table, live),
        findings: checkTarget(table, live, statics),
      });
    }
    return { database, tables: checked };
  } catch (error) {
    throw classifyPostgresError(error, 'comparing the tables with their targets');
  } finally {
    await client.end().catch(() => undefined);
  }
}
