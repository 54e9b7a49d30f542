/**
 * The connector's own losses, provoked: a batch on which Debezium Cassandra 3.4.1.Final fails, logs an error, skips the
 * rest of the commit-log segment and goes on saying that it is healthy (seen, connectors/debezium-cassandra/README.md).
 * And what somebody changes in PostgreSQL by hand. Rows of their own, so that each finding can be told.
 */
import cassandra from 'cassandra-driver';
import type pg from 'pg';
import { DemoError } from '../demo-error.ts';
import { KEYSPACE, TARGET_SCHEMA, type ShopTable } from '../shop/schema.ts';
import { waitFor } from '../waiting.ts';
import { randomUuid, type Random } from '../workload/random.ts';
import { insert } from '../workload/write.ts';
import type { SourceWriter } from '../workload/writer.ts';
import { nextSegment } from './commit-log.ts';

/** One fault, and what a comparison should say of it. */
export interface ProvokedLoss {
  readonly what: string;
  readonly table: ShopTable;
  /** Rows that differ for it, each a finding of this type and cause. */
  readonly rows: number;
  readonly type: string;
  readonly cause: string;
  readonly columns: readonly string[];
  /** Changes that the connector would have told of; 0 for what was done in PostgreSQL. */
  readonly changes: number;
  /** SQL: true where the change has arrived after all. Null for what was done in PostgreSQL. */
  readonly arrived: string | null;
}

export interface ProvokedLosses {
  readonly losses: readonly ProvokedLoss[];
  /** First part of the key of every row that is touched, by table: nothing else should be found. */
  readonly keys: Readonly<Record<'orders' | 'customers', readonly string[]>>;
}

export interface ProvokeOptions {
  readonly source: cassandra.Client;
  readonly writer: SourceWriter;
  readonly postgres: pg.Pool;
  readonly random: Random;
  readonly signal: AbortSignal;
  readonly tell: (text: string) => void;
}

const ARRIVAL_LIMIT_MS = 60_000;
const HOURS = 6;
const FIRST_HOUR_MS = Date.UTC(2026, 9, 1);
const hour = (n: number): Date => new Date(FIRST_HOUR_MS + n * 3_600_000);

const ORDERS = `${KEYSPACE}.orders`;
const CUSTOMERS = `${KEYSPACE}.customers`;

/** Writes the rows, and waits for them: with them everything from before them in the commit log was captured. */
async function seeded(options: ProvokeOptions, buyer: string, people: readonly string[]): Promise<void> {
  const { writer, postgres, signal } = options;
  for (let n = 0; n < HOURS; n++) {
    const key = { customer_id: cassandra.types.Uuid.fromString(buyer), placed_at: hour(n), line: 1 };
    await writer.write(insert(ORDERS, { ...key, sku: `sku-${n}`, quantity: n + 1, status: 'paid' }));
  }
  for (const id of people) {
    await writer.write(insert(CUSTOMERS, { id: cassandra.types.Uuid.fromString(id), name: 'somebody', city: 'here' }));
  }
  const arrived = await waitFor(
    async () => {
      const { rows } = await postgres.query<{ n: number }>(
        `SELECT ((SELECT count(*) FROM ${TARGET_SCHEMA}.orders WHERE customer_id = $1)
               + (SELECT count(*) FROM ${TARGET_SCHEMA}.customers WHERE id = ANY($2::uuid[])))::int AS n`,
        [buyer, people],
      );
      return rows[0]?.n === HOURS + people.length;
    },
    { limitMs: ARRIVAL_LIMIT_MS, everyMs: 100, signal },
  );
  if (arrived) return;
  throw new DemoError(
    'DEMO_LOSSES',
    `rows did not arrive within ${ARRIVAL_LIMIT_MS / 1000} s`,
    'Look at the logs of the agent and of Lockstep in the demo directory.',
  );
}

