/** Tables that Lockstep needs in the source besides those that it follows: heartbeats, the changelog. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from 'cassandra-driver';
import type { Configuration } from '../../config/index.ts';
import { LockstepError, messageOf } from '../../shared/errors.ts';
import { CHANGELOG_TABLE, changelogTableCql } from '../../source/changelog-table.ts';
import { heartbeatCql } from '../../source/heartbeat-table.ts';

/**
 * Between a keyspace and its first table: a capture agent that hears of both at once learns the keyspace only, and misses
 * the table until it restarts (connectors/debezium-cassandra, hazards).
 */
const KEYSPACE_SETTLE_MS = 3_000;

/** One table that is missing, and the CQL that makes it. */
export interface SourceStep {
  readonly table: string;
  readonly why: string;
  readonly statements: readonly string[];
}

/** Whether the source is asked for tables of ours. */
export function needsSourceTables({ reconciliation }: Configuration): boolean {
  return reconciliation.heartbeats !== null || reconciliation.windows.changelog === 'cassandra';
}

async function names(client: Client, query: string, params: readonly string[]): Promise<ReadonlySet<string>> {
  const { rows } = await client.execute(query, [...params], { prepare: true });
  return new Set(rows.map((row) => String(Object.values(row as unknown as Record<string, unknown>)[0])));
}

/** What is missing in the source. Reads only; rejects with what the driver throws. */
export async function planSourceTables(client: Client, configuration: Configuration): Promise<readonly SourceStep[]> {
  const { reconciliation, tables, source } = configuration;
  const keyspaces = await names(client, 'SELECT keyspace_name FROM system_schema.keyspaces', []);
  const tablesOf = (keyspace: string) =>
    names(client, 'SELECT table_name FROM system_schema.tables WHERE keyspace_name = ?', [keyspace]);
  const steps: SourceStep[] = [];
  if (reconciliation.heartbeats !== null) {
    const { table } = reconciliation.heartbeats;
    const [keyspace = '', name = ''] = table.split('.');
    if (!(await tablesOf(keyspace)).has(name)) {
      const [ofKeyspace, ofTable] = heartbeatCql(table, source.cassandra?.localDataCenter ?? '');
      const statements = keyspaces.has(keyspace) ? [ofTable] : [ofKeyspace, ofTable];
      steps.push({ table, why: 'heartbeats through the capture', statements });
    }
  }
  if (reconciliation.windows.changelog === 'cassandra') {
    for (const keyspace of new Set(tables.map((table) => table.source.split('.')[0] ?? ''))) {
      if ((await tablesOf(keyspace)).has(CHANGELOG_TABLE)) continue;
      steps.push({
        table: `${keyspace}.${CHANGELOG_TABLE}`,
        why: 'the changelog that applications write in the batch of their data',
        statements: [changelogTableCql(keyspace)],
      });
    }
  }
  return steps;
}

/** Carries out a plan; what is there already is left as it is. @throws LockstepError `batch` where the source refuses. */
export async function createSourceTables(client: Client, steps: readonly SourceStep[]): Promise<void> {
  for (const { table, statements } of steps) {
    for (const [i, statement] of statements.entries()) {
      if (i > 0) await delay(KEYSPACE_SETTLE_MS);
      try {
        await client.execute(statement);
      } catch (cause) {
        throw new LockstepError(`creating ${table} in the source: ${messageOf(cause)}`, {
          code: 'SOURCE_DDL',
          kind: 'batch',
          remedy: 'grant CREATE to the user of source.cassandra, or have somebody else execute what schema plan prints',
          cause,
        });
      }
    }
  }
}
