import { describe, expect, test } from 'vitest';
import { capturedRecords, TABLES, type FixtureName } from '../../../test/fixtures/debezium-cassandra/tables.ts';
import { rowKey, type Bound, type Cell, type ChangeEvent } from '../../change/change-event.ts';
import type { Decoded } from '../record.ts';
import { createDebeziumCassandraDecoder } from './index.ts';

/**
 * What a real connector emitted, record by record, and what it means. The expectations come from the CQL that was run
 * and from the rules in docs, not from the decoder.
 */

/** A written cell: text, null for a tombstone, [text, expiry]. */
type Written = string | null | readonly [string, bigint];

function change(value: ChangeEvent): Decoded {
  return { kind: 'change', change: value, contents: null };
}

/** What was decoded, without the text it was read from. */
function withoutContents(decoded: Decoded): Decoded {
  return decoded.kind === 'change' ? { ...decoded, contents: null } : decoded;
}

function eventsOf(name: FixtureName) {
  const table = TABLES[name];
  const cells = (writeTime: bigint, written: Readonly<Record<string, Written>>): (Cell | null)[] => {
    const unknown = Object.keys(written).filter((column) => !table.regular.some((regular) => regular.name === column));
    if (unknown.length > 0) throw new Error(`the test names unknown columns: ${unknown.join(', ')}`);
    return table.regular.map((column) => {
      const cell = written[column.name];
      if (cell === undefined) return null;
      if (cell === null || typeof cell === 'string') return { writeTime, value: cell, expiry: null };
      return { writeTime, value: cell[0], expiry: cell[1] };
    });
  };
  const base = (writeTime: bigint) => ({ table: table.name, writeTime, ambiguity: null });
  return {
    insert: (at: bigint, key: string[], written: Readonly<Record<string, Written>>, expiry: bigint | null = null) =>
      change({
        ...base(at),
        kind: 'write',
        key: rowKey(key),
        marker: { writeTime: at, expiry },
        cells: cells(at, written),
      }),
    update: (at: bigint, key: string[], written: Readonly<Record<string, Written>>) =>
      change({ ...base(at), kind: 'write', key: rowKey(key), marker: null, cells: cells(at, written) }),
    ambiguous: (ambiguity: 'multi-cell-update' | 'duration', decoded: Decoded): Decoded =>
      decoded.kind === 'change' ? change({ ...decoded.change, ambiguity }) : decoded,
    rowDelete: (at: bigint, key: string[]) => change({ ...base(at), kind: 'row-delete', key: rowKey(key) }),
    partitionDelete: (at: bigint, key: string[]) =>
      change({ ...base(at), kind: 'partition-delete', partition: rowKey(key) }),
    rangeDelete: (at: bigint, key: string[], start: Bound, end: Bound) =>
      change({ ...base(at), kind: 'range-delete', partition: rowKey(key), start, end }),
  };
}

const incl = (...values: string[]): Bound => ({ values, inclusive: true });
const excl = (...values: string[]): Bound => ({ values, inclusive: false });

function people(): Decoded[] {
  const { insert, update, rowDelete } = eventsOf('people');
  const id = (tail: string): string[] => [`00000000-0000-0000-0000-000000000${tail}`];
  const snapshot = insert(1000000000000001n, id('001'), { age: '1', email: 's@x', name: 'snap' });
  const ttlSnapshot = insert(1795251095961000n, id('002'), { name: ['ttlsnap', 1795254695000000n] }, 1795254695000000n);
  return [
    insert(1795251184999000n, id('101'), { age: '30', email: 'a@x', name: 'ann' }),
    update(1795251185007000n, id('101'), { age: '31' }),
    update(1795251185011000n, id('101'), { email: null }),
    update(1795251185014000n, id('101'), { name: null }),
    // Without clustering columns a partition delete is a row delete.
    rowDelete(1795251185018000n, id('101')),
    insert(1795251185029000n, id('102'), { name: 'lwt' }),
    update(1795251185070000n, id('102'), { name: 'lwt2' }),
    insert(1795251854234000n, id('3ab'), { name: '' }),
    snapshot,
    snapshot,
    insert(
      1795251185116000n,
      id('105'),
      { age: ['5', 1795251785000000n], name: ['ttl', 1795251785000000n] },
      1795251785000000n,
    ),
    // Two cells written at 1000 and 5000 in one batch: one event, one time (facts).
    update(5000n, id('106'), { age: '5', name: 'n@1000' }),
    insert(1795251859706000n, id('9ff'), { name: 'last' }),
    rowDelete(1795251185085000n, id('103')),
    ttlSnapshot,
    ttlSnapshot,
    // DELETE at 1000 and INSERT at 2000 in one batch: the delete says ts_us 2000, its cells 1000.
    rowDelete(1000n, id('104')),
    insert(2000n, id('104'), { name: 'del@1000+ins@2000' }),
    insert(1795251185129000n, id('107'), {}),
    insert(1795251854183000n, id('2aa'), { name: 'with plain table' }),
    insert(1795251854214000n, id('3aa'), { name: 'é😀' }),
    insert(1795251917117000n, id('3ad'), { name: 'alt2', phone: '555' }),
  ];
}

