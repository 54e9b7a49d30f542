import cassandra from 'cassandra-driver';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { changeIdOf } from '../change/changelog-entry.ts';
import { identify } from '../change/change-id.ts';
import { printCqlType } from '../change/parse-cql-type.ts';
import { createDebeziumCassandraDecoder } from '../decode/debezium-cassandra/index.ts';
import { capturedRecords, TABLES, type FixtureName } from '../../test/fixtures/debezium-cassandra/tables.ts';
import { Changelog, type LoggedChange } from './changelog-writer.ts';
import { BUCKET_MS, SLICES } from './changelog-table.ts';

const changelog = new Changelog({
  keyspace: 'shop',
  tables: {
    orders: { partitionKey: { customer: 'uuid' }, clusteringKey: { placed_at: 'timestamp', line: 'int' } },
    flat: { partitionKey: { id: 'int' } },
    odd: { partitionKey: { b: 'blob', d: 'decimal' }, clusteringKey: { i: 'inet', v: 'varint', x: 'decimal' } },
  },
});
const CUSTOMER = 'ABCDEF01-2345-6789-abcd-ef0123456789';
const idOf = (change: LoggedChange, writeTimeUs = 1_000_000n): string =>
  (changelog.entry(change, writeTimeUs).params[3] as Buffer).toString('hex');
const base = { writeTime: 1_000_000n, bounds: null };

