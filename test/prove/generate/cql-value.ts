/**
 * Random values as CQL literals, so that a history is text that a person can paste into cqlsh. Each literal comes with the
 * plain form that the proof's readers give it (src/demo/proof/plain-value.ts), which is how a statement is found in events.
 */
import * as plain from '../../../src/demo/proof/plain-value.ts';
import { randomTimeUuid, randomUuid, type Random } from '../../../src/demo/workload/random.ts';

/** A value to write. */
export interface CqlValue {
  readonly literal: string;
  readonly plain: string;
}

/** Scalar types in the order in which CQL's documentation has them; counters are refused by Lockstep. */
export const SCALAR_NAMES = [
  'ascii',
  'bigint',
  'blob',
  'boolean',
  'date',
  'decimal',
  'double',
  'float',
  'inet',
  'int',
  'smallint',
  'text',
  'time',
  'timestamp',
  'timeuuid',
  'tinyint',
  'uuid',
  'varint',
] as const;

/** `duration` is apart: it is no key and the events lose it, so it takes a re-read. */
export type ScalarName = (typeof SCALAR_NAMES)[number] | 'duration';

const TEXTS = [
  '',
  ' ',
  'null',
  '\\N',
  '\\',
  '"quoted"',
  "it's",
  'line\nbreak\r\n\ttab',
  '{"json": [1, 2]}',
  'Zürich',
  'e\u0301',
  '日本語',
  'שלום',
  '👩‍👩‍👧‍👦',
  '𝒳',
  '\u0001\u001f',
  '\u0080\u009f',
  '\ufeff',
  '\u2028',
  'a',
  'b',
  'ab',
];

const FIXED: Readonly<Record<ScalarName, readonly string[]>> = {
  ascii: ['', ' ', 'a', 'b', 'ab', '"', '\\', '~', 'null'],
  bigint: ['9223372036854775807', '-9223372036854775808', '9007199254740993', '-1', '0', '1', '255', '256'],
  blob: ['', '00', 'ff', '0001', '00ff', '80', 'ff'.repeat(64)],
  boolean: ['true', 'false'],
  date: ['1970-01-01', '1969-12-31', '2000-02-29', '0001-01-01', '9999-12-31', '1582-10-10', '2026-11-01'],
  decimal: [
    '0',
    '0.00',
    '-0.000000001',
    '1.0',
    '1.00',
    '9',
    '-9',
    '10',
    '12345678901234567890.123456789012345678',
    '5E+3',
  ],
  double: [
    'NaN',
    'Infinity',
    '-Infinity',
    '0.0',
    '-0.0',
    '1.7976931348623157E308',
    '4.9E-324',
    '0.1',
    '-1.5',
    '9007199254740992.0',
  ],
  duration: ['1mo3d4ns', '0s', '-5d', '1y2mo', '3h20m', '12w'],
  float: ['NaN', 'Infinity', '-Infinity', '0.0', '-0.0', '3.4028235E38', '1.4E-45', '0.1', '-1.5', '16777216.0'],
  inet: ['10.0.0.1', '255.255.255.255', '0.0.0.0', '::1', '::', '2001:db8::8a2e:370:7334', 'fe80::1', '127.0.0.1'],
  int: ['2147483647', '-2147483648', '0', '-1', '1', '255', '256'],
  smallint: ['32767', '-32768', '0', '-1', '1', '255'],
  text: TEXTS,
  time: ['00:00:00', '23:59:59.999999', '00:00:00.000001', '12:34:56.789'],
  timestamp: ['0', '-1', '1', '253402300799999', '-62135596800000', '951826154321', '1790000000000'],
  timeuuid: [
    '00000000-0000-1000-8000-000000000000',
    'ffffffff-ffff-1fff-bfff-ffffffffffff',
    '80000000-0000-1000-a000-ff0000000000',
    '00000001-0000-1000-8000-7f0000000000',
  ],
  tinyint: ['127', '-128', '0', '-1', '1'],
  uuid: [
    '00000000-0000-4000-8000-000000000000',
    'ffffffff-ffff-4fff-bfff-ffffffffffff',
    '80000000-0000-1000-a000-ff0000000000',
    '00000001-0000-1000-8000-7f0000000000',
    '7fffffff-0000-5000-8000-000000000000',
  ],
  varint: [
    '0',
    '-1',
    '127',
    '128',
    '-128',
    '-129',
    '9223372036854775808',
    '-9223372036854775809',
    '1234567890'.repeat(5),
  ],
};

