import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { rowKey } from '../../change/change-event.ts';
import { pack, type PackedRow } from '../../change/packed-rows.ts';
import { parseCqlType } from '../../change/parse-cql-type.ts';
import { isMultiCell } from '../../change/source-type.ts';
import { allowedTargets } from '../../catalog/type-mapping.ts';
import { LockstepError } from '../../shared/errors.ts';
import { ScannedRows } from '../../source/scanned-rows.ts';
import { scanQuery } from '../../source/scan-queries.ts';
import type { BoundTable } from '../../target/bound-table.ts';
import { imageFrom, valuesFrom } from '../../target/row-codec.ts';
import { boundWithoutServer } from '../../../test/support/bound-table.ts';
import { column, tableOf } from '../../../test/support/door-rig.ts';
import { copied } from '../../../test/support/copy-text.ts';
import { NOW_US } from '../../../test/support/two-sides.ts';
import { digestOfRow } from './row-digest.ts';
import { encoderOf, type EncodedRow } from './row-encoder.ts';
import { shownBySource, shownByTarget } from './row-images.ts';

/** Values of every type with their bytes, as the real classes serialise them. */
const KNOWN = new Map(
  (
    JSON.parse(
      readFileSync(
        join(import.meta.dirname, '../../../test/fixtures/debezium-cassandra/cassandra-values.json'),
        'utf8',
      ),
    ) as readonly { readonly type: string; readonly values: readonly { readonly bytes: string }[] }[]
  ).map(({ type, values }) => [type, values.map(({ bytes }) => Buffer.from(bytes, 'hex'))]),
);
const COLUMN_TYPES = [
  ...['text', 'int', 'bigint', 'smallint', 'boolean', 'decimal', 'varint', 'timestamp', 'date', 'time', 'uuid', 'blob'],
  ...['inet', 'double', 'float', 'set<text>', 'frozen<list<int>>'],
];

const usual = (type: string, kind: 'partition' | 'clustering' | 'regular'): string =>
  allowedTargets(parseCqlType(type), kind)[0]!.base;
const table = tableOf(
  'encoded',
  [
    column('p', 'partition', parseCqlType('text'), 'text'),
    column('q', 'partition', parseCqlType('int'), 'integer'),
    column('c', 'clustering', parseCqlType('timestamp'), usual('timestamp', 'clustering')),
    ...COLUMN_TYPES.map((type, i) => column(`v${i}`, 'regular', parseCqlType(type), usual(type, 'regular'))),
    // The target shows another text than the source: 5E+3 as 5000, 1.5 as 1.500.
    column('scaled', 'regular', parseCqlType('decimal'), 'numeric(20,3)'),
  ],
  { rereads: { mode: 'apply', existenceChecks: true } },
);

let bound: BoundTable;
let read: ScannedRows;
beforeAll(async () => {
  bound = await boundWithoutServer(table);
  read = new ScannedRows(table, scanQuery(table));
});

/** All that is seen of an encoded row. */
const seen = (row: EncodedRow | null) =>
  row === null
    ? null
    : { key: row.key, partition: row.partition(bound.table.partitionKey.length), digest: row.digest, lasts: row.lasts };

const names = (): readonly string[] => bound.regular.map(({ column: { name } }) => name);
const int32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
};
const int64 = (value: bigint): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(value);
  return bytes;
};

const bytes = fc.uint8Array({ maxLength: 9 }).map((each) => Buffer.from(each));
/** Mostly values; now and then bytes that are none, an expiry, a null. */
function cellsOf(type: string): fc.Arbitrary<readonly (Buffer | null)[]> {
  const known = KNOWN.get(type) ?? KNOWN.get(`frozen<${type}>`) ?? [];
  const parsed = parseCqlType(type);
  const elementTtls = (ttl: Buffer | null): Buffer =>
    ttl === null ? Buffer.concat([int32(1), int32(-1)]) : Buffer.concat([int32(2), int32(-1), int32(4), ttl]);
  const value = known.length === 0 ? bytes : fc.oneof({ weight: 80, arbitrary: fc.constantFrom(...known) }, bytes);
  const ttl = fc.oneof({ weight: 80, arbitrary: fc.constant(null) }, fc.constant(int32(500)));
  return fc.option(fc.tuple(value, ttl), { nil: null, freq: 6 }).map((cell) => {
    if (cell === null) return [null, null, null];
    return [cell[0], int64(7n), isMultiCell(parsed) ? elementTtls(cell[1]) : cell[1]];
  });
}
const sourceRow: fc.Arbitrary<PackedRow> = fc
  .tuple(
    fc.string({ unit: 'binary', maxLength: 8 }),
    fc.integer(),
    fc.bigInt({ min: -(10n ** 14n), max: 10n ** 14n }),
    fc.tuple(...[...COLUMN_TYPES, 'decimal'].map(cellsOf)),
  )
  .map(([p, q, c, cells]) => ({
    rows: pack([[Buffer.from(p, 'utf8'), int32(q), int64(c), int64(1n), int64(2n), ...cells.flat()]]),
    index: 0,
  }));

