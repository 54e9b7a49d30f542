import fc from 'fast-check';
import type { Column, ColumnKind } from '../../src/catalog/table.ts';
import { parseCqlType } from '../../src/change/parse-cql-type.ts';
import { canonicalText } from '../../src/change/values/value-canonical.ts';
import { inetText } from '../../src/change/values/value-inet.ts';
import { dateText, timestampText, timeText } from '../../src/change/values/value-calendar.ts';
import { decimalText, doubleText, floatText } from '../../src/change/values/value-number.ts';

/** Canonical texts of each CQL type, the extremes among them often. */

const integer = (bits: bigint): fc.Arbitrary<string> => {
  const limit = 1n << (bits - 1n);
  return fc
    .oneof(fc.bigInt(-limit, limit - 1n), fc.constantFrom(-limit, limit - 1n, 0n, -1n, 1n, 127n, -128n))
    .filter((value) => value >= -limit && value < limit)
    .map(String);
};

const varint = fc
  .oneof(
    fc.bigInt(-(2n ** 600n), 2n ** 600n),
    fc.bigInt(-300n, 300n),
    fc.tuple(fc.integer({ min: 0, max: 200 }), fc.bigInt(-2n, 2n)).map(([bits, d]) => 2n ** BigInt(bits) + d),
    fc.tuple(fc.integer({ min: 0, max: 200 }), fc.bigInt(-2n, 2n)).map(([bits, d]) => -(2n ** BigInt(bits)) + d),
  )
  .map(String);

const decimal = fc
  .tuple(varint, fc.oneof(fc.integer({ min: 0, max: 40 }), fc.integer({ min: -20, max: -1 }), fc.constant(16_383)))
  .map(([unscaled, scale]) => {
    const negative = unscaled.startsWith('-');
    return decimalText({ negative, digits: negative ? unscaled.slice(1) : unscaled, scale }) ?? '0';
  });

/** Characters that JSON, array literals and collations treat in their own way, beside any other but U+0000. */
const textValue = fc
  .oneof(
    fc.string({ unit: 'binary', maxLength: 20 }),
    fc.string({
      unit: fc.constantFrom(
        '"',
        '\\',
        '{',
        '}',
        ',',
        ' ',
        '\n',
        '\t',
        '\u0001',
        '\u007f',
        'é',
        'ß',
        'Z',
        'a',
        '𝄞',
        '￿',
        "'",
        'N',
      ),
    }),
    fc.constantFrom('', 'NULL', 'null', '\\x00', '\u2028', 'a'.repeat(3000)),
  )
  .filter((text) => !text.includes('\u0000') && !/\p{Cs}/u.test(text));

const milliseconds = fc.oneof(
  fc.bigInt(-210_866_803_200_000n, 9_224_318_015_999_999n),
  fc.bigInt(-62_200_000_000_000n, -62_000_000_000_000n),
  fc.bigInt(0n, 2_000_000_000_000n),
  fc.constantFrom(
    -210_866_803_200_000n,
    9_224_318_015_999_999n,
    8_640_000_000_000_000n,
    8_640_000_000_000_001n,
    0n,
    -1n,
  ),
);
const days = fc.oneof(
  fc.integer({ min: -2_440_588, max: 2_145_042_905 }),
  fc.integer({ min: -720_000, max: 0 }),
  fc.constantFrom(-2_440_588, 2_145_042_905, 0, -1, -719_528, -719_529, -719_162, 2_932_896, 2_932_897),
);
const nanoseconds = fc.bigInt(0n, 86_399_999_999_999n);
const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const uuid = bytes(16).map((value) =>
  Buffer.from(value)
    .toString('hex')
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5'),
);
const inet = fc.oneof(
  bytes(4).map(inetText),
  bytes(16).map(inetText),
  fc
    .array(fc.constantFrom(0, 0, 0, 1, 255), { minLength: 16, maxLength: 16 })
    .map((value) => inetText(Uint8Array.from(value))),
  fc.constantFrom('::', '::1', '::ffff:1.2.3.4', '::102:304', '1::', '255.255.255.255'),
);
const double = fc.oneof(
  fc.double(),
  fc.constantFrom(-0, 0, NaN, Infinity, -Infinity, 5e-324, 1.7976931348623157e308, 1e21, 1e-7),
);
const float = fc.oneof(
  fc.float(),
  fc.constantFrom(-0, 0, NaN, Infinity, -Infinity, 1.401298464324817e-45, 3.4028234663852886e38, Math.fround(1.1)),
);

