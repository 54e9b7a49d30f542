import { parse } from 'lossless-json';
import { describe, expect, it } from 'vitest';
import { fromCassandra } from '../../src/demo/proof/cassandra-value.ts';
import { checkLedger } from '../../src/demo/proof/check-ledger.ts';
import { compareTables, mismatchesOf } from '../../src/demo/proof/compare-tables.ts';
import { parseProofType } from '../../src/demo/proof/cql-type.ts';
import { changeIdentity } from '../../src/demo/proof/envelope.ts';
import type { LedgerSegment } from '../../src/demo/proof/ledger-account.ts';
import type { LogAccount } from '../../src/demo/proof/log-account.ts';
import { fromPostgres } from '../../src/demo/proof/postgres-value.ts';
import { verdictOf } from '../../src/demo/proof/prove.ts';
import { ImageBuilder, type PlainRow, type ProofColumn, type TableImage } from '../../src/demo/proof/source-rows.ts';

const UDTS = new Map([
  [
    'dimensions',
    [
      { name: 'width_mm', type: 'int' },
      { name: 'weight_kg', type: 'decimal' },
    ],
  ],
]);
const cassandra = (type: string, json: string) => fromCassandra(parseProofType(type, UDTS), parse(json));
const postgres = (type: string, text: string) => fromPostgres(parseProofType(type, UDTS), text);

describe('values printed by both databases', () => {
  it.each([
    ['text', '"null"', 'null'],
    ['text', '"é \\ud83d\\udc80 \\" \\\\ \\n"', 'é 💀 " \\ \n'],
    ['bigint', '9223372036854775807', '9223372036854775807'],
    ['varint', '-123456789012345678901234567890', '-123456789012345678901234567890'],
    ['decimal', '1.00', '1.00'],
    ['decimal', '1E-40', `0.${'0'.repeat(39)}1`],
    ['decimal', '1E+3', '1000'],
    ['decimal', '-0.000000001', '-0.000000001'],
    ['double', '4.9E-324', '5e-324'],
    ['double', '1.0E21', '1e+21'],
    ['double', '-0.0', '-0'],
    ['double', '"NaN"', 'NaN'],
    ['double', '"-Infinity"', '-Infinity'],
    ['float', '3.4028235E38', '3.4028235e+38'],
    ['float', '0.1', '0.1'],
    ['boolean', 'true', 'true'],
    ['date', '"0001-01-01"', '0001-01-01'],
    ['time', '"01:02:03.000456000"', '01:02:03.000456'],
    ['time', '"23:59:59.999999000"', '23:59:59.999999'],
    ['timestamp', '"1969-12-31 23:59:59.999Z"', '1969-12-31 23:59:59.999+00'],
    ['timestamp', '"0001-01-01 00:00:00.000Z"', '0001-01-01 00:00:00+00'],
    ['uuid', '"ABCDEF00-0000-4000-8000-000000000001"', 'abcdef00-0000-4000-8000-000000000001'],
    ['inet', '"2001:db8:0:0:0:0:0:1"', '2001:db8::1/128'],
    ['inet', '"10.0.0.1"', '10.0.0.1/32'],
    ['inet', '"0:0:0:0:0:0:0:0"', '::/128'],
    ['blob', '"0x"', '\\x'],
    ['blob', '"0x00ff"', '\\x00ff'],
    ['frozen<set<text>>', '["a", "é"]', '["é", "a"]'],
    ['frozen<list<int>>', '[2, 1]', '[2, 1]'],
    ['frozen<map<text, decimal>>', '{"b": 1.00, "a": 2}', '{"a": 2, "b": 1.00}'],
    ['frozen<map<int, bigint>>', '{"-1": 9223372036854775807}', '[[-1, 9223372036854775807]]'],
    ['frozen<dimensions>', '{"width_mm": 1, "weight_kg": null}', '{"weight_kg": null, "width_mm": 1}'],
    [
      'frozen<list<frozen<dimensions>>>',
      '[{"width_mm": 1, "weight_kg": 0.50}]',
      '[{"width_mm": 1, "weight_kg": 0.50}]',
    ],
    ['frozen<tuple<int, text, double>>', '[1, null, 1.0E-5]', '[1, null, 0.00001]'],
  ])('%s %s is %s', (type, json, text) => {
    expect(cassandra(type, json)).toBe(postgres(type, text));
  });

  it.each([
    ['decimal', '1.0', '1.00'],
    ['decimal', '1', '-1'],
    ['bigint', '9223372036854775807', '9223372036854775806'],
    ['double', '0.0', '-0'],
    ['double', '0.1', '0.10000000000000002'],
    ['text', '""', ' '],
    ['blob', '"0x00"', '\\x'],
    ['timestamp', '"2026-11-01 00:00:00.001Z"', '2026-11-01 00:00:00.002+00'],
    ['time', '"01:02:03.000000001"', '01:02:03'],
    ['frozen<list<int>>', '[1, 2]', '[2, 1]'],
    ['frozen<list<int>>', '[1]', '[1, 1]'],
    ['frozen<set<text>>', '["a"]', '["a", "b"]'],
    ['frozen<map<text, int>>', '{"a": 1}', '{"a": 2}'],
    ['frozen<dimensions>', '{"width_mm": 1, "weight_kg": null}', '{"width_mm": 1, "weight_kg": 0}'],
  ])('%s %s is not %s', (type, json, text) => {
    expect(cassandra(type, json)).not.toBe(postgres(type, text));
  });

  it('tells null from every value', () => {
    expect(cassandra('text', 'null')).toBeNull();
    expect(fromPostgres(parseProofType('text', UDTS), null)).toBeNull();
    expect(cassandra('frozen<list<int>>', '[]')).not.toBeNull();
  });
});

