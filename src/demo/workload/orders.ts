import cassandra from 'cassandra-driver';
import { randomUuid, weighted } from './random.ts';
import * as value from './values.ts';
import { batchOf, insert, remove, removeRange, update, type Side, type Write } from './write.ts';
import { sometimesTimed, type TableWriter, type WriterContext } from './writer-context.ts';

const TABLE = 'orders';

/** A grid of keys small enough that changes keep meeting each other's rows and tombstones. */
const CUSTOMERS = 60;
const HOURS = 24;
const LINES = 6;
const FIRST_HOUR_MS = Date.UTC(2026, 10, 1);
const HOUR_MS = 3_600_000;

const STATUSES = ['new', 'paid', 'packed', 'sent', 'returned'];

/** Orders: everything that a table with clustering columns allows. */
export function ordersWriter(context: WriterContext): TableWriter {
  const { random } = context;
  const customers = Array.from({ length: CUSTOMERS }, () => cassandra.types.Uuid.fromString(randomUuid(random)));
  const hour = (): number => random.below(HOURS);
  const placed = (at: number): Date => new Date(FIRST_HOUR_MS + at * HOUR_MS);
  const key = () => ({
    customer_id: random.pick(customers),
    placed_at: placed(hour()),
    line: random.between(1, LINES),
  });

  const contents = () => ({
    sku: `sku-${random.below(200)}`,
    quantity: random.between(1, 20),
    price: value.decimal(random),
    discount: value.double(random),
    status: random.pick(STATUSES),
    note: value.text(random),
    shipped_on: value.date(random),
    gift: value.boolean(random),
  });

  /** One to three columns, some of them set to null. */
  const part = (): Record<string, unknown> => {
    const all = Object.entries(contents());
    const chosen = Array.from({ length: random.between(1, 3) }, () => random.pick(all));
    return Object.fromEntries(chosen.map(([name, content]) => [name, random.chance(0.15) ? null : content]));
  };

  /** Row keys of one partition, each once: one row must not be touched twice in a batch (workload.ts). */
  const keysOfOnePartition = (count: number) => {
    const customer = random.pick(customers);
    const at = placed(hour());
    const first = random.below(LINES);
    return Array.from({ length: count }, (_, index) => ({
      customer_id: customer,
      placed_at: at,
      line: ((first + index) % LINES) + 1,
    }));
  };

  const rangeDelete = (): Write => {
    const customer = random.pick(customers);
    const from = hour();
    const to = from + random.between(1, 4);
    const hours = (...sides: readonly (readonly [Side['than'], number])[]): Write =>
      removeRange(
        TABLE,
        { customer_id: customer },
        'placed_at',
        sides.map(([than, at]) => ({ than, value: placed(at) })),
      );
    switch (random.below(5)) {
      case 0:
        return hours(['>=', from], ['<', to]);
      case 1:
        return hours(['>', from], ['<=', to]);
      case 2:
        return hours(['<', random.between(1, 3)]);
      case 3:
        return removeRange(TABLE, { customer_id: customer, placed_at: placed(from) }, 'line', [
          { than: '>', value: random.between(1, LINES) },
        ]);
      default:
        return remove(TABLE, { customer_id: customer, placed_at: placed(from) }, sometimesTimed(context));
    }
  };

  const batch = (): Write => {
    const keys = keysOfOnePartition(random.between(2, 4));
    if (random.chance(0.15)) return batchOf(keys.map((row) => remove(TABLE, row)));
    return batchOf(
      keys.map((row) => (random.chance(0.6) ? insert(TABLE, { ...row, ...contents() }) : update(TABLE, row, part()))),
    );
  };

  return () => {
    switch (weighted(random, { insert: 40, update: 33, remove: 9, range: 5, partition: 1, batch: 12 })) {
      case 'insert':
        return insert(TABLE, { ...key(), ...contents() }, sometimesTimed(context));
      case 'update':
        return update(TABLE, key(), part(), sometimesTimed(context));
      case 'remove':
        return remove(TABLE, key(), sometimesTimed(context));
      case 'range':
        return rangeDelete();
      case 'partition':
        return remove(TABLE, { customer_id: random.pick(customers) }, sometimesTimed(context));
      case 'batch':
        return batch();
    }
  };
}
