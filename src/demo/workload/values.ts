/** Values of every type that the shop uses, common ones and extremes, as the driver takes them. */
import cassandra from 'cassandra-driver';
import { randomTimeUuid, randomUuid, type Random } from './random.ts';

const { types } = cassandra;

const WORDS = ['amber', 'birch', 'copper', 'dune', 'ember', 'fern', 'granite', 'harbour', 'indigo', 'juniper', 'kelp'];

/** Text that breaks careless encoders: quotes, escapes, line ends, combining marks, right-to-left, beyond the BMP. */
const STRANGE_TEXTS = [
  '',
  ' ',
  'null',
  'NULL',
  '\\N',
  '\\',
  '"quoted"',
  "it's",
  'line\nbreak\r\n\ttab',
  '{"json": [1, 2]}',
  'Zürich – naïve café',
  'e\u0301 is not é',
  '日本語テキスト',
  'שלום עולם',
  '👩‍👩‍👧‍👦 family',
  '𝒳 beyond the BMP',
  '\u0001\u001f control',
  '\u007f\u0080\u009f',
  '\ufeffbyte order mark',
  '\u2028\u2029',
  'x'.repeat(2000),
];

const INT64 = ['9223372036854775807', '-9223372036854775808', '9007199254740993', '-1', '0', '1'];

const VARINTS = [
  '0',
  '-1',
  '128',
  '-129',
  '9223372036854775808',
  '-9223372036854775809',
  '123456789012345678901234567890123456789012345678901234567890',
];

const DECIMALS = [
  '0',
  '0.00',
  '-0.000000001',
  '1.0',
  '1.00',
  '12345678901234567890.123456789012345678901234567890',
  '-99999999999999999999999999999.99',
  '0.0000000000000000000000000000000000000001',
];

const DOUBLES = [
  NaN,
  Infinity,
  -Infinity,
  0,
  -0,
  Number.MAX_VALUE,
  -Number.MAX_VALUE,
  Number.MIN_VALUE,
  0.1,
  1e21,
  123456789.12345679,
  9007199254740992,
];
const FLOATS = [NaN, Infinity, -Infinity, 0, -0, 3.4028234663852886e38, 1.401298464324817e-45, 0.1, 16777217, 1e10];

const INETS = [
  '10.0.0.1',
  '255.255.255.255',
  '0.0.0.0',
  '::1',
  '::',
  '2001:db8::8a2e:370:7334',
  'fe80::1',
  '2001:db8:0:1:1:1:1:1',
];

/** Milliseconds; within the years 1 to 9999, because Cassandra's text form has no era. */
const TIMESTAMPS = [0, -1, 1, 253_402_300_799_999, -62_135_596_800_000, -2_208_988_800_001, 951_826_154_321];

const DATES = ['1970-01-01', '1969-12-31', '2000-02-29', '0001-01-01', '9999-12-31', '1582-10-10', '2026-11-01'];

/**
 * Milliseconds of the day, and nanoseconds on top: whole microseconds, because PostgreSQL's `time` ends there and the
 * rest would be refused.
 */
const TIMES = [
  [0, 0],
  [86_399_999, 999_000],
  [0, 1000],
  [43_200_000, 0],
  [3_723_000, 456_000],
] as const;

/** How often a value is one of the extremes. */
const EXTREME = 0.3;

export const text = (random: Random): string =>
  random.chance(EXTREME)
    ? random.pick(STRANGE_TEXTS)
    : Array.from({ length: random.between(1, 4) }, () => random.pick(WORDS)).join(' ');
export const ascii = (random: Random): string => `${random.pick(WORDS)}-${random.below(10_000)}`;
export const boolean = (random: Random): boolean => random.chance(0.5);
export const int = (random: Random): number =>
  random.chance(EXTREME) ? random.pick([2_147_483_647, -2_147_483_648, 0, -1]) : random.below(1000);
export const smallint = (random: Random): number =>
  random.chance(EXTREME) ? random.pick([32_767, -32_768, 0]) : random.below(500);