const COLUMNS: ProofColumn[] = [
  { name: 'id', type: { kind: 'scalar', name: 'int' }, kind: 'partition_key', isKey: true },
  { name: 'a', type: { kind: 'scalar', name: 'text' }, kind: 'regular', isKey: false },
];

function image(rows: readonly PlainRow[]): TableImage {
  const builder = new ImageBuilder(COLUMNS);
  for (const row of rows) builder.add((_, index) => row[index] ?? null);
  return builder.image;
}

describe('the comparison of a table', () => {
  it('counts what is missing, extra and different', () => {
    const source = image([
      ['1', 'x'],
      ['2', 'y'],
      ['3', null],
      ['4', 'z'],
    ]);
    const target = image([
      ['1', 'x'],
      ['2', 'Y'],
      ['3', ''],
      ['5', 'z'],
    ]);
    const found = compareTables(COLUMNS, source, target);
    expect(found).toMatchObject({ rowsSource: 4, rowsTarget: 4, missing: 1, extra: 1, differing: 2, unreadable: 0 });
    expect(mismatchesOf(found)).toBe(4);
    expect(verdictOf([found], [])).toBe('DRIFT');
  });

  it('passes only where rows were compared and all could be read', () => {
    const same = compareTables(COLUMNS, image([['1', 'x']]), image([['1', 'x']]));
    expect(verdictOf([same], [])).toBe('PASS');
    expect(verdictOf([same], [{ name: 'ledger', ok: false, found: '' }])).toBe('DRIFT');
    expect(verdictOf([], [])).toBe('INCONCLUSIVE');
    expect(verdictOf([compareTables(COLUMNS, image([]), image([]))], [])).toBe('INCONCLUSIVE');
    expect(verdictOf([{ ...same, unreadable: 1 }], [])).toBe('INCONCLUSIVE');
  });
});

const ID = (number: number): string => String(number).padStart(32, '0');

function segment(from: number, next: number, fields: Partial<LedgerSegment> = {}): LedgerSegment {
  const ids = Array.from({ length: next - from }, (_, index) => ID(from + index));
  return {
    topic: 't',
    incarnation: 1,
    partition: 0,
    from: BigInt(from),
    next: BigInt(next),
    records: next - from,
    duplicates: 0,
    skipped: 0,
    processed: ids.length,
    filtered: 0,
    deadLettered: 0,
    ids,
    outcomes: ids.length,
    ...fields,
  };
}

