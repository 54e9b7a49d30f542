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
import { batchOf, insert, remove, removeRange, update, type Write } from '../workload/write.ts';
import type { SourceWriter } from '../workload/writer.ts';
import { nextSegment } from './commit-log.ts';

/** One fault, and what is to be found of it. */
export interface ProvokedLoss {
  readonly what: string;
  readonly table: ShopTable;
  /** Rows that differ for it, each of this type and cause. */
  readonly rows: number;
  readonly type: string;
  readonly cause: string;
  readonly columns: readonly string[];
  /** Changes that the connector is made to lose: delivery windows miss them. None for what was done in PostgreSQL. */
  readonly changeIds: readonly string[];
  /** SQL: true where the target shows what these changes did. Null for what was done in PostgreSQL. */
  readonly shown: string | null;
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

/** Behind two crashes on a busy machine there is a lot to catch up with. */
const ARRIVAL_LIMIT_MS = 180_000;
const HOURS = 6;
const FIRST_HOUR_MS = Date.UTC(2026, 9, 1);
const hour = (n: number): Date => new Date(FIRST_HOUR_MS + n * 3_600_000);

const orderKey = (buyer: string, n: number) => ({
  customer_id: cassandra.types.Uuid.fromString(buyer),
  placed_at: hour(n),
  line: 1,
});
const customerKey = (id: string) => ({ id: cassandra.types.Uuid.fromString(id) });

/** Writes the rows, and waits for them: with them everything from before them in the commit log was captured. */
async function seeded(
  options: ProvokeOptions,
  [buyer, other]: readonly [string, string],
  people: readonly string[],
): Promise<void> {
  const { writer, postgres, signal } = options;
  for (let n = 0; n < HOURS; n++) {
    await writer.write(insert('orders', { ...orderKey(buyer, n), sku: `sku-${n}`, quantity: n + 1, status: 'paid' }));
  }
  await writer.write(insert('orders', { ...orderKey(other, 0), sku: 'sku-0', quantity: 1, status: 'paid' }));
  for (const id of people) {
    await writer.write(insert('customers', { ...customerKey(id), name: 'somebody', city: 'here' }));
  }
  const arrived = await waitFor(
    async () => {
      const { rows } = await postgres.query<{ n: number }>(
        `SELECT ((SELECT count(*) FROM ${TARGET_SCHEMA}.orders WHERE customer_id = ANY($1::uuid[]))
               + (SELECT count(*) FROM ${TARGET_SCHEMA}.customers WHERE id = ANY($2::uuid[])))::int AS n`,
        [[buyer, other], people],
      );
      return rows[0]?.n === HOURS + 1 + people.length;
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
  // A window that replays a range delete repairs all of its partition: what is done by hand is elsewhere.
  const other = randomUuid(random);
  await seeded(options, [buyer, other], people);

  // At two times: at one they would be a single range to Cassandra.
  const range = (from: number, to: number): Write =>
    removeRange(
      'orders',
      { customer_id: cassandra.types.Uuid.fromString(buyer) },
      'placed_at',
      [
        { than: '>=', value: hour(from) },
        { than: '<', value: hour(to) },
      ],
      { timestampUs: BigInt(writer.nextTimeUs()) },
    );
  const ranges = await writer.write(batchOf([range(0, 2), range(2, 4)]));
  const inserted = await writer.write(insert('orders', { ...orderKey(buyer, HOURS), sku: 'sku-7', status: 'new' }));
  const updated = await writer.write(update('customers', customerKey(moved), { city: 'elsewhere' }));
  const removed = await writer.write(remove('customers', customerKey(gone)));
  await nextSegment(source, KEYSPACE);
  tell('two adjacent range deletes in one batch: the connector skips the rest of its segment');

  await postgres.query(
    `UPDATE ${TARGET_SCHEMA}.orders SET status = 'by hand' WHERE customer_id = $1 AND placed_at = $2`,
    [other, hour(0)],
  );
  await postgres.query(`DELETE FROM ${TARGET_SCHEMA}.customers WHERE id = $1`, [dropped]);
  tell('one row updated and one deleted in PostgreSQL by hand');

  const customer = (id: string, condition: string): string =>
    `EXISTS (SELECT 1 FROM ${TARGET_SCHEMA}.customers WHERE id = '${id}' AND ${condition})`;
  const orders = (from: number, to: number): string =>
    `EXISTS (SELECT 1 FROM ${TARGET_SCHEMA}.orders WHERE customer_id = '${buyer}'
       AND placed_at >= '${hour(from).toISOString()}' AND placed_at < '${hour(to).toISOString()}')`;
  return {
    keys: { orders: [buyer, other], customers: people },
    losses: [
      {
        what: 'two adjacent range deletes in one batch',
        table: 'orders',
        rows: 4,
        type: 'MISSING_IN_CASSANDRA',
        cause: 'missed-delete',
        columns: [],
        changeIds: ranges,
        shown: `NOT ${orders(0, 4)}`,
      },
      {
        what: 'insert behind them in the commit log',
        table: 'orders',
        rows: 1,
        type: 'MISSING_IN_POSTGRES',
        cause: 'missed-insert',
        columns: [],
        changeIds: inserted,
        shown: orders(HOURS, HOURS + 1),
      },
      {
        what: 'update behind them in the commit log',
        table: 'customers',
        rows: 1,
        type: 'DATA_MISMATCH',
        cause: 'missed-update',
        columns: ['city'],
        changeIds: updated,
        shown: customer(moved, `city = 'elsewhere'`),
      },
      {
        what: 'delete behind them in the commit log',
        table: 'customers',
        rows: 1,
        type: 'MISSING_IN_CASSANDRA',
        cause: 'missed-delete',
        columns: [],
        changeIds: removed,
        shown: `NOT ${customer(gone, 'true')}`,
      },
      {
        what: 'value updated in PostgreSQL by hand',
        table: 'orders',
        rows: 1,
        type: 'DATA_MISMATCH',
        cause: 'rogue-update',
        columns: ['status'],
        changeIds: [],
        shown: null,
      },
      {
        what: 'row deleted in PostgreSQL by hand',
        table: 'customers',
        rows: 1,
        type: 'MISSING_IN_POSTGRES',
        cause: 'missed-insert',
        columns: [],
        changeIds: [],
        shown: null,
      },
    ],
  };
}