export const tinyint = (random: Random): number => random.pick([127, -128, 0, 1, 5]);
export const bigint = (random: Random): bigint =>
  random.chance(EXTREME) ? BigInt(random.pick(INT64)) : BigInt(random.below(1_000_000));
export const varint = (random: Random): bigint =>
  random.chance(EXTREME) ? BigInt(random.pick(VARINTS)) : BigInt(random.below(1_000_000)) * 1_000_000_007n;
export const decimal = (random: Random): cassandra.types.BigDecimal =>
  types.BigDecimal.fromString(
    random.chance(EXTREME)
      ? random.pick(DECIMALS)
      : `${random.below(1000)}.${String(random.below(100)).padStart(2, '0')}`,
  );
export const double = (random: Random): number =>
  random.chance(EXTREME) ? random.pick(DOUBLES) : (random.next() - 0.5) * 1e6;
export const float = (random: Random): number =>
  Math.fround(random.chance(EXTREME) ? random.pick(FLOATS) : (random.next() - 0.5) * 1e3);
export const timestamp = (random: Random): Date =>
  new Date(random.chance(EXTREME) ? random.pick(TIMESTAMPS) : 1_790_000_000_000 + random.below(1_000_000_000));
export const date = (random: Random): cassandra.types.LocalDate =>
  types.LocalDate.fromString(
    random.chance(EXTREME) ? random.pick(DATES) : `2026-${String(random.between(1, 12)).padStart(2, '0')}-15`,
  );
export const time = (random: Random): cassandra.types.LocalTime => {
  const [ms, ns] = random.chance(EXTREME) ? random.pick(TIMES) : [random.below(86_400_000), 0];
  return types.LocalTime.fromMilliseconds(ms, ns);
};
export const uuid = (random: Random): cassandra.types.Uuid => types.Uuid.fromString(randomUuid(random));
export const timeuuid = (random: Random): cassandra.types.TimeUuid =>
  types.TimeUuid.fromString(randomTimeUuid(random, 1_790_000_000_000 + random.below(1_000_000_000)));
export const inet = (random: Random): cassandra.types.InetAddress =>
  types.InetAddress.fromString(
    random.chance(EXTREME) ? random.pick(INETS) : `10.${random.below(256)}.${random.below(256)}.${random.below(256)}`,
  );
export const blob = (random: Random): Buffer =>
  random.chance(EXTREME)
    ? random.pick([Buffer.alloc(0), Buffer.from([0]), Buffer.alloc(300, 0xff)])
    : random.bytes(random.between(1, 40));

const some = <T>(random: Random, most: number, make: () => T): T[] =>
  Array.from({ length: random.below(most + 1) }, make);

export const textSet = (random: Random): Set<string> =>
  new Set(some(random, 5, () => random.pick([...WORDS, '', '"', 'é', '日本'])));
export const intList = (random: Random): number[] => some(random, 5, () => int(random));
export const decimalByText = (random: Random): Map<string, unknown> =>
  new Map(some(random, 3, () => [random.pick(['EUR', 'USD', 'a "b"', '']), decimal(random)]));
export const bigintByInt = (random: Random): Map<number, bigint> =>
  new Map(some(random, 3, () => [random.pick([-1, 0, 7, 2_147_483_647]), bigint(random)]));
export const intByText = (random: Random): Map<string, number> =>
  new Map(some(random, 4, () => [random.pick(WORDS), random.below(20)]));
export const dimensions = (random: Random): Record<string, unknown> => ({
  width_mm: random.below(2000),
  height_mm: random.chance(0.2) ? null : random.below(2000),
  weight_kg: random.chance(0.2) ? null : decimal(random),
  label: random.chance(0.2) ? null : text(random),
});
export const dimensionsList = (random: Random): Record<string, unknown>[] => some(random, 3, () => dimensions(random));
export const place = (random: Random): cassandra.types.Tuple =>
  new types.Tuple(int(random), random.chance(0.2) ? null : text(random), (random.next() - 0.5) * 100);
