/**
 * The shop: a small Cassandra schema that exercises what capture can carry over today.
 *
 * | table     | what it is for |
 * |-----------|----------------|
 * | orders    | clustering columns in both directions, partial updates, row, range and partition deletes |
 * | sessions  | rows with TTL, some of which expire during the run; a clustering type whose order is not PostgreSQL's |
 * | products  | wide rows: every type that has an exact counterpart, at its extremes |
 * | customers | no clustering columns: updates that null cells, rows made by UPDATE alone, deletes; a set and a map whose elements are written one by one, which events tell only a part of |
 */

import type { LoggedTable } from '../../changelog.ts';
import { ballastDdl } from '../losses/commit-log.ts';

/** Keyspace of the shop. */
export const KEYSPACE = 'shop';

/** Schema of PostgreSQL that the tables arrive in. */
export const TARGET_SCHEMA = 'public';

/** Tables of the shop, in the order in which a person reads them. */
export const SHOP_TABLES = ['orders', 'sessions', 'products', 'customers'] as const;
export type ShopTable = (typeof SHOP_TABLES)[number];

/** Primary keys, as the changelog wants to know them: every change of the shop has its entry there. */
export const SHOP_KEYS: Readonly<Record<ShopTable, LoggedTable>> = {
  orders: { partitionKey: { customer_id: 'uuid' }, clusteringKey: { placed_at: 'timestamp', line: 'int' } },
  sessions: { partitionKey: { user_id: 'uuid' }, clusteringKey: { session_id: 'timeuuid' } },
  products: { partitionKey: { sku: 'text' } },
  customers: { partitionKey: { id: 'uuid' } },
};

/** Clustering columns in descending order: there the larger value is the start of a range. */
export const DESCENDING: ReadonlySet<string> = new Set(['placed_at', 'session_id']);

/** Partitions per topic: several shards, so that recovery and order are tested across them. */
export const PARTITIONS_PER_TOPIC = 4;

/** The topic that the agent writes a table's changes to. */
export function topicOf(prefix: string, table: ShopTable): string {
  return `${prefix}.${KEYSPACE}.${table}`;
}

/** Statements that make the shop, in order; repeating them changes nothing. */
export const SHOP_DDL: readonly string[] = [
  `CREATE KEYSPACE IF NOT EXISTS ${KEYSPACE}
     WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}`,

  `CREATE TYPE IF NOT EXISTS ${KEYSPACE}.dimensions (width_mm int, height_mm int, weight_kg decimal, label text)`,

  `CREATE TABLE IF NOT EXISTS ${KEYSPACE}.orders (
     customer_id uuid, placed_at timestamp, line int,
     sku text, quantity int, price decimal, discount double, status text, note text, shipped_on date, gift boolean,
     PRIMARY KEY ((customer_id), placed_at, line)
   ) WITH CLUSTERING ORDER BY (placed_at DESC, line ASC) AND cdc = true`,

  `CREATE TABLE IF NOT EXISTS ${KEYSPACE}.sessions (
     user_id uuid, session_id timeuuid,
     ip inet, agent text, started_at timestamp, hits int, cart frozen<map<text, int>>, secret blob, score float,
     PRIMARY KEY ((user_id), session_id)
   ) WITH CLUSTERING ORDER BY (session_id DESC) AND cdc = true`,

  `CREATE TABLE IF NOT EXISTS ${KEYSPACE}.products (
     sku text PRIMARY KEY,
     name text, description text, code ascii, active boolean, stock int, sold bigint, views varint,
     rating tinyint, shelf smallint, weight float, score double, price decimal, cost decimal,
     created_at timestamp, updated_at timestamp, available_on date, retired_on date, opens time, closes time,
     owner_id uuid, revision timeuuid, origin inet, mirror inet, picture blob, checksum blob,
     tags frozen<set<text>>, sizes frozen<list<int>>, prices frozen<map<text, decimal>>, counts frozen<map<int, bigint>>,
     size frozen<dimensions>, parts frozen<list<frozen<dimensions>>>, place frozen<tuple<int, text, double>>
   ) WITH cdc = true`,

  `CREATE TABLE IF NOT EXISTS ${KEYSPACE}.customers (
     id uuid PRIMARY KEY,
     email text, name text, phone text, city text, points bigint, newsletter boolean, credit decimal,
     last_seen timestamp, referrer uuid, born date, interests set<text>, labels map<text, int>
   ) WITH cdc = true`,

  ballastDdl(KEYSPACE),
];