const SCALARS: Readonly<Record<string, fc.Arbitrary<string>>> = {
  ascii: textValue.map((text) => text.replace(/\P{ASCII}/gu, '')),
  text: textValue,
  bigint: integer(64n),
  int: integer(32n),
  smallint: integer(16n),
  tinyint: integer(8n),
  varint,
  decimal,
  float: float.map(floatText),
  double: double.map(doubleText),
  boolean: fc.constantFrom('true', 'false'),
  date: days.map(dateText),
  // Any nanosecond; what `time` can't hold is for `check` to say.
  time: fc
    .oneof(
      nanoseconds,
      nanoseconds.map((ns) => ns - (ns % 1000n)),
    )
    .map((ns) => timeText(ns) ?? ''),
  timestamp: milliseconds.map(timestampText),
  uuid,
  timeuuid: uuid.map((text) => `${text.slice(0, 14)}1${text.slice(15)}`),
  inet,
  blob: fc.uint8Array({ maxLength: 40 }).map((value) => `\\x${Buffer.from(value).toString('hex')}`),
  duration: fc.constantFrom('1mo3d4ns', 'P1Y', ''),
};

export const SCALAR_NAMES = Object.keys(SCALARS);

function scalar(name: string): fc.Arbitrary<string> {
  const found = SCALARS[name];
  if (found === undefined) throw new Error(`no values of ${name}`);
  return found;
}

/** An element as it stands in JSON of any form; `canonicalText` makes it canonical. */
const quoted = (name: string) => scalar(name).map((text) => JSON.stringify(text));

const fields = { zip: 'int', street: 'text', a: 'decimal' } as const;
export const ADDRESS = parseCqlType('frozen<address>', () =>
  Object.entries(fields).map(([name, type]) => ({ name, type: parseCqlType(type) })),
);

const ELEMENT_NAMES = SCALAR_NAMES.filter((name) => name !== 'duration');

/** Collections of every scalar, and some nested ones: type text → JSON that `canonicalText` reads. */
function collections(): { typeText: string; type: Column['type']; values: fc.Arbitrary<string> }[] {
  const found: { typeText: string; type: Column['type']; values: fc.Arbitrary<string> }[] = [];
  const add = (typeText: string, json: fc.Arbitrary<string>, type = parseCqlType(typeText)): void => {
    found.push({ typeText, type, values: json.map((text) => canonicalText(type, text) ?? 'impossible') });
  };
  const list = (element: fc.Arbitrary<string>) =>
    fc.array(element, { maxLength: 4 }).map((items) => `[${items.join(',')}]`);
  for (const name of ELEMENT_NAMES) add(`list<${name}>`, list(quoted(name)));
  const entries = (key: string) =>
    fc.uniqueArray(fc.tuple(quoted(key), quoted('decimal')), { maxLength: 4, selector: ([k]) => k });
  add(
    'map<text, decimal>',
    entries('text').map((pairs) => `{${pairs.map(([k, v]) => `${k}:${v}`).join(',')}}`),
  );
  add(
    'map<int, decimal>',
    entries('int').map((pairs) => `[${pairs.map(([k, v]) => `[${k},${v}]`).join(',')}]`),
  );
  add(
    'tuple<int, text, double>',
    fc
      .tuple(quoted('int'), quoted('text'), fc.oneof(quoted('double'), fc.constant('null')))
      .map((parts) => `[${parts.join(',')}]`),
  );
  add(
    'address',
    fc
      .tuple(quoted('int'), quoted('text'), quoted('decimal'))
      .map(([zip, street, a]) => `{"a":${a},"zip":${zip},"street":${street}}`),
    ADDRESS,
  );
  add(
    'map<text, frozen<list<text>>>',
    fc.constantFrom('{"__proto__":["x"],"b":[],"aa":["\\n"]}', '{}', '{"10":["1"],"9":["2"]}'),
  );
  return found;
}

export const COLLECTIONS = collections();

export const vector3 = {
  type: parseCqlType('vector<float, 3>'),
  values: fc
    .array(quoted('float'), { minLength: 3, maxLength: 3 })
    .map((items) => canonicalText(parseCqlType('vector<float, 3>'), `[${items.join(',')}]`) ?? ''),
};

export const valuesOf = scalar;

export function columnOf(
  type: Column['type'],
  targetType: string,
  kind: ColumnKind = 'regular',
  allowLoss: string[] = [],
): Column {
  return { name: 'c', target: 'c', kind, descending: false, type, targetType, notNull: kind !== 'regular', allowLoss };
}
