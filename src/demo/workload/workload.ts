/**
 * The live workload: which write comes next. Seeded; it keeps no model of the data, because the proof reads both sides.
 *
 * Left out, because the connector's event does not say enough (or the connector loses it); seen on Debezium Cassandra
 * 3.4.1.Final. Each would be a dead letter or a change that never reaches Kafka, or could not be counted:
 * - non-frozen collections: an update shows the elements touched, not whether they were added, removed or put;
 * - updates of fields of a non-frozen UDT: the connector fails on them and skips the rest of the commit-log segment;
 * - durations: arrive as nanoseconds with a month as 30 days;
 * - static columns and counters: emit no event;
 * - INSERT of key columns only USING TTL (or with all other columns null): arrives without any TTL, so the row marker's
 *   expiry is lost;
 * - several TTLs for one row in one batch: the marker's expiry is one of them, the event does not say which;
 * - several write times for one partition in one batch: all get the newest;
 * - DELETE and INSERT or UPDATE of one row in one batch: in a table with clustering columns only the delete arrives;
 * - a partition or range delete and writes into it in one batch: the delete's event carries the time of the writes;
 * - adjacent range deletes in one batch: the connector fails on them and skips the rest of the segment;
 * - one row touched twice in one batch: arrives as one event, so changes could not be counted;
 * - lightweight transactions: are captured, but may write nothing, so changes could not be counted;
 * - blobs inside frozen values: carry the bytes of the whole value around them;
 * - vector columns: one anywhere keeps the agent's driver from seeing tables made afterwards;
 * - TRUNCATE: emits no event; schema changes while capturing.
 */
import { customersWriter } from './customers.ts';
import { ordersWriter } from './orders.ts';
import { productsWriter } from './products.ts';
import { weighted } from './random.ts';
import { sessionsWriter } from './sessions.ts';
import { batchOf, type Write } from './write.ts';
import type { WriterContext } from './writer-context.ts';

/** Share of each table in the workload. */
const SHARES = { orders: 44, sessions: 20, products: 14, customers: 20, across: 2 };

/** An endless sequence of writes. */
export function shopWorkload(context: WriterContext): () => Write {
  const orders = ordersWriter(context);
  const sessions = sessionsWriter(context);
  const products = productsWriter(context);
  const customers = customersWriter(context);

  /** A write that may go into a batch with those of other tables: one row, at the batch's time. */
  const plain = (next: () => Write): Write => {
    for (;;) {
      const write = next();
      if (write.statements.length === 1 && write.statements[0]?.timestampUs === null) return write;
    }
  };

  return () => {
    switch (weighted(context.random, SHARES)) {
      case 'orders':
        return orders();
      case 'sessions':
        return sessions();
      case 'products':
        return products();
      case 'customers':
        return customers();
      case 'across':
        return batchOf([plain(orders), plain(customers), plain(products)]);
    }
  };
}