/** How often a value is one of the fixed ones: extremes and, for keys and ties, few enough to collide. */
const FIXED_SHARE = 0.5;
/** A range of plausible moments: the second half of 2026. */
const RECENT_MS = 1_790_000_000_000;
const SPREAD_MS = 1_000_000_000;

const digits = (value: number, width: number): string => String(value).padStart(width, '0');

/** Text of a random scalar, in the notation of {@link FIXED}. */
function randomText(name: ScalarName, random: Random): string {
  switch (name) {
    case 'ascii':
    case 'text':
      return `${random.pick(['amber', 'birch', 'kelp', 'dune'])} ${random.below(1000)}`;
    case 'bigint':
    case 'int':
    case 'varint':
      return String(random.between(-100_000, 100_000));
    case 'smallint':
      return String(random.between(-500, 500));
    case 'tinyint':
      return String(random.between(-100, 100));
    case 'blob':
      return random.bytes(random.between(1, 12)).toString('hex');
    case 'boolean':
      return String(random.chance(0.5));
    case 'date':
      return `2026-${digits(random.between(1, 12), 2)}-${digits(random.between(1, 28), 2)}`;
    case 'decimal':
      return `${random.between(-99, 99)}.${digits(random.below(100), 2)}`;
    case 'double':
    case 'float':
      return `${random.between(-9999, 9999)}.${random.pick([0, 5, 25])}`;
    case 'duration':
      return `${random.between(1, 20)}mo${random.between(1, 20)}d${random.between(1, 20)}h`;
    case 'inet':
      return `10.0.${random.below(256)}.${random.below(256)}`;
    case 'time':
      return `${digits(random.below(24), 2)}:${digits(random.below(60), 2)}:${digits(random.below(60), 2)}.${digits(random.below(1000), 3)}`;
    case 'timestamp':
      return String(RECENT_MS + random.below(SPREAD_MS));
    case 'timeuuid':
      return randomTimeUuid(random, RECENT_MS + random.below(SPREAD_MS));
    case 'uuid':
      return randomUuid(random);
  }
}

const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`;

/** The value that a text of {@link FIXED} or {@link randomText} stands for. */
export function scalarValue(name: ScalarName, text: string): CqlValue {
  switch (name) {
    case 'ascii':
    case 'text':
      return { literal: quoted(text), plain: text };
    case 'bigint':
    case 'int':
    case 'smallint':
    case 'tinyint':
    case 'varint':
      return { literal: text, plain: plain.plainInteger(text) };
    case 'blob':
      return { literal: `0x${text}`, plain: text };
    case 'boolean':
      return { literal: text, plain: text };
    case 'date':
      return { literal: quoted(text), plain: plain.plainDate(text) };
    case 'decimal':
      return { literal: text, plain: plain.plainDecimal(text) };
    case 'double':
      return { literal: text, plain: plain.plainDouble(text) };
    case 'duration':
      return { literal: text, plain: text };
    case 'float':
      return { literal: text, plain: plain.plainFloat(text) };
    case 'inet':
      return { literal: quoted(text), plain: plain.plainInet(text) };
    case 'time':
      return { literal: quoted(text), plain: plain.plainTime(text) };
    case 'timestamp':
      return { literal: text, plain: text };
    case 'timeuuid':
    case 'uuid':
      return { literal: text, plain: plain.plainUuid(text) };
  }
}

/** A random value of a scalar type. */
export function randomScalar(name: ScalarName, random: Random): CqlValue {
  return scalarValue(name, random.chance(FIXED_SHARE) ? random.pick(FIXED[name]) : randomText(name, random));
}
