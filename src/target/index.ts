import type { Pool } from 'pg';
import type { Table } from '../catalog/table.ts';
import type { Clock } from '../shared/clock.ts';
import { LockstepError } from '../shared/errors.ts';
import type { Door, ShardId } from './batch.ts';
import { registerTables, type BoundTable } from './bound-table.ts';
import { ControlStatements } from './control-statements.ts';
import { PostgresDoor } from './door.ts';
import { SWEEP_ROWS, sweepExpired } from './expiry-sweep.ts';
import { ensureLedgerPartitions, migrate } from './migrate.ts';
import { classifyPostgresError } from './postgres-errors.ts';
import { PostgresShardStore } from './postgres-shard-store.ts';
import { rowStatements } from './row-statements.ts';

export { createPool, type PostgresOptions } from './pool.ts';
export { classifyPostgresError } from './postgres-errors.ts';
export { ensureLedgerPartitions, migrate } from './migrate.ts';

export interface TargetOptions {
  readonly pool: Pool;
  readonly controlSchema: string;
  readonly tables: readonly Table[];
  readonly clock: Clock;
}

/** The target side, ready for work: the door, the positions, and the upkeep that a shard's owner does. */
export interface Target {
  readonly door: Door;
  readonly shards: PostgresShardStore;
  readonly tables: readonly BoundTable[];
  /**
   * Takes expired values and rows of a shard out of sight. Called regularly by the shard's owner.
   * @returns true where more may be due at once.
   */
  sweep(tableName: string, shard: ShardId): Promise<boolean>;
  /** Daily upkeep: ledger partitions ahead of time. */
  upkeep(): Promise<void>;
}

/** Migrates the control tables, registers the tables and compiles their statements. Rejects with a LockstepError. */
export async function openTarget(options: TargetOptions): Promise<Target> {
  const { pool, controlSchema, clock } = options;
  try {
    await migrate(pool, controlSchema);
    await ensureLedgerPartitions(pool, controlSchema, clock.nowMs());
    const tables = await registerTables(pool, controlSchema, options.tables);
    const control = new ControlStatements(controlSchema);
    const sweepable = new Map(tables.map((bound) => [bound.table.name, { bound, statements: rowStatements(bound) }]));
    return {
      door: new PostgresDoor({ pool, controlSchema, tables, clock }),
      shards: new PostgresShardStore(pool, controlSchema),
      tables,
      async sweep(tableName, shard) {
        const table = sweepable.get(tableName);
        if (table === undefined)
          throw new LockstepError(`no table ${tableName}`, { code: 'BUG_UNBOUND_TABLE', kind: 'bug' });
        try {
          return (await sweepExpired(pool, control, table, shard, clock)) === SWEEP_ROWS;
        } catch (error) {
          throw classifyPostgresError(error, `sweeping expired rows of ${tableName}`);
        }
      },
      upkeep: () => ensureLedgerPartitions(pool, controlSchema, clock.nowMs()),
    };
  } catch (error) {
    throw classifyPostgresError(error, 'preparing the target');
  }
}
