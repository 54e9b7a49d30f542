import cassandra from 'cassandra-driver';
import { randomUuid, weighted } from './random.ts';
import * as value from './values.ts';
import { alter, batchOf, insert, remove, update } from './write.ts';
import { sometimesTimed, type TableWriter, type WriterContext } from './writer-context.ts';

const TABLE = 'customers';
const CUSTOMERS = 400;
/** Few, so that elements are added, removed and added again. */
const INTERESTS = ['art', 'books', 'cars', 'dogs', 'été'];
const LABELS = ['a', 'b', 'c'];

/** Customers: rows that exist by their marker or only by their cells, which updates take away one by one. */
export function customersWriter(context: WriterContext): TableWriter {
  const { random } = context;
  const ids = Array.from({ length: CUSTOMERS }, () => cassandra.types.Uuid.fromString(randomUuid(random)));
  const key = () => ({ id: random.pick(ids) });

  const interests = () => INTERESTS.filter(() => random.chance(0.3));

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
    interests: interests(),
    labels: new Map(LABELS.filter(() => random.chance(0.4)).map((label) => [label, random.below(100)])),
  });
  const names = Object.keys(contents());

  const part = (nulls: number): Record<string, unknown> => {
    const all: Record<string, unknown> = contents();
    const chosen = Array.from({ length: random.between(1, 3) }, () => random.pick(names));
    return Object.fromEntries(chosen.map((name) => [name, random.chance(nulls) ? null : all[name]]));
  };

  const collected = (): Record<string, unknown> => {
    switch (weighted(random, { add: 4, remove: 3, label: 3, both: 2 })) {
      case 'add':
        return { 'interests = interests + ?': [random.pick(INTERESTS)] };
      case 'remove':
        return { 'interests = interests - ?': [random.pick(INTERESTS)] };
      case 'label':
        return { 'labels = labels + ?': new Map([[random.pick(LABELS), random.below(100)]]) };
      case 'both':
        return { 'interests = interests + ?': interests(), 'labels = labels - ?': [random.pick(LABELS)] };
    }
  };

  return () => {
    switch (weighted(random, { insert: 30, bare: 3, update: 30, collect: 12, clear: 12, remove: 12, batch: 8 })) {
      case 'insert':
        return insert(TABLE, { ...key(), ...contents() }, sometimesTimed(context));
      case 'bare':
        // Nothing but a row marker.
        return insert(TABLE, key(), sometimesTimed(context));
      case 'update':
        return update(TABLE, key(), part(0.1), sometimesTimed(context));
      case 'collect':
        // One element more or less: the event shows that element, not the collection.
        return alter(TABLE, key(), collected(), sometimesTimed(context));
      case 'clear':
        // Down to the last cell: a row without a marker is gone then, one with a marker stays.
        return update(TABLE, key(), Object.fromEntries(names.map((name) => [name, null])), sometimesTimed(context));
      case 'remove':
        return remove(TABLE, key(), sometimesTimed(context));
      case 'batch': {
        const first = random.below(CUSTOMERS);
        const some = [0, 1, 2].map((step) => ids[(first + step) % CUSTOMERS]);
        return batchOf(
          some.map((id) => (random.chance(0.2) ? remove(TABLE, { id }) : update(TABLE, { id }, part(0.1)))),
        );
      }
    }
  };
}
