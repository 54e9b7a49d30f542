/** Random tables: every type, partition and clustering keys of one to three columns, both orders, statics, default TTLs. */
import type { Random } from '../../../src/demo/workload/random.ts';
import type { CqlValue } from './cql-value.ts';
import { keyPool, PLACE, randomComposite, randomKeyType, typeText, type GeneratedType } from './cql-type.ts';
import { SCALAR_NAMES } from './cql-value.ts';
import type { Repertoire } from './semantics.ts';

export interface GeneratedColumn {
  readonly name: string;
  readonly type: GeneratedType;
}

export interface KeyColumn extends GeneratedColumn {
  readonly descending: boolean;
  /** Values that histories choose from, so that they meet. Those of clustering columns in Cassandra's order. */
  readonly pool: readonly RankedValue[];
}

/** A key value with its place in Cassandra's order: equal for values that its comparator takes for equal. */
export interface RankedValue extends CqlValue {
  readonly rank: number;
}

/** A table to write to. */
export interface GeneratedTable {
  readonly keyspace: string;
  readonly name: string;
  readonly partitionKey: readonly KeyColumn[];
  readonly clustering: readonly KeyColumn[];
  readonly statics: readonly GeneratedColumn[];
  /** Grows while histories are written, where schema changes are in the repertoire. */
  readonly regular: GeneratedColumn[];
  /** Writers use TTLs here. */
  readonly usesTtl: boolean;
  readonly defaultTtlSeconds: number;
  /** Whether two writes of one cell may have the same time. */
  readonly ties: boolean;
}

/** Values of a clustering column; few, or range deletes never meet what they delete. */
const CLUSTERING_POOL = 4;
/** Values of the first partition key column. Each round has a part of them to itself, so that it begins afresh. */
const PARTITION_POOL = 800;

/** Types of which PostgreSQL's form keeps the bytes by which Cassandra decides a tie (docs/type-mapping.md). */
function keepsBytes(type: GeneratedType): boolean {
  return type.kind === 'scalar' && type.name !== 'duration';
}

/** The type of a new regular column. */
export function regularType(random: Random, repertoire: Repertoire): GeneratedType {
  const { semantics } = repertoire;
  if (semantics.has('multi-cell') && random.chance(0.25)) return randomComposite(random, false);
  if (semantics.has('duration') && random.chance(0.08)) return { kind: 'scalar', name: 'duration' };
  if (random.chance(0.25)) return randomComposite(random, true);
  return { kind: 'scalar', name: random.pick(SCALAR_NAMES) };
}

/** A random table. */
export function randomTable(keyspace: string, name: string, random: Random, repertoire: Repertoire): GeneratedTable {
  const partitionColumns = random.pick([1, 1, 1, 2, 3]);
  const partitionKey = Array.from({ length: partitionColumns }, (_, at): KeyColumn => {
    const type = randomKeyType(random, true);
    // A composite key may have empty components, a single one may not be empty.
    const pool = unranked(keyPool(type, random, at === 0 ? PARTITION_POOL : 2, partitionColumns > 1));
    return { name: `pk${at + 1}`, type, descending: false, pool };
  });
  const clusteringColumns = random.pick([0, 1, 1, 2, 2, 3]);
  const clustering = Array.from({ length: clusteringColumns }, (_, at): KeyColumn => {
    const type = randomKeyType(random, false);
    return {
      name: `ck${at + 1}`,
      type,
      descending: random.chance(0.5),
      pool: unranked(keyPool(type, random, CLUSTERING_POOL, true)),
    };
  });
  const regular = Array.from({ length: random.between(1, 6) }, (_, at) => ({
    name: at === 2 ? 'Mixed "Case"' : `c${at + 1}`,
    // One column of a single cell at least: an insert tells the row marker's TTL by it.
    type: at === 0 ? { kind: 'scalar' as const, name: random.pick(SCALAR_NAMES) } : regularType(random, repertoire),
  }));
  const statics =
    clusteringColumns > 0 && random.chance(0.3)
      ? Array.from({ length: random.between(1, 2) }, (_, at) => ({
          name: `s${at + 1}`,
          type: { kind: 'scalar', name: random.pick(SCALAR_NAMES) } as const,
        }))
      : [];
  const usesTtl = random.chance(0.5);
  return {
    keyspace,
    name,
    partitionKey,
    clustering,
    statics,
    regular,
    usesTtl,
    defaultTtlSeconds: usesTtl && random.chance(0.2) ? random.between(4, 12) : 0,
    ties: repertoire.semantics.has('lossy-ties') || regular.every(({ type }) => keepsBytes(type)),
  };
}

const unranked = (values: readonly CqlValue[]): RankedValue[] => values.map((value) => ({ ...value, rank: 0 }));

/** The table with the values of its clustering columns in order; `rankOf` says what Cassandra makes of each. */
export function withRanks(
  table: GeneratedTable,
  rankOf: (column: KeyColumn, value: CqlValue) => number,
): GeneratedTable {
  return {
    ...table,
    clustering: table.clustering.map((column) => ({
      ...column,
      pool: column.pool.map((value) => ({ ...value, rank: rankOf(column, value) })).toSorted((a, b) => a.rank - b.rank),
    })),
  };
}

/** A name as CQL takes it, whatever is in it. */
export const quotedName = (name: string): string => `"${name.replaceAll('"', '""')}"`;

export const tableName = ({ keyspace, name }: Pick<GeneratedTable, 'keyspace' | 'name'>): string =>
  `${keyspace}.${name}`;

/** Statements that make the keyspace. */
export function keyspaceDdl(keyspace: string, replicas: number): string[] {
  return [
    `CREATE KEYSPACE ${keyspace} WITH replication = {'class': 'SimpleStrategy', 'replication_factor': ${replicas}}`,
    `CREATE TYPE ${keyspace}.${PLACE.name} (${PLACE.fields.map(({ name, type }) => `${name} ${typeText(type)}`).join(', ')})`,
  ];
}

/** The statement that makes a table; `name` may be another, for a table of the same key that is not captured. */
export function tableDdl(table: GeneratedTable, name: string = table.name, captured = true): string {
  const { keyspace, partitionKey, clustering, statics, regular, defaultTtlSeconds } = table;
  const column = ({ name: columnName, type }: GeneratedColumn, suffix = ''): string =>
    `${quotedName(columnName)} ${typeText(type)}${suffix}`;
  const columns = [
    ...[...partitionKey, ...clustering, ...regular].map((each) => column(each)),
    ...statics.map((each) => column(each, ' STATIC')),
  ];
  const names = (keys: readonly KeyColumn[]): string => keys.map((key) => quotedName(key.name)).join(', ');
  const key = [`(${names(partitionKey)})`, ...clustering.map(({ name: keyName }) => quotedName(keyName))].join(', ');
  const order = clustering.map(
    ({ name: keyName, descending }) => `${quotedName(keyName)} ${descending ? 'DESC' : 'ASC'}`,
  );
  const options = [
    ...(order.length > 0 ? [`CLUSTERING ORDER BY (${order.join(', ')})`] : []),
    `cdc = ${captured}`,
    ...(captured && defaultTtlSeconds > 0 ? [`default_time_to_live = ${defaultTtlSeconds}`] : []),
  ];
  return `CREATE TABLE ${keyspace}.${name} (${columns.join(', ')}, PRIMARY KEY (${key})) WITH ${options.join(' AND ')}`;
}
