import type { Pool } from 'pg';
import { staticTable } from '../catalog/static-table.ts';
import type { Table } from '../catalog/table.ts';
import type { Clock } from '../shared/clock.ts';
import { LockstepError } from '../shared/errors.ts';
import type { Door, ShardId } from './batch.ts';
import { registerTables, type BoundTable } from './bound-table.ts';
import { ControlStatements } from './control-statements.ts';
import { clearDropped } from './dropped-columns.ts';
import { PostgresDoor } from './door.ts';
import { OutsideDoor } from './outside-door.ts';
import { SourceIdentity } from './source-identity.ts';
import { SWEEP_ROWS, sweepExpired } from './expiry-sweep.ts';
import { dropLedgerPartitions, ensureLedgerPartitions, migrate } from './migrate.ts';
import { classifyPostgresError } from './postgres-errors.ts';
import { PostgresShardStore } from './postgres-shard-store.ts';
import { purgeStep, type PurgeCursor, type PurgeStep } from './purge.ts';
import { RepairDoor } from './repair-door.ts';
import { RereadQueue } from './rereads/reread-queue.ts';
import { Rereads } from './rereads/rereads.ts';
import { rowStatements } from './row-statements.ts';
import type { TableDoor } from './row-writes.ts';
import { SourceRows } from './rereads/source-rows.ts';

export type { GrowthStage } from './growth.ts';
export type { ReadRows } from './rereads/reread-merge.ts';
export { PURGE_START, type PurgeCursor } from './purge.ts';
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
  /** For writers beside the stream. */
  readonly outside: OutsideDoor;
  /** For repairs of rows that were compared with the source. */
  readonly repairs: RepairDoor;
  /** The same over other connections: a session is held while a barrier is waited for. */
  repairsOver(pool: Pool): RepairDoor;
  /** For rows that were read from the source beside the stream. */
  readonly sourceRows: SourceRows;
  /** Which source table the rows are from. */
  readonly identity: {
    /** See `SourceIdentity.firstOf`, `accept` and `ignore`. */
    firstOf(tableName: string, sourceId: string): Promise<string>;
    accept(tableName: string, sourceId: string): Promise<boolean>;
    ignore(tableName: string, sourceId: string): Promise<void>;
  };
  readonly shards: PostgresShardStore;
  /** As bound now; static columns belong to their table and are not listed. */
  readonly tables: readonly BoundTable[];
  /** A table, or the table of static columns of one, as bound now. */
  boundOf(tableName: string): BoundTable;
  /**
   * Binds a table anew after its schema changed, ordinals agreed with the other members. Nothing of the table may be in
   * flight through the door meanwhile. Rejects with a LockstepError and leaves the former binding.
   */
  rebind(table: Table): Promise<void>;
  /** Takes a chunk of old values out of columns that were dropped and added again. True while there may be more. */
  clearDropped(tableName: string): Promise<boolean>;
  /**
   * Takes expired values and rows of a shard out of sight. Called regularly by the shard's owner.
   * @returns true where more may be due at once.
   */
  sweep(tableName: string, shard: ShardId): Promise<boolean>;
  /** Reading again what changes could not tell; empty where no table has a source. */
  readonly rereads: Rereads;
  /** Those of the given shards that owe an expiry by now: one question for all of them. */
  dueShards(shards: readonly ShardId[]): Promise<readonly ShardId[]>;
  /** Daily upkeep: ledger partitions ahead of time, and those older than the retention gone. */
  upkeep(retention: { readonly ledgerMs: number }): Promise<void>;
  /** One step of purging a table's tombstones and graves that are behind the horizon; `cursor` from the step before. */
  purge(tableName: string, cursor: PurgeCursor, horizonMs: number): Promise<PurgeStep>;
}

/** The table, and that of its static columns. */
function withStatics(table: Table): readonly Table[] {
  const statics = staticTable(table);
  return statics === null ? [table] : [table, statics];
}

