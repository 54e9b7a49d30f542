import { hash } from 'node:crypto';
import type { Pool } from 'pg';
import { compareClustering, keyBytes, orderBytes } from '../change/values/value-order.ts';
import { serialisePartitionKey, murmur3Token } from '../change/token.ts';
import type { ClusteringOrder } from '../change/range-tombstone.ts';
import type { RereadPolicy } from '../change/hint.ts';
import type { Undecided } from '../change/fold.ts';
import type { ValueOrder } from '../change/row-state.ts';
import { sameOrder, tieBytesSql, tieOrder, valueMapping, type ValueMapping } from '../catalog/type-mapping.ts';
import { rereadPolicy } from '../catalog/reread-policy.ts';
import { keyColumns, type Column, type Table } from '../catalog/table.ts';
import { LockstepError } from '../shared/errors.ts';
import { qualified } from './sql-text.ts';

/** Ordinal of the row marker in `_cdc_versions`; columns follow. PostgreSQL's arrays begin at 1. */
export const MARKER_ORDINAL = 1;

/** A column with what the door needs of it, compiled once. */
export interface BoundColumn {
  readonly column: Column;
  readonly mapping: ValueMapping;
  /** Slot in `_cdc_versions`; 0 for key columns, which have no versions. */
  readonly ordinal: number;
  /** Slot of the read sequence of a multi-cell column that is read again; 0 for every other column. */
  readonly readOrdinal: number;
}

/** A table registered in `_cdc_tables`: stable id and ordinals, and the compiled orders. */
export interface BoundTable {
  readonly id: number;
  readonly table: Table;
  /** Quoted and qualified name of the target. */
  readonly target: string;
  readonly keys: readonly BoundColumn[];
  readonly regular: readonly BoundColumn[];
  /** Names the prepared statements of this binding: a table that is bound anew has others. */
  readonly tag: string;
  /** Next ordinal of the registry when this was compiled: another one means that somebody knows columns that this does not. */
  readonly generation: string;
  /** Columns that were dropped and added again, and whose old values may still stand in the target. */
  readonly clearing: readonly BoundColumn[];
  /** Length of `_cdc_versions` for this set of columns. */
  readonly slots: number;
  /** How its rows are read again; null where there is no source. */
  readonly policy: RereadPolicy | null;
  /** Which conflicts of one write time are left to the source; null where none are. */
  readonly undecided: Undecided;
  /** Slots that hold read sequences and no write times. */
  readonly readSlots: readonly number[];
  readonly valueOrders: readonly ValueOrder[];
  readonly clusteringOrder: ClusteringOrder;
  /** True where range deletes are evaluated on `_cdc_order`, because a clustering type's order is not PostgreSQL's. */
  readonly usesOrderColumn: boolean;
  /** SQL for Cassandra's serialised bytes of a stored value, or null where the stored form has lost them. */
  tieBytes(column: BoundColumn, expression: string): string | null;
  /** Token of the partition key, as the source computes it; null where a key type's bytes are unknown. */
  tokenOf(keyValues: readonly string[]): bigint | null;
  /** Memcmp-ordered bytes of (a prefix of) the clustering key. */
  orderBytesOf(clustering: readonly string[]): Buffer;
}

function bindingHash(columns: readonly BoundColumn[]): string {
  const parts = columns.map(({ column, ordinal, readOrdinal }) => [
    column.target,
    column.targetType,
    column.type,
    ordinal,
    readOrdinal,
  ]);
  return hash('sha256', JSON.stringify(parts), 'hex').slice(0, 12);
}

/** Slots by column name; a multi-cell column has a second one for the sequence of the read that its value is from. */
interface Ordinals {
  readonly ordinals: Readonly<Record<string, number>>;
  readonly readOrdinals: Readonly<Record<string, number>>;
}

function compile(
  id: number,
  table: Table,
  { ordinals, readOrdinals }: Ordinals,
  controlSchema: string,
  registered: { readonly generation: string; readonly clearing: readonly string[] },
): BoundTable {
  const policy = rereadPolicy(table);
  const bind = (column: Column): BoundColumn => ({
    column,
    mapping: valueMapping(column),
    ordinal: ordinals[column.name] ?? 0,
    readOrdinal: policy?.multiCell[table.regular.indexOf(column)] === true ? (readOrdinals[column.name] ?? 0) : 0,
  });
  const regular = table.regular.map(bind);
  const partitionTypes = table.partitionKey.map((column) => column.type);
  return {
    id,
    table,
    target: qualified(table.targetSchema, table.targetTable),
    keys: keyColumns(table).map(bind),
    regular,
    tag: `${id}-${bindingHash([...keyColumns(table).map(bind), ...regular])}`,
    generation: registered.generation,
    clearing: regular.filter(({ column }) => registered.clearing.includes(column.name)),
    slots: Math.max(MARKER_ORDINAL, ...regular.flatMap((column) => [column.ordinal, column.readOrdinal])),
    policy,
    undecided: policy?.undecided.some((each) => each !== null) === true ? policy.undecided : null,
    readSlots: Object.values(readOrdinals),
    valueOrders: table.regular.map(tieOrder),
    clusteringOrder: table.clustering.map((column) => (left: string, right: string) => {
      const compared = compareClustering(column.type, left, right);
      return column.descending ? -compared : compared;
    }),
    usesOrderColumn: table.clustering.some((column) => !sameOrder(column)),
    tieBytes: (column, expression) => tieBytesSql(column.column, expression, controlSchema),
    tokenOf(keyValues) {
      const components: Uint8Array[] = [];
      for (const [i, type] of partitionTypes.entries()) {
        const bytes = keyBytes(type, keyValues[i] ?? '');
        if (bytes === null) return null;
        components.push(bytes);
      }
      return murmur3Token(serialisePartitionKey(components));
    },
    orderBytesOf(clustering) {
      const parts = clustering.map((value, i) => {
        const column = table.clustering[i];
        return column === undefined ? new Uint8Array() : orderBytes(column.type, value, column.descending);
      });
      return Buffer.concat(parts);
    },
  };
}

