/** The model of Cassandra says what was observed on a real one, and its envelopes are the captured ones to the byte. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { CassandraModel, keyText } from '../model/cassandra.ts';
import { envelopeOf } from '../model/envelope.ts';
import type { Mutation, Written } from '../model/mutation.ts';
import type { CqlName, ModelColumn, ModelSchema } from '../model/schema.ts';

function column(name: string, type: CqlName, descending = false): ModelColumn {
  return { name, type, descending, domain: [] };
}

function schema(name: string, columns: Partial<ModelSchema>): ModelSchema {
  return { name, partitionKey: [], clustering: [], regular: [], usesTtl: true, isAsked: false, ...columns };
}

function tied(type: CqlName, ...cells: readonly { value: Written; expiry?: bigint }[]): (string | null)[] {
  const table = schema('t', { partitionKey: [column('k', 'int')], regular: [column('v', type)] });
  return [cells, cells.toReversed()].map((order) => {
    const model = new CassandraModel(table);
    for (const { value, expiry } of order) {
      model.apply({ kind: 'insert', key: ['1'], cells: [value], expiry: expiry ?? null, time: 5n });
    }
    return model.read(keyText(['1']), 0n)?.cells[0]?.value ?? null;
  });
}

describe('equal write times', () => {
  it('tombstone, expiring, later expiry, larger bytes: as observed, whatever came first', () => {
    expect(tied('text', { value: 'a' }, { value: null })).toEqual([null, null]);
    expect(tied('text', { value: 'aaa', expiry: 9n }, { value: 'zzz' })).toEqual(['aaa', 'aaa']);
    expect(tied('text', { value: 'a', expiry: 9n }, { value: 'z', expiry: 8n })).toEqual(['a', 'a']);
    expect(tied('int', { value: '-1' }, { value: '1' })).toEqual(['-1', '-1']);
    expect(tied('decimal', { value: '1.00' }, { value: '1.0' })).toEqual(['1.00', '1.00']);
    expect(tied('decimal', { value: '1.0' }, { value: '9' })).toEqual(['1.0', '1.0']);
  });
});

interface Captured {
  readonly key: string;
  readonly value: string;
}

function captured(name: string): Captured[] {
  const url = new URL(`../fixtures/debezium-cassandra/${name}.jsonl`, import.meta.url);
  return readFileSync(url, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Captured);
}

/** Without what differs between any two copies: when it was emitted, and where it stood in the commit log. */
function comparable({ key, value }: Captured): Captured {
  const text = value.replace(/^\{"ts_ms":\d+/, '{"ts_ms":0').replace(/"file":"[^"]*","pos":\d+/, '"file":"","pos":0');
  return { key, value: text };
}

const descT = schema('desc_t', {
  partitionKey: [column('k', 'text')],
  clustering: [column('ck', 'int', true)],
  regular: [column('v', 'text')],
});
// The connector prints a uuid as it prints a timeuuid.
const people = schema('people', {
  partitionKey: [column('id', 'timeuuid')],
  regular: [column('age', 'int'), column('email', 'text'), column('name', 'text')],
});

describe('envelopes', () => {
  const cases: readonly [ModelSchema, Mutation][] = [
    [descT, { kind: 'insert', key: ['k', '5'], cells: ['v'], expiry: null, time: 1795251185204000n }],
    [
      descT,
      {
        kind: 'delete-range',
        partition: ['k'],
        start: { values: ['7'], inclusive: false },
        end: { values: ['2'], inclusive: true },
        time: 1795251185206000n,
      },
    ],
    [people, { kind: 'delete-row', key: ['00000000-0000-0000-0000-000000000103'], time: 1795251185085000n }],
    [
      people,
      {
        kind: 'insert',
        key: ['00000000-0000-0000-0000-000000000105'],
        cells: ['5', undefined, 'ttl'],
        expiry: 1795251785000000n,
        time: 1795251185116000n,
      },
    ],
    [
      people,
      {
        kind: 'update',
        key: ['00000000-0000-0000-0000-000000000102'],
        cells: [undefined, undefined, 'lwt2'],
        expiry: null,
        time: 1795251185070000n,
      },
    ],
  ];
  it.each(cases)('of %o %o is the captured one', (table, mutation) => {
    const made = comparable(envelopeOf(table, mutation, 1, 1));
    expect(captured(table.name).map(comparable)).toContainEqual(made);
  });
});
