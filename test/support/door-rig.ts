import type pg from 'pg';
import type { ChangeEvent } from '../../src/change/change-event.ts';
import { identify } from '../../src/change/change-id.ts';
import type { CqlType } from '../../src/change/source-type.ts';
import type { Column, Table } from '../../src/catalog/table.ts';
import type { ApplyBatch, ApplyResult } from '../../src/target/batch.ts';
import { createPool, openTarget, type Target } from '../../src/target/index.ts';
import { quoteIdentifier } from '../../src/target/sql-text.ts';

export const scalar = (name: Extract<CqlType, { kind: 'scalar' }>['name']): CqlType => ({ kind: 'scalar', name });

/** A column with everything that a test does not care about filled in. */
export function column(
  name: string,
  kind: Column['kind'],
  type: CqlType,
  targetType: string,
  more: Partial<Column> = {},
): Column {
  return {
    name,
    target: name,
    kind,
    descending: false,
    type,
    targetType,
    notNull: kind !== 'regular',
    allowLoss: [],
    ...more,
  };
}

export function tableOf(name: string, columns: readonly Column[], more: Partial<Table> = {}): Table {
  const of = (kind: Column['kind']) => columns.filter((entry) => entry.kind === kind);
  return {
    name: `shop.${name}`,
    keyspace: 'shop',
    sourceTable: name,
    topic: `cass1.shop.${name}`,
    targetSchema: 'public',
    targetTable: name,
    partitionKey: of('partition'),
    clustering: of('clustering'),
    regular: of('regular'),
    statics: of('static'),
    usesTtl: false,
    ...more,
  };
}

/** The target table as `schema apply` makes it, without its indexes. */
export function createTableSql(table: Table, withOrder = false): string {
  const keys = [...table.partitionKey, ...table.clustering];
  const define = (entry: Column): string =>
    `${quoteIdentifier(entry.target)} ${entry.targetType}${entry.targetType === 'text' ? ' COLLATE "C"' : ''}${entry.notNull ? ' NOT NULL' : ''}`;
  const columns = [...keys, ...table.regular].map(define);
  columns.push(`_cdc_versions bigint[] NOT NULL DEFAULT '{}'`, '_cdc_expiries bigint[]', '_cdc_token bigint');
  if (withOrder) columns.push('_cdc_order bytea');
  return `DROP TABLE IF EXISTS ${quoteIdentifier(table.targetTable)};
    CREATE TABLE ${quoteIdentifier(table.targetTable)} (${columns.join(', ')},
      PRIMARY KEY (${keys.map((entry) => quoteIdentifier(entry.target)).join(', ')})) WITH (fillfactor = 70)`;
}

/** A door over a fresh control schema, and the tables it writes. */
export interface DoorRig {
  readonly pool: pg.Pool;
  readonly target: Target;
  readonly clock: { nowMs(): number; set(ms: number): void };
  /** The next batch of a shard, from its stored position. */
  apply(table: Table, partition: number, changes: readonly ChangeEvent[]): Promise<ApplyResult>;
  close(): Promise<void>;
}

export async function openDoorRig(
  url: string,
  tables: readonly Table[],
  options: { readonly schema: string; readonly partitions?: number; readonly withOrder?: boolean },
): Promise<DoorRig> {
  const pool = createPool({ url, poolSize: 8 });
  await pool.query(`DROP SCHEMA IF EXISTS ${quoteIdentifier(options.schema)} CASCADE`);
  for (const table of tables) {
    for (const statement of createTableSql(table, options.withOrder).split(';')) await pool.query(statement);
  }
  let now = 1_000_000_000_000;
  const clock = {
    nowMs: () => now,
    set: (ms: number) => {
      now = ms;
    },
  };
  const target = await openTarget({ pool, controlSchema: options.schema, tables, clock });
  for (const table of tables) {
    await target.shards.ensure(table.topic, new Array<bigint>(options.partitions ?? 1).fill(0n));
  }
  return {
    pool,
    target,
    clock,
    async apply(table, partition, changes) {
      const position = await target.shards.load(table.topic, partition);
      const from = position?.next ?? 0n;
      const batch: ApplyBatch = {
        shard: { topic: table.topic, incarnation: 1, partition },
        table: table.name,
        from,
        next: from + BigInt(changes.length),
        lastRecord: null,
        changes: changes.map((change, i) => ({ offset: from + BigInt(i), change, id: identify(change).id })),
        deadLetters: [],
        duplicates: [],
        skipped: 0,
      };
      return target.door.apply(batch);
    },
    close: () => pool.end(),
  };
}