/** What the registry holds of a table's columns. */
interface ColumnRegistry {
  readonly ordinals: Readonly<Record<string, number>>;
  readonly next: number;
  /** Floors that were known when the ordinals were given, as text. */
  readonly floors: Readonly<Record<string, string>>;
  readonly clearing: readonly string[];
}

/**
 * Ordinals are append-only. A column that was dropped and added again gets a new one: its old versions say nothing about
 * the new column, and its old values are to be cleared out of the target.
 */
function ordinalsOf(table: Table, row: RegistryRow | undefined): ColumnRegistry {
  const ordinals = row === undefined ? {} : (JSON.parse(row.ordinals) as Record<string, number>);
  const floors = row === undefined ? {} : (JSON.parse(row.floors) as Record<string, string>);
  const clearing = new Set(row === undefined ? [] : (JSON.parse(row.clearing) as string[]));
  let next = row === undefined ? MARKER_ORDINAL + 1 : Number(row.next_ordinal);
  for (const { name, droppedAt } of table.regular) {
    const known = ordinals[name];
    if (droppedAt !== undefined && floors[name] !== String(droppedAt)) {
      // One that is new here never had values of the dropped one.
      if (known !== undefined) clearing.add(name);
      floors[name] = String(droppedAt);
      ordinals[name] = next++;
    } else if (known === undefined) {
      ordinals[name] = next++;
    }
  }
  return { ordinals, next, floors, clearing: [...clearing] };
}

interface RegistryRow {
  readonly id: string;
  readonly source: string;
  readonly target: string;
  readonly topic: string;
  readonly ordinals: string;
  readonly read_ordinals: string;
  readonly next_ordinal: string;
  readonly floors: string;
  readonly clearing: string;
}

/**
 * Registers tables in `_cdc_tables` and gives each column its ordinal, for ever. One transaction under a lock, so that
 * members that start together agree.
 *
 * @throws LockstepError `config` where a target or topic already belongs to another source table: one target is fed by
 * one topic (DESIGN §5).
 */
export async function registerTables(
  pool: Pool,
  controlSchema: string,
  tables: readonly Table[],
): Promise<readonly BoundTable[]> {
  const registry = qualified(controlSchema, '_cdc_tables');
  const client = await pool.connect();
  try {
    await client.query('BEGIN');
    await client.query(`LOCK TABLE ${registry} IN EXCLUSIVE MODE`);
    const known = await client.query<RegistryRow>(
      `SELECT id, source, target, topic, ordinals, read_ordinals, next_ordinal, floors, clearing FROM ${registry}`,
    );
    const bound: BoundTable[] = [];
    for (const table of tables) {
      const target = `${table.targetSchema}.${table.targetTable}`;
      const other = known.rows.find(
        (row) => row.source !== table.name && (row.target === target || row.topic === table.topic),
      );
      if (other !== undefined) {
        throw new LockstepError(
          `table ${table.name} maps topic ${table.topic} to ${target}, but ${other.source} is registered for topic ${other.topic} and target ${other.target}`,
          {
            code: 'TARGET_FED_TWICE',
            kind: 'config',
            remedy: 'give every source table its own topic and its own target table',
          },
        );
      }
      const row = known.rows.find((candidate) => candidate.source === table.name);
      const given = ordinalsOf(table, row);
      const { ordinals } = given;
      const readOrdinals = row === undefined ? {} : (JSON.parse(row.read_ordinals) as Record<string, number>);
      let { next } = given;
      const policy = rereadPolicy(table);
      for (const [i, column] of table.regular.entries()) {
        if (policy?.multiCell[i] === true) readOrdinals[column.name] ??= next++;
      }
      const saved = await client.query<{ id: string }>(
        `INSERT INTO ${registry} (source, target, topic, ordinals, read_ordinals, next_ordinal, floors, clearing)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (source) DO UPDATE
           SET target = EXCLUDED.target, topic = EXCLUDED.topic, ordinals = EXCLUDED.ordinals,
               read_ordinals = EXCLUDED.read_ordinals, next_ordinal = EXCLUDED.next_ordinal,
               floors = EXCLUDED.floors, clearing = EXCLUDED.clearing
         RETURNING id`,
        [
          table.name,
          target,
          table.topic,
          JSON.stringify(ordinals),
          JSON.stringify(readOrdinals),
          next,
          JSON.stringify(given.floors),
          JSON.stringify(given.clearing),
        ],
      );
      bound.push(
        compile(Number(saved.rows[0]?.id), table, { ordinals, readOrdinals }, controlSchema, {
          generation: String(next),
          clearing: given.clearing,
        }),
      );
    }
    await client.query('COMMIT');
    return bound;
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined);
    throw error;
  } finally {
    client.release();
  }
}

/**
 * Whether the table is still bound as the registry has it. A process that does not know a column yet would take a row
 * for gone whose last living cell is in that column.
 *
 * @throws LockstepError `transient`: the schema is being followed, and the batch repeated after the table is bound anew.
 */
export function checkGeneration(table: BoundTable, registered: string | null | undefined): void {
  if (registered === table.generation) return;
  throw new LockstepError(`${table.table.name} got columns in the registry that this process does not know yet`, {
    code: 'SCHEMA_BEHIND',
    kind: 'transient',
    remedy: 'none needed: the schema of the source is read again in a moment',
  });
}