function log(changes: readonly (string | null)[]): LogAccount {
  const records = changes.map((change, index) => ({ offset: BigInt(index), change }));
  return {
    shards: [{ topic: 't', partition: 0, start: 0n, end: BigInt(changes.length), records }],
    foreign: new Map(),
  };
}

const failing = (account: LogAccount, ledger: LedgerSegment[]) =>
  checkLedger(account, ledger).checks.flatMap(({ name, ok }) => (ok ? [] : [name]));

describe('the account of the ledger', () => {
  const four = log(['a', 'b', 'c', 'd']);

  it('holds where every record is in one segment', () => {
    expect(failing(four, [segment(0, 1), segment(1, 4)])).toEqual([]);
  });

  it('finds a hole, an overlap, and an end that was not reached', () => {
    expect(failing(four, [segment(0, 1), segment(2, 4)])).toContain('every offset is in exactly one ledger segment');
    expect(failing(four, [segment(0, 3), segment(2, 4)])).toContain('every offset is in exactly one ledger segment');
    expect(failing(four, [segment(0, 3)])).toContain('every offset is in exactly one ledger segment');
  });

  it('finds a record that was not counted and a change without an ID', () => {
    expect(failing(four, [segment(0, 4, { records: 3 })])).toEqual(['every record is counted']);
    const ids = [ID(0), ID(1), ID(2)];
    expect(failing(four, [segment(0, 4, { ids, processed: 3, outcomes: 3 })])).toEqual([
      'every change of a segment has its ID',
      'every change was processed',
    ]);
  });

  it('takes copies for one change, within a segment and across', () => {
    const copies = log(['a', 'a', 'b', 'a']);
    const ledger = [
      segment(0, 3, { ids: [ID(0), ID(2)], processed: 2, outcomes: 2, duplicates: 1 }),
      segment(3, 4, { ids: [ID(0)], processed: 1, outcomes: 1 }),
    ];
    expect(failing(copies, ledger)).toEqual([]);
    expect(checkLedger(copies, ledger).totals).toMatchObject({ records: 4, changes: 2, duplicates: 1 });
  });
});

describe('changes that were replayed', () => {
  it('are in the ledger beside those that came as records, and once where they came as both', () => {
    const { totals, ids, checks } = checkLedger(log(['a']), [segment(0, 1)], new Set([ID(0), ID(9)]));
    expect(checks.every(({ ok }) => ok)).toBe(true);
    expect(totals).toMatchObject({ changes: 2, replayed: 1 });
    expect(ids).toEqual(new Set([ID(0), ID(9)]));
  });
});

describe('the identity of a change', () => {
  const event = (op: string, tsUs: number, after: unknown): Buffer =>
    Buffer.from(JSON.stringify({ op, source: { ts_us: tsUs }, after }));
  const key = Buffer.from('{"id":1}');

  it('is one for an insert and its copy, another for another time or kind', () => {
    const insert = changeIdentity('t', key, event('i', 5, { a: null }));
    expect(changeIdentity('t', key, event('u', 5, { a: { value: 1, deletion_ts: null } }))).toBe(insert);
    expect(changeIdentity('t', key, event('i', 6, { a: null }))).not.toBe(insert);
    expect(changeIdentity('t', key, event('d', 5, { a: null }))).not.toBe(insert);
  });

  it("takes a delete's time from its cells", () => {
    const cells = { id: { value: 1, deletion_ts: null }, a: { value: null, deletion_ts: 3 } };
    expect(changeIdentity('t', key, event('d', 5, cells))).toBe(changeIdentity('t', key, event('d', 9, cells)));
  });

  it('is null for bytes that are no event', () => {
    expect(changeIdentity('t', key, Buffer.from([0xff, 0x00]))).toBeNull();
    expect(changeIdentity('t', null, event('i', 5, {}))).toBeNull();
  });
});