function orders(): Decoded[] {
  const { insert, update, ambiguous, rowDelete, partitionDelete, rangeDelete } = eventsOf('orders');
  const key = ['acme', '2026-11-01', '1'];
  const partial = (at: bigint, written: Readonly<Record<string, Written>>): Decoded =>
    ambiguous('multi-cell-update', update(at, key, written));
  return [
    ambiguous(
      'duration',
      insert(1795251185133000n, key, {
        addr: '{"street":"s","zip":1}',
        attrs: '{"k":"v"}',
        b: '\\xdeadbeef',
        big: '9223372036854775807',
        created: '2026-11-21T01:02:03.456Z',
        d: '2.5',
        dur: '2851200000000004',
        f: '1.5',
        fl: '[1,2]',
        im: '[[1,"one"]]',
        ip: '10.0.0.1',
        notes: '["x","y"]',
        ok: 'true',
        t: '01:02:03.000000004',
        tags: '["a","b"]',
        total: '123456789012345678901234567890.12345',
        tu: 'f73da000-e588-11f1-a58b-79db87becf7a',
        tup: '[1,"t"]',
        u: '00000000-0000-0000-0000-000000000101',
        vi: '123456789012345678901234567890',
      }),
    ),
    partial(1795251185155000n, { tags: '["c"]' }),
    partial(1795251185164000n, { tags: '["a"]' }),
    partial(1795251185172000n, { tags: '["z"]' }),
    partial(1795251185175999n, { tags: '[]' }),
    partial(1795251185180000n, { attrs: '{"k2":"v2"}' }),
    partial(1795251185184000n, { attrs: '{"k":""}' }),
    partial(1795251185186000n, { notes: '["z"]' }),
    partial(1795251185187000n, { notes: '["X"]' }),
    insert(1795251185193000n, ['acme', '2026-11-02', '2'], { f: '0' }),
    rowDelete(1795251185194000n, key),
    // ts_us says 862 (the insert of the same batch), the cells 861.
    partitionDelete(861n, ['pp']),
    rangeDelete(1795251185196000n, ['acme'], incl('2026-11-02'), incl('2026-11-02')),
    rangeDelete(1795251185198000n, ['acme'], incl('2026-11-03'), excl('2026-11-05')),
    insert(862n, ['pp', '2026-11-01', '1'], {}),
    partitionDelete(1795251185203000n, ['acme']),
  ];
}

function t1(): Decoded[] {
  const { insert, update, rangeDelete } = eventsOf('t1');
  return [
    insert(1795251917038000n, ['1', '1', 'a'], {
      a: 'asc',
      d: '-Infinity',
      f: 'NaN',
      fm: '{"a":1}',
      si: '-300',
      ti: '-5',
      v: 'v',
    }),
    update(1795251917047000n, ['1', '1', 'a'], { v: ['ttl-cell', 1795252017000000n] }),
    update(1795251917055000n, ['1', '1', 'a'], { v: 'nottl' }),
    rangeDelete(1795251917061000n, ['1'], excl('5'), incl()),
    rangeDelete(1795251917068000n, ['1'], excl('2'), incl('5')),
    rangeDelete(1795251917073000n, ['1'], excl('1', 'b'), incl('3', 'z')),
    update(1795251917078000n, ['3', '2', 'a'], { v: 'y' }),
    insert(1795251917094000n, ['6', '1', 'a'], { v: 'v' }),
    update(1795251917078000n, ['4', '2', 'a'], { v: 'other partition' }),
    update(1795251917078000n, ['3', '1', 'a'], { v: 'x' }),
  ];
}

function dpk(): Decoded[] {
  const { insert } = eventsOf('dpk');
  const key = (uuid: string): string[] => ['2026-11-21', '2026-11-21T00:00:00.500Z', uuid];
  return [
    insert(1795251854208000n, key('8607c620-e58a-11f1-a58b-79db87becf7a'), { v: 'v' }),
    insert(1795251917099000n, key('ab8454e0-e58a-11f1-a58b-79db87becf7a'), { v: 'v2' }),
  ];
}

function descT(): Decoded[] {
  const { insert, rangeDelete } = eventsOf('desc_t');
  const row = insert(1795251185204000n, ['k', '5'], { v: 'v' });
  // ck >= 2 AND ck < 7 under CLUSTERING ORDER BY (ck DESC): 7 comes first.
  const range = rangeDelete(1795251185206000n, ['k'], excl('7'), incl('2'));
  return [row, row, range, range];
}

function blobpk(): Decoded[] {
  const { insert } = eventsOf('blobpk');
  const row = insert(1795251185208000n, ['\\x0102', 'x'], { v: 'v' });
  return [row, row];
}

const EXPECTED: Readonly<Record<FixtureName, Decoded[]>> = {
  people: people(),
  orders: orders(),
  t1: t1(),
  dpk: dpk(),
  desc_t: descT(),
  blobpk: blobpk(),
};

describe.each(Object.entries(EXPECTED))('%s.jsonl', (name, expected) => {
  const records = capturedRecords(name as FixtureName);
  const decoder = createDebeziumCassandraDecoder(TABLES[name as FixtureName]);

  test('every record has an expectation', () => {
    expect(records).toHaveLength(expected.length);
  });

  test.each(expected.map((event, index) => [index + 1, event] as const))('line %i', (line, event) => {
    const record = records[line - 1];
    if (record === undefined) throw new Error(`no line ${line}`);
    // Cold (general reading) and warm (scanner) must say the same.
    const cold = createDebeziumCassandraDecoder(TABLES[name as FixtureName]);
    for (const each of [cold, decoder, decoder]) expect(withoutContents(each.decode(record))).toEqual(event);
  });
});