describe('entries of the changelog', () => {
  it('have the ID of their change, whatever form the driver gives the key in', () => {
    const key = [CUSTOMER.toLowerCase(), '2026-11-01T10:00:00.000Z', '7'];
    const expected = changeIdOf({ ...base, table: 'shop.orders', kind: 'write', key });
    const at = new Date('2026-11-01T10:00:00Z');
    for (const given of [
      [CUSTOMER, at, 7],
      [cassandra.types.Uuid.fromString(CUSTOMER.toLowerCase()), at, 7],
    ]) {
      expect(idOf({ table: 'orders', kind: 'write', key: given })).toBe(expected);
    }
    const odd = [Buffer.from('00ff', 'hex'), '1.50', cassandra.types.InetAddress.fromString('10.0.0.1'), 12n, '2.50'];
    expect(idOf({ table: 'odd', kind: 'row-delete', key: odd })).toBe(
      // Of a clustering column 2.50 and 2.5 are one row, of a partition key they are two.
      changeIdOf({ ...base, table: 'shop.odd', kind: 'row-delete', key: ['\\x00ff', '1.50', '10.0.0.1', '12', '2.5'] }),
    );
  });

  it('have the ID of the event that the real connector made of the change', () => {
    let compared = 0;
    for (const [name, table] of Object.entries(TABLES)) {
      const types = (columns: typeof table.partitionKey) =>
        Object.fromEntries(columns.map((column) => [column.name, printCqlType(column.type)]));
      const own = new Changelog({
        keyspace: table.keyspace,
        tables: {
          [table.sourceTable]: { partitionKey: types(table.partitionKey), clusteringKey: types(table.clustering) },
        },
      });
      const decoder = createDebeziumCassandraDecoder(table);
      for (const record of capturedRecords(name as FixtureName)) {
        const decoded = decoder.decode(record);
        if (decoded.kind !== 'change') continue;
        const { change } = decoded;
        const key = 'key' in change ? change.key.values : change.partition.values;
        const logged: LoggedChange =
          change.kind === 'range-delete'
            ? { table: table.sourceTable, kind: change.kind, key, start: change.start, end: change.end }
            : { table: table.sourceTable, kind: change.kind, key };
        const { params } = own.entry(logged, change.writeTime);
        expect((params[3] as Buffer).toString('hex')).toBe(identify(change).id);
        compared += 1;
      }
    }
    expect(compared).toBeGreaterThan(50);
  });

  it('call the delete of a partition what the capture calls it', () => {
    expect(idOf({ table: 'flat', kind: 'partition-delete', key: [1] })).toBe(
      changeIdOf({ ...base, table: 'shop.flat', kind: 'row-delete', key: ['1'] }),
    );
    expect(idOf({ table: 'orders', kind: 'partition-delete', key: [CUSTOMER] })).toBe(
      changeIdOf({ ...base, table: 'shop.orders', kind: 'partition-delete', key: [CUSTOMER.toLowerCase()] }),
    );
  });

  it('tell range deletes apart by their bounds', () => {
    const at = new Date('2026-11-01T10:00:00Z');
    const range = (inclusive: boolean) =>
      idOf({
        table: 'orders',
        kind: 'range-delete',
        key: [CUSTOMER],
        start: { values: [at, 1], inclusive },
        end: { values: [at], inclusive: true },
      });
    const bounds = {
      start: { values: ['2026-11-01T10:00:00.000Z', '1'], inclusive: true },
      end: { values: ['2026-11-01T10:00:00.000Z'], inclusive: true },
    };
    const key = [CUSTOMER.toLowerCase()];
    expect(range(true)).toBe(changeIdOf({ ...base, table: 'shop.orders', kind: 'range-delete', key, bounds }));
    expect(range(false)).not.toBe(range(true));
  });

  it('are refused where the key does not fit: no entry is better than a wrong one', () => {
    const refused: LoggedChange[] = [
      { table: 'flat', kind: 'write', key: ['one'] },
      { table: 'flat', kind: 'write', key: [null] },
      { table: 'flat', kind: 'write', key: [1, 2] },
      { table: 'orders', kind: 'write', key: [CUSTOMER] },
      { table: 'orders', kind: 'partition-delete', key: [CUSTOMER, new Date(), 1] },
      { table: 'nowhere', kind: 'write', key: [1] },
    ];
    for (const change of refused) expect(() => changelog.entry(change, 1n)).toThrow(/can not be|has the key|no table/);
  });

  it('go into one logged batch at one write time, which rises though the clock goes back', () => {
    let nowMs = 1_000;
    const own = new Changelog({
      keyspace: 'shop',
      tables: { flat: { partitionKey: { id: 'int' } } },
      nowMs: () => nowMs,
    });
    const statement = (id: number) => ({
      query: 'UPDATE shop.flat SET v = ? WHERE id = ?',
      params: ['x', id],
      change: { table: 'flat', kind: 'write' as const, key: [id] },
    });
    const first = own.batch([statement(1), { ...statement(2), writeTimeUs: 5n }]);
    expect(first.options).toEqual({ prepare: true, logged: true, timestamp: 1_000_000 });
    expect(first.queries).toHaveLength(4);
    const ids = first.queries.slice(2).map(({ params }) => (params[3] as Buffer).toString('hex'));
    const change = { table: 'shop.flat', kind: 'write' as const, bounds: null };
    expect(ids).toEqual([
      changeIdOf({ ...change, key: ['1'], writeTime: 1_000_000n }),
      changeIdOf({ ...change, key: ['2'], writeTime: 5n }),
    ]);
    nowMs = 900;
    expect(own.batch([statement(1)]).options.timestamp).toBe(1_000_001);
  });

  it('spread evenly over the slices of their minute, however few rows are written', () => {
    const seen = new Map<number, number>();
    fc.assert(
      fc.property(fc.integer({ min: 0, max: BUCKET_MS * 1000 - 1 }), (us) => {
        const { params } = changelog.entry({ table: 'flat', kind: 'write', key: [1] }, BigInt(us));
        expect(params[1]).toBe(0);
        seen.set(params[2] as number, (seen.get(params[2] as number) ?? 0) + 1);
      }),
      { numRuns: 3_200 },
    );
    expect(seen.size).toBe(SLICES);
    expect(Math.max(...seen.values())).toBeLessThan(2 * (3_200 / SLICES));
  });
});
