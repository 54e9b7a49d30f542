/**
 * The tables of the simulation, as CQL declares them, each with small domains of values, so that ties and collisions are
 * frequent. Nothing here comes from `src/`: this is the source's side.
 */

export type CqlName = 'int' | 'bigint' | 'text' | 'decimal' | 'timeuuid';

export interface ModelColumn {
  readonly name: string;
  readonly type: CqlName;
  readonly descending: boolean;
  /** The values that histories use, as CQL literals without quotes. */
  readonly domain: readonly string[];
}

export interface ModelSchema {
  readonly name: string;
  readonly partitionKey: readonly ModelColumn[];
  readonly clustering: readonly ModelColumn[];
  /** In alphabetical order, as the connector lists them. */
  readonly regular: readonly ModelColumn[];
  /** Histories write with TTLs. */
  readonly usesTtl: boolean;
  /** The target has lost the bytes that decide ties of its decimals, and the source is asked. */
  readonly isAsked: boolean;
}

function column(name: string, type: CqlName, domain: readonly string[], descending = false): ModelColumn {
  return { name, type, domain, descending };
}

/** Values whose byte order is not their order: −1 beats 1, and 1.00 beats 1.0, and 1.0 beats 9. */
const INTS = ['-1', '1', '7'];
const DECIMALS = ['1.0', '1.00', '9', '-2.5'];
const TEXTS = ['', 'a', 'é', 'zz"\\,{}'];

/** Kept as numeric(9,2): −2.5 beats 1.5 beats 9 by their bytes, and the other way round by what is left of them. */
const LOSSY_DECIMALS = ['1.5', '9', '-2.5'];

export const SCHEMAS: readonly ModelSchema[] = [
  {
    name: 'plain',
    partitionKey: [column('id', 'int', ['1', '2', '3'])],
    clustering: [],
    regular: [column('age', 'int', INTS), column('name', 'text', TEXTS), column('total', 'decimal', DECIMALS)],
    usesTtl: false,
    isAsked: false,
  },
  {
    name: 'sessions',
    partitionKey: [column('id', 'text', ['s', 't"'])],
    clustering: [],
    regular: [column('a', 'text', TEXTS), column('b', 'int', INTS)],
    usesTtl: true,
    isAsked: false,
  },
  {
    name: 'ranged',
    partitionKey: [column('k', 'text', ['p', 'q"{,'])],
    clustering: [column('c1', 'int', ['-1', '5']), column('c2', 'text', ['a', 'b', 'z'], true)],
    regular: [column('n', 'bigint', ['-9223372036854775808', '9223372036854775807']), column('v', 'text', ['x', 'y'])],
    usesTtl: true,
    isAsked: false,
  },
  {
    name: 'by_time',
    partitionKey: [column('k', 'int', ['1', '2'])],
    clustering: [
      column(
        'c',
        'timeuuid',
        [
          // Time order is not byte order: the first has the smallest first byte and the latest time.
          '00000000-e589-11f1-8000-000000000001',
          'f73da000-e588-11f1-a58b-79db87becf7a',
          'f73da000-e588-11f1-7f00-000000000000',
          'ffffffff-0000-11f1-a58b-79db87becf7a',
        ],
        true,
      ),
    ],
    regular: [column('v', 'text', TEXTS), column('w', 'int', INTS)],
    usesTtl: false,
    isAsked: false,
  },
  {
    name: 'asked',
    partitionKey: [column('id', 'int', ['1', '2'])],
    clustering: [],
    regular: [column('a', 'text', TEXTS), column('total', 'decimal', LOSSY_DECIMALS)],
    usesTtl: true,
    isAsked: true,
  },
  {
    name: 'asked_rows',
    partitionKey: [column('k', 'int', ['1'])],
    clustering: [column('c', 'int', ['1', '2'])],
    regular: [column('a', 'text', TEXTS), column('total', 'decimal', LOSSY_DECIMALS)],
    usesTtl: false,
    isAsked: true,
  },
];