/** Provokes them all; what the connector skips ends with its segment of the commit log. */
export async function provokeLosses(options: ProvokeOptions): Promise<ProvokedLosses> {
  const { source, writer, postgres, random, tell } = options;
  const buyer = randomUuid(random);
  const people = [0, 1, 2].map(() => randomUuid(random));
  const [moved = '', gone = '', dropped = ''] = people;
  await seeded(options, buyer, people);

  // At two times: at one they would be a single range to Cassandra.
  const range = (from: number, to: number): string =>
    `DELETE FROM ${ORDERS} USING TIMESTAMP ${writer.nextTimeUs()} WHERE customer_id = ${buyer} AND placed_at >= ${hour(from).getTime()} AND placed_at < ${hour(to).getTime()};`;
  await source.execute(`BEGIN BATCH ${range(0, 2)} ${range(2, 4)} APPLY BATCH`);
  await source.execute(
    `INSERT INTO ${ORDERS} (customer_id, placed_at, line, sku, status) VALUES (${buyer}, ${hour(HOURS).getTime()}, 1, 'sku-7', 'new')`,
  );
  await source.execute(`UPDATE ${CUSTOMERS} SET city = 'elsewhere' WHERE id = ${moved}`);
  await source.execute(`DELETE FROM ${CUSTOMERS} WHERE id = ${gone}`);
  await nextSegment(source, KEYSPACE);
  tell('two adjacent range deletes in one batch: the connector skips the rest of its segment');

  await postgres.query(
    `UPDATE ${TARGET_SCHEMA}.orders SET status = 'by hand' WHERE customer_id = $1 AND placed_at = $2`,
    [buyer, hour(HOURS - 1)],
  );
  await postgres.query(`DELETE FROM ${TARGET_SCHEMA}.customers WHERE id = $1`, [dropped]);
  tell('one row updated and one deleted in PostgreSQL by hand');

  const customer = (id: string, condition: string): string =>
    `EXISTS (SELECT 1 FROM ${TARGET_SCHEMA}.customers WHERE id = '${id}' AND ${condition})`;
  const orders = (from: number, to: number): string =>
    `EXISTS (SELECT 1 FROM ${TARGET_SCHEMA}.orders WHERE customer_id = '${buyer}'
       AND placed_at >= '${hour(from).toISOString()}' AND placed_at < '${hour(to).toISOString()}')`;
  return {
    keys: { orders: [buyer], customers: people },
    losses: [
      {
        what: 'two adjacent range deletes in one batch',
        table: 'orders',
        rows: 4,
        type: 'MISSING_IN_CASSANDRA',
        cause: 'missed-delete',
        columns: [],
        changes: 2,
        arrived: `NOT ${orders(0, 4)}`,
      },
      {
        what: 'insert behind them in the commit log',
        table: 'orders',
        rows: 1,
        type: 'MISSING_IN_POSTGRES',
        cause: 'missed-insert',
        columns: [],
        changes: 1,
        arrived: orders(HOURS, HOURS + 1),
      },
      {
        what: 'update behind them in the commit log',
        table: 'customers',
        rows: 1,
        type: 'DATA_MISMATCH',
        cause: 'missed-update',
        columns: ['city'],
        changes: 1,
        arrived: customer(moved, `city = 'elsewhere'`),
      },
      {
        what: 'delete behind them in the commit log',
        table: 'customers',
        rows: 1,
        type: 'MISSING_IN_CASSANDRA',
        cause: 'missed-delete',
        columns: [],
        changes: 1,
        arrived: `NOT ${customer(gone, 'true')}`,
      },
      {
        what: 'value updated in PostgreSQL by hand',
        table: 'orders',
        rows: 1,
        type: 'DATA_MISMATCH',
        cause: 'rogue-update',
        columns: ['status'],
        changes: 0,
        arrived: null,
      },
      {
        what: 'row deleted in PostgreSQL by hand',
        table: 'customers',
        rows: 1,
        type: 'MISSING_IN_POSTGRES',
        cause: 'missed-insert',
        columns: [],
        changes: 0,
        arrived: null,
      },
    ],
  };
}
