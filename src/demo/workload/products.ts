import { weighted } from './random.ts';
import * as value from './values.ts';
import { batchOf, insert, remove, update } from './write.ts';
import { sometimesTimed, type TableWriter, type WriterContext } from './writer-context.ts';

const TABLE = 'products';
const PRODUCTS = 200;

/** Every column but the key, with what makes its values. */
const COLUMNS = {
  name: value.text,
  description: value.text,
  code: value.ascii,
  active: value.boolean,
  stock: value.int,
  sold: value.bigint,
  views: value.varint,
  rating: value.tinyint,
  shelf: value.smallint,
  weight: value.float,
  score: value.double,
  price: value.decimal,
  cost: value.decimal,
  created_at: value.timestamp,
  updated_at: value.timestamp,
  available_on: value.date,
  retired_on: value.date,
  opens: value.time,
  closes: value.time,
  owner_id: value.uuid,
  revision: value.timeuuid,
  origin: value.inet,
  mirror: value.inet,
  picture: value.blob,
  checksum: value.blob,
  tags: value.textSet,
  sizes: value.intList,
  prices: value.decimalByText,
  counts: value.bigintByInt,
  size: value.dimensions,
  parts: value.dimensionsList,
  place: value.place,
} as const;
const NAMES = Object.keys(COLUMNS) as (keyof typeof COLUMNS)[];

/** Products: wide rows, written whole and then column by column. */
export function productsWriter(context: WriterContext): TableWriter {
  const { random } = context;
  // Quotes, blanks and letters beyond ASCII belong into a key as much as anywhere.
  const sku = (number = random.below(PRODUCTS)): string => (number % 10 === 0 ? `ünï "${number}"` : `sku-${number}`);

  /** The given columns; some null, which is a tombstone, some left out, which is nothing. */
  const contents = (names: readonly (keyof typeof COLUMNS)[], nulls: number): Record<string, unknown> =>
    Object.fromEntries(names.map((name) => [name, random.chance(nulls) ? null : COLUMNS[name](random)]));
  const someColumns = (): (keyof typeof COLUMNS)[] =>
    Array.from({ length: random.between(1, 6) }, () => random.pick(NAMES));

  return () => {
    switch (weighted(random, { whole: 30, most: 10, part: 45, remove: 8, batch: 7 })) {
      case 'whole':
        return insert(TABLE, { sku: sku(), ...contents(NAMES, 0.03) }, sometimesTimed(context));
      case 'most':
        return insert(
          TABLE,
          {
            sku: sku(),
            ...contents(
              NAMES.filter(() => random.chance(0.6)),
              0.1,
            ),
          },
          sometimesTimed(context),
        );
      case 'part':
        return update(TABLE, { sku: sku() }, contents(someColumns(), 0.15), sometimesTimed(context));
      case 'remove':
        return remove(TABLE, { sku: sku() }, sometimesTimed(context));
      case 'batch': {
        const first = random.below(PRODUCTS);
        const skus = [first, (first + 1) % PRODUCTS, (first + 2) % PRODUCTS].map(sku);
        return batchOf(skus.map((each) => update(TABLE, { sku: each }, contents(someColumns(), 0.1))));
      }
    }
  };
}
