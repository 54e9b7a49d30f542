import cassandra from 'cassandra-driver';
import { KEYSPACE } from '../shop/schema.ts';
import { randomUuid, weighted } from './random.ts';
import * as value from './values.ts';
import { batchOf, insert, remove, update } from './write.ts';
import { sometimesTimed, type TableWriter, type WriterContext } from './writer-context.ts';

const TABLE = `${KEYSPACE}.customers`;
const CUSTOMERS = 400;

/** Customers: rows that exist by their marker or only by their cells, which updates take away one by one. */
export function customersWriter(context: WriterContext): TableWriter {
  const { random } = context;
  const ids = Array.from({ length: CUSTOMERS }, () => cassandra.types.Uuid.fromString(randomUuid(random)));
  const key = () => ({ id: random.pick(ids) });

  const contents = () => ({
    email: `${value.ascii(random)}@example.org`,
    name: value.text(random),
    phone: random.chance(0.3) ? null : `+41 ${random.below(100_000_000)}`,
    city: value.text(random),
    points: value.bigint(random),
    newsletter: value.boolean(random),
    credit: value.decimal(random),
    last_seen: value.timestamp(random),
    referrer: random.pick(ids),
    born: value.date(random),
  });
  const names = Object.keys(contents());

  const part = (nulls: number): Record<string, unknown> => {
    const all: Record<string, unknown> = contents();
    const chosen = Array.from({ length: random.between(1, 3) }, () => random.pick(names));
    return Object.fromEntries(chosen.map((name) => [name, random.chance(nulls) ? null : all[name]]));
  };

  return () => {
    switch (weighted(random, { insert: 30, bare: 3, update: 35, clear: 12, remove: 12, batch: 8 })) {
      case 'insert':
        return insert(TABLE, { ...key(), ...contents() }, sometimesTimed(context));
      case 'bare':
        // Nothing but a row marker.
        return insert(TABLE, key(), sometimesTimed(context));
      case 'update':
        return update(TABLE, key(), part(0.1), sometimesTimed(context));
      case 'clear':
        // Down to the last cell: a row without a marker is gone then, one with a marker stays.
        return update(TABLE, key(), Object.fromEntries(names.map((name) => [name, null])), sometimesTimed(context));
      case 'remove':
        return remove(TABLE, key(), sometimesTimed(context));
      case 'batch': {
        const first = random.below(CUSTOMERS);
        const some = [0, 1, 2].map((step) => ids[(first + step) % CUSTOMERS]);
        return batchOf(
          'logged',
          some.map((id) => (random.chance(0.2) ? remove(TABLE, { id }) : update(TABLE, { id }, part(0.1)))),
        );
      }
    }
  };
}