describe('a row of the source by its bytes', () => {
  it('has the digest of what it shows, or is left to those who look closer', () => {
    let encodedRows = 0;
    fc.assert(
      fc.property(sourceRow, (row) => {
        const encoded = encoderOf(bound).source(row);
        let key;
        let cells;
        try {
          key = read.key(row);
          cells = read.cells(row, NOW_US / 1_000_000n);
        } catch (error) {
          expect(error).toBeInstanceOf(LockstepError);
          expect(encoded).toBeNull();
          return;
        }
        const shown = shownBySource(bound, key.values, { cells }, NOW_US);
        const slow = encoderOf(bound).shown(shown);
        expect(seen(slow)).toMatchObject({ digest: digestOfRow(names(), shown), lasts: false });
        const hasExpiry = cells.some((cell) => cell !== null && cell.expiry !== null);
        expect(encoded === null).toBe(hasExpiry);
        if (encoded !== null) {
          expect(seen(encoded)).toEqual({ ...seen(slow), lasts: true });
          expect(encoded.isSame(slow)).toBe(true);
        }
        encodedRows += encoded === null ? 0 : 1;
      }),
      { numRuns: 3000 },
    );
    expect(encodedRows).toBeGreaterThan(500);
  });
});

const lineOf = (texts: readonly (string | null)[], lasts: boolean) => ({ rows: copied([texts]), index: 0, lasts });

/** Texts as PostgreSQL prints them. */
const STORED: Readonly<Record<string, readonly string[]>> = {
  text: ['', 'a', 'ß"\\', 'null'],
  int: ['0', '-5', '2147483647'],
  bigint: ['9223372036854775807', '-1'],
  smallint: ['-32768'],
  boolean: ['t', 'f'],
  decimal: ['1.00', '-0.5', '5000'],
  varint: ['-12345678901234567890'],
  timestamp: ['2026-11-29 23:59:59.5+00', '2026-11-29 00:00:00+00', '0044-03-15 00:00:00+00 BC', 'infinity'],
  date: ['2026-11-29', '0044-03-15 BC'],
  time: ['23:59:59.5', '00:00:00'],
  uuid: ['00000000-0000-1000-8000-000000000000'],
  blob: ['\\x', '\\x00ff'],
  inet: ['127.0.0.1', '::1'],
  double: ['1e+20', '-0', 'NaN', '0.1'],
  float: ['1e+20', '1.5'],
  'set<text>': ['["a", "b"]', '[]'],
  'frozen<list<int>>': ['[1, 2]'],
};
const targetLine = fc
  .tuple(
    fc.constantFrom('', 'k', 'ß'),
    fc.integer().map(String),
    fc.constantFrom(...STORED['timestamp']!.slice(0, 2)),
    fc.tuple(
      ...[...COLUMN_TYPES, 'decimal'].map((type) =>
        fc.option(fc.constantFrom(...STORED[type]!), { nil: null, freq: 5 }),
      ),
    ),
  )
  .map(([p, q, c, values]) => [p, q, c, ...values]);

describe('a row of the target by its texts', () => {
  it('has the digest of what it shows', () => {
    fc.assert(
      fc.property(targetLine, (texts) => {
        const line = [...texts, '{5,5}', null, '1'];
        const encoded = encoderOf(bound).target(lineOf(line, true));
        const key = rowKey(bound.keys.map(({ mapping }, i) => mapping.fromTarget(line[i] ?? '')));
        const at = bound.keys.length;
        const row = { state: imageFrom(bound, line, at), values: valuesFrom(bound, line, at) };
        const shown = shownByTarget(bound, key.values, row, NOW_US);
        expect(seen(encoded)).toEqual({ ...seen(encoderOf(bound).shown(shown)), lasts: true });
        expect(encoded?.digest).toBe(digestOfRow(names(), shown));
        expect(encoderOf(bound).target(lineOf(line, false))).toBeNull();
      }),
      { numRuns: 1000 },
    );
  });

  it('is found by the key that the source has for it', () => {
    const row = {
      rows: pack([[...keyCells('k', 5, 0n), ...new Array<null>(3 * bound.regular.length).fill(null)]]),
      index: 0,
    };
    const line = [
      'k',
      '5',
      '1970-01-01 00:00:00+00',
      ...new Array<null>(bound.regular.length).fill(null),
      '{5}',
      null,
      '1',
    ];
    const [left, right] = [encoderOf(bound).source(row), encoderOf(bound).target(lineOf(line, true))];
    expect(seen(left)).toEqual(seen(right));
    expect(left!.isSame(right!)).toBe(true);
    const other = {
      rows: pack([[...keyCells('k', 5, 1n), ...new Array<null>(3 * bound.regular.length).fill(null)]]),
      index: 0,
    };
    const elsewhere = encoderOf(bound).source(other);
    expect(elsewhere!.isSame(left!)).toBe(false);
    expect(elsewhere?.key).not.toBe(left?.key);
    expect(elsewhere?.partition(2)).toBe(left?.partition(2));
  });
});

const keyCells = (p: string, q: number, c: bigint): readonly Buffer[] => [
  Buffer.from(p),
  int32(q),
  int64(c),
  int64(1n),
  int64(2n),
];