/** Migrates the control tables, registers the tables and compiles their statements. Rejects with a LockstepError. */
export async function openTarget(options: TargetOptions): Promise<Target> {
  const { pool, controlSchema, clock } = options;
  try {
    await migrate(pool, controlSchema);
    await ensureLedgerPartitions(pool, controlSchema, clock.nowMs());
    const tables = await registerTables(pool, controlSchema, options.tables.flatMap(withStatics));
    const control = new ControlStatements(controlSchema);
    const queue = new RereadQueue(controlSchema);
    const sweepable = new Map(tables.map((bound) => [bound.table.name, { bound, statements: rowStatements(bound) }]));
    const doorOf = (tableName: string): TableDoor => {
      const table = sweepable.get(tableName);
      if (table === undefined)
        throw new LockstepError(`no table ${tableName}`, { code: 'BUG_UNBOUND_TABLE', kind: 'bug' });
      return table;
    };
    const staticsOf = (tableName: string): string | null => {
      const statics = staticTable(doorOf(tableName).bound.table);
      return statics === null ? null : statics.name;
    };
    const door = new PostgresDoor({ pool, controlSchema, tables, clock });
    const identity = new SourceIdentity(pool, controlSchema);
    return {
      door,
      outside: new OutsideDoor({ pool, controlSchema, tableOf: doorOf, clock }),
      repairs: new RepairDoor({ pool, controlSchema, tableOf: doorOf, clock }),
      repairsOver: (other) => new RepairDoor({ pool: other, controlSchema, tableOf: doorOf, clock }),
      rereads: new Rereads({ pool, control, queue, clock, doorOf, staticsOf }),
      sourceRows: new SourceRows({ pool, control, queue, clock, doorOf }),
      identity: {
        firstOf: (tableName, sourceId) => identity.firstOf(doorOf(tableName).bound, sourceId),
        accept: (tableName, sourceId) => {
          const statics = staticsOf(tableName);
          const names = statics === null ? [tableName] : [tableName, statics];
          return identity.accept(
            names.map((name) => doorOf(name).bound),
            sourceId,
          );
        },
        ignore: (tableName, sourceId) => identity.ignore(doorOf(tableName).bound, sourceId),
      },
      shards: new PostgresShardStore(pool, controlSchema),
      get tables() {
        return [...sweepable.values()].flatMap(({ bound }) => (bound.table.ofStatics === true ? [] : [bound]));
      },
      boundOf: (tableName) => doorOf(tableName).bound,
      async rebind(table) {
        try {
          for (const bound of await registerTables(pool, controlSchema, withStatics(table))) {
            const fresh = { bound, statements: rowStatements(bound) };
            sweepable.set(bound.table.name, fresh);
            door.bind(fresh);
          }
        } catch (error) {
          throw classifyPostgresError(error, `binding ${table.name} anew`, true);
        }
      },
      async clearDropped(tableName) {
        const table = doorOf(tableName);
        const nowUs = BigInt(clock.nowMs()) * 1000n;
        try {
          for (const column of table.bound.clearing) {
            if (await clearDropped(pool, control, table, column, nowUs)) return true;
          }
          sweepable.set(tableName, { ...table, bound: { ...table.bound, clearing: [] } });
          return false;
        } catch (error) {
          throw classifyPostgresError(error, `clearing dropped columns of ${tableName}`);
        }
      },
      async sweep(tableName, shard) {
        const statics = staticsOf(tableName);
        try {
          let more = false;
          for (const name of statics === null ? [tableName] : [tableName, statics]) {
            if ((await sweepExpired(pool, control, queue, doorOf(name), shard, clock)) === SWEEP_ROWS) more = true;
          }
          return more;
        } catch (error) {
          throw classifyPostgresError(error, `sweeping expired rows of ${tableName}`);
        }
      },
      async dueShards(shards) {
        if (shards.length === 0) return [];
        const { text, values } = control.dueShards(shards, BigInt(clock.nowMs()) * 1000n);
        try {
          const due = await pool.query<[string]>({ text, values: [...(values ?? [])], rowMode: 'array' });
          return due.rows.flatMap(([n]) => shards[Number(n) - 1] ?? []);
        } catch (error) {
          throw classifyPostgresError(error, 'asking which shards owe an expiry', true);
        }
      },
      async upkeep({ ledgerMs }) {
        try {
          await ensureLedgerPartitions(pool, controlSchema, clock.nowMs());
          await dropLedgerPartitions(pool, controlSchema, new Date(clock.nowMs() - ledgerMs));
        } catch (error) {
          throw classifyPostgresError(error, 'keeping the ledger’s partitions', true);
        }
      },
      async purge(tableName, cursor, horizonMs) {
        const table = doorOf(tableName);
        try {
          const cutoffMs = clock.nowMs() - horizonMs;
          return await purgeStep(pool, control, table.bound.id, cursor, cutoffMs, () => performance.now());
        } catch (error) {
          throw classifyPostgresError(error, `purging tombstones of ${tableName}`, true);
        }
      },
    };
  } catch (error) {
    throw classifyPostgresError(error, 'preparing the target');
  }
}
