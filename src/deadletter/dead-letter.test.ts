import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { deadLetterRecord, originalOf } from './dead-letter.ts';
import type { DeadLetter } from './dead-letter.ts';
import { hashOfRecord } from './record-hash.ts';

const origin = { connectorName: 'lockstep', taskId: 'pod-1' };

function letter(record: Pick<DeadLetter['record'], 'key' | 'value' | 'headers'>): DeadLetter {
  return {
    shard: { topic: 'cass1.shop.orders', incarnation: 2, partition: 3 },
    record: { topic: 'cass1.shop.orders', partition: 3, offset: 9_007_199_254_740_993n, timestampMs: 5, ...record },
    table: 'shop.orders',
    code: 'VALUE_OUT_OF_RANGE',
    message: 'after.total is too large',
    path: 'after.total',
    isWaiting: false,
    stage: 'TASK_PUT',
    changeId: 'ab',
    rowKey: '["1"]',
    attempts: 2,
    firstFailureMs: 10,
    lastFailureMs: 20,
  };
}

const bytes = fc.uint8Array({ maxLength: 20 }).map((array) => Buffer.from(array));
const name = fc.oneof(
  fc.string({ minLength: 1, maxLength: 8 }).filter((text) => text !== '__proto__'),
  fc.constantFrom(
    'lockstep.code',
    '__connect.errors.topic',
    'lockstep.source.header.lockstep.code',
    'lockstep.source.key',
  ),
);

describe('dead letter', () => {
  it('keeps key, value and headers to the byte, also of a record that was a dead letter before', () => {
    fc.assert(
      fc.property(
        fc.option(bytes),
        fc.option(bytes),
        fc.dictionary(name, fc.oneof(bytes, fc.array(bytes, { minLength: 2, maxLength: 3 })), {
          noNullPrototype: true,
        }),
        (key, value, headers) => {
          const original = originalOf(deadLetterRecord(letter({ key, value, headers }), origin));
          expect(original).toEqual({ key, value, headers });
        },
      ),
    );
  });

  it('is keyed by the coordinates, so that a copy replaces it and an erasure finds it', () => {
    const record = deadLetterRecord(letter({ key: null, value: null, headers: {} }), origin);
    expect(record.key).toBe('cass1.shop.orders:2:3:9007199254740993');
    // A null value would delete the letter from a compacted topic.
    expect(record.value).toEqual(Buffer.alloc(0));
  });

  it('says what tools of Kafka Connect read', () => {
    expect(deadLetterRecord(letter({ key: null, value: null, headers: {} }), origin).headers).toMatchObject({
      '__connect.errors.topic': 'cass1.shop.orders',
      '__connect.errors.partition': '3',
      '__connect.errors.offset': '9007199254740993',
      '__connect.errors.connector.name': 'lockstep',
      '__connect.errors.task.id': 'pod-1',
      '__connect.errors.stage': 'TASK_PUT',
      '__connect.errors.exception.class.name': 'VALUE_OUT_OF_RANGE',
      '__connect.errors.exception.message': 'after.total is too large',
      'lockstep.attempts': '2',
    });
  });
});

it('the hash of a record tells apart what concatenation would not', () => {
  const pairs: [string | null, string | null][] = [
    ['ab', 'c'],
    ['a', 'bc'],
    ['abc', ''],
    ['abc', null],
    [null, 'abc'],
    ['', 'abc'],
  ];
  const hashes = pairs.map(([key, value]) =>
    hashOfRecord(key === null ? null : Buffer.from(key), value === null ? null : Buffer.from(value)).toString('hex'),
  );
  expect(new Set(hashes).size).toBe(pairs.length);
});
