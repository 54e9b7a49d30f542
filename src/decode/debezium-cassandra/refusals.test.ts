import { describe, expect, test } from 'vitest';
import { cell, eventRecord, eventText } from '../../../test/fixtures/debezium-cassandra/events.ts';
import { recordOf, tableOf } from '../../../test/fixtures/debezium-cassandra/tables.ts';
import type { Decoded, SourceRecord } from '../record.ts';
import { createDebeziumCassandraDecoder, DECODE_CODES } from './index.ts';

const table = tableOf({ name: 't', partition: ['id bigint'], clustering: ['c text'], regular: ['v text', 'n int'] });
const after = { id: cell('1'), c: cell('"a"'), v: cell('"x"') };
const good = eventRecord({ table, op: 'i', after });
const goodText = eventText({ table, op: 'i', after });
const key = '{"id":1,"c":"a"}';

function decode(record: SourceRecord): Decoded {
  return createDebeziumCassandraDecoder(table).decode(record);
}

/** Code and place of a refusal; the message must carry meaning and remedy. */
function refused(record: SourceRecord): readonly [string, string] {
  const result = decode(record);
  if (result.kind !== 'refused') throw new Error(`not refused: ${result.kind}`);
  const { code, path, message } = result.refusal;
  expect(Object.hasOwn(DECODE_CODES, code)).toBe(true);
  const { meaning, remedy } = DECODE_CODES[code as keyof typeof DECODE_CODES];
  expect(message).toContain(meaning);
  expect(message).toContain(remedy);
  return [code, path];
}

test('the record that the others are changed from decodes', () => {
  expect(decode(good).kind).toBe('change');
});

describe('what stands for nothing to apply', () => {
  test('a Kafka tombstone is skipped, with and without a key', () => {
    expect(decode(recordOf(key, null))).toEqual({ kind: 'skipped', reason: 'kafka-tombstone' });
    expect(decode(recordOf(null, null))).toEqual({ kind: 'skipped', reason: 'kafka-tombstone' });
    expect(decode(recordOf(key, '{"schema":null,"payload":null}'))).toEqual({
      kind: 'skipped',
      reason: 'kafka-tombstone',
    });
  });
});

describe('the form', () => {
  test.each<[string, SourceRecord, readonly [string, string]]>([
    ['invalid UTF-8', recordOf(key, Buffer.from([0x22, 0xff, 0x22])), ['NOT_UTF8', 'value']],
    [
      'invalid UTF-8 inside a text',
      recordOf(
        key,
        Buffer.concat([Buffer.from(goodText.slice(0, -40)), Buffer.of(0xc3), Buffer.from(goodText.slice(-40))]),
      ),
      ['NOT_UTF8', 'value'],
    ],
    ['garbage', recordOf(key, 'garbage'), ['NOT_JSON', 'value']],
    ['nothing', recordOf(key, ''), ['NOT_JSON', 'value']],
    ['truncated', recordOf(key, goodText.slice(0, -20)), ['NOT_JSON', 'value']],
    ['more behind it', recordOf(key, `${goodText}}`), ['NOT_JSON', 'value']],
    ['JSON null', recordOf(key, 'null'), ['NOT_AN_OBJECT', 'value']],
    ['an array', recordOf(key, '[]'), ['NOT_AN_OBJECT', 'value']],
    ['an empty object', recordOf(key, '{}'), ['ENVELOPE_FIELD_MISSING', 'op']],
    ['no source', recordOf(key, '{"op":"i","after":{}}'), ['ENVELOPE_FIELD_MISSING', 'source']],
    ['a source that is none', recordOf(key, '{"op":"i","source":5,"after":{}}'), ['NOT_AN_OBJECT', 'source']],
    ['no after', recordOf(key, goodText.replace('"after"', '"before"')), ['ENVELOPE_FIELD_MISSING', 'after']],
    ['after null', recordOf(key, goodText.replace(/"after":.*/, '"after":null}')), ['NOT_AN_OBJECT', 'after']],
    ['no write time', recordOf(key, goodText.replace('"ts_us"', '"tsus"')), ['ENVELOPE_FIELD_MISSING', 'source.ts_us']],
    [
      'a write time of text',
      recordOf(key, goodText.replace('"ts_us":1000000', '"ts_us":"1"')),
      ['ENVELOPE_FIELD_MISSING', 'source.ts_us'],
    ],
    ['nested without end', recordOf(key, '['.repeat(100_000)), ['NOT_JSON', 'value']],
    [
      'nested deeply',
      recordOf(key, `{"op":${'['.repeat(50_000)}9007199254740993${']'.repeat(50_000)}}`),
      ['ENVELOPE_FIELD_MISSING', 'op'],
    ],
  ])('%s', (_, record, expected) => {
    expect(refused(record)).toEqual(expected);
  });

  test('a value above the limit is refused unread', () => {
    const decoder = createDebeziumCassandraDecoder(table, { maxRecordBytes: 100 });
    expect(decoder.decode(recordOf(key, 'x'.repeat(101)))).toMatchObject({ refusal: { code: 'RECORD_TOO_LARGE' } });
    expect(decoder.decode(recordOf(key, 'x'.repeat(100)))).toMatchObject({ refusal: { code: 'NOT_JSON' } });
  });
});

describe('the event', () => {
  test.each<[string, SourceRecord, readonly [string, string]]>([
    ['unknown op', eventRecord({ table, op: 'x', after }), ['UNKNOWN_OP', 'op']],
    ['op of another source', eventRecord({ table, op: 'm', after }), ['UNKNOWN_OP', 'op']],
    [
      'another connector',
      eventRecord({ table, op: 't', after, connector: 'postgresql' }),
      ['WRONG_TABLE', 'source.connector'],
    ],
    ['another keyspace', eventRecord({ table, op: 'i', after, keyspace: 'other' }), ['WRONG_TABLE', 'source.keyspace']],
    [
      'another table',
      eventRecord({ table: { ...table, sourceTable: 'u' }, op: 'i', after }),
      ['WRONG_TABLE', 'source.table'],
    ],
    [
      'unknown column',
      eventRecord({ table, op: 'i', after: { ...after, w: cell('1') } }),
      ['UNKNOWN_COLUMN', 'after.w'],
    ],
    [
      'unknown column, untouched',
      eventRecord({ table, op: 'i', after: { ...after, w: 'null' } }),
      ['UNKNOWN_COLUMN', 'after.w'],
    ],
    [
      'unknown column in a delete',
      eventRecord({ table, op: 'd', after: { id: cell('1'), c: cell('"a"'), w: cell('null', 1) } }),
      ['UNKNOWN_COLUMN', 'after.w'],
    ],
    ['a bare cell', eventRecord({ table, op: 'i', after: { ...after, v: '"x"' } }), ['BAD_CELL', 'after.v']],
    [
      'a cell without value',
      eventRecord({ table, op: 'i', after: { ...after, v: '{"deletion_ts":null,"set":true}' } }),
      ['BAD_CELL', 'after.v'],
    ],
    [
      'a cell that is not set',
      eventRecord({ table, op: 'i', after: { ...after, v: '{"value":"x","deletion_ts":null,"set":false}' } }),
      ['BAD_CELL', 'after.v'],
    ],
    [
      'an expiry without value',
      eventRecord({ table, op: 'i', after: { ...after, v: cell('null', 5) } }),
      ['BAD_CELL', 'after.v'],
    ],
    [
      'an expiry that is no integer',
      eventRecord({ table, op: 'i', after: { ...after, v: cell('"x"', 1.5) } }),
      ['BAD_CELL', 'after.v.deletion_ts'],
    ],
    [
      'an expiry beyond int64',
      eventRecord({ table, op: 'i', after: { ...after, v: cell('"x"', 2n ** 63n) } }),
      ['VALUE_OUT_OF_RANGE', 'after.v.deletion_ts'],
    ],
    [
      'an empty key value',
      eventRecord({ table, op: 'i', after: { ...after, id: cell('null') } }),
      ['BAD_CELL', 'after.id'],
    ],
    ['a key column untouched', eventRecord({ table, op: 'i', after: { id: cell('1') }, key }), ['BAD_CELL', 'after.c']],
    [
      'a value of another type',
      eventRecord({ table, op: 'i', after: { ...after, n: cell('"x"') } }),
      ['BAD_VALUE', 'after.n.value'],
    ],
    [
      'a value out of range',
      eventRecord({ table, op: 'i', after: { ...after, n: cell('2147483648') } }),
      ['VALUE_OUT_OF_RANGE', 'after.n.value'],
    ],
    [
      'a key value out of range',
      eventRecord({ table, op: 'i', after: { ...after, id: cell('9223372036854775808') } }),
      ['VALUE_OUT_OF_RANGE', 'after.id.value'],
    ],
    [
      'a lone surrogate',
      eventRecord({ table, op: 'i', after: { ...after, v: cell('"\\ud83d"') } }),
      ['BAD_VALUE', 'after.v.value'],
    ],
    [
      'write time "never"',
      eventRecord({ table, op: 'i', after, tsUs: -(2n ** 63n) }),
      ['VALUE_OUT_OF_RANGE', 'source.ts_us'],
    ],
    [
      'write time beyond int64',
      eventRecord({ table, op: 'i', after, tsUs: 2n ** 63n }),
      ['VALUE_OUT_OF_RANGE', 'source.ts_us'],
    ],
  ])('%s', (_, record, expected) => {
    expect(refused(record)).toEqual(expected);
  });

  test('a missing key column is refused by its place', () => {
    const text = goodText.replace('"c":{"value":"a","deletion_ts":null,"set":true},', '');
    expect(text).not.toBe(goodText);
    expect(refused(recordOf(key, text))).toEqual(['ENVELOPE_FIELD_MISSING', 'after.c']);
  });
});

describe('the record key', () => {
  test.each<[string, string | null, readonly [string, string]]>([
    ['null', null, ['NULL_KEY', 'key']],
    ['another row', '{"id":2,"c":"a"}', ['KEY_MISMATCH', 'key.id']],
    ['another clustering', '{"id":1,"c":"b"}', ['KEY_MISMATCH', 'key.c']],
    ['a null clustering', '{"id":1,"c":null}', ['KEY_MISMATCH', 'key.c']],
    ['a column missing', '{"id":1}', ['KEY_MISMATCH', 'key.c']],
    ['a column too many', '{"id":1,"c":"a","v":"x"}', ['KEY_MISMATCH', 'key.v']],
    ['no JSON', 'id=1', ['NOT_JSON', 'key']],
    ['no object', '5', ['NOT_AN_OBJECT', 'key']],
    ['a value of another type', '{"id":"1","c":"a"}', ['BAD_VALUE', 'key.id']],
  ])('%s', (_, badKey, expected) => {
    expect(refused(eventRecord({ table, op: 'i', after, key: badKey }))).toEqual(expected);
  });

  test('invalid UTF-8 in the key', () => {
    expect(refused(recordOf(Buffer.from([0xff]), goodText))).toEqual(['NOT_UTF8', 'key']);
  });

  test.each<[string, string]>([
    ['other order', '{"c":"a","id":1}'],
    ['spaces', '{ "id": 1, "c": "a" }'],
    ['escapes', '{"id":1,"c":"\\u0061"}'],
    ['with its schema', '{"schema":{"type":"struct"},"payload":{"id":1,"c":"a"}}'],
  ])('the same key in another form is the same key: %s', (_, sameKey) => {
    expect(decode(eventRecord({ table, op: 'i', after, key: sameKey }))).toEqual(decode(good));
  });

  test('64-bit keys are compared exactly', () => {
    const big = { ...after, id: cell('9007199254740993') };
    const mismatch = eventRecord({ table, op: 'i', after: big, key: '{"id":9007199254740992,"c":"a"}' });
    expect(refused(mismatch)).toEqual(['KEY_MISMATCH', 'key.id']);
    expect(decode(eventRecord({ table, op: 'i', after: big })).kind).toBe('change');
  });
});

test('the envelope with its schema is unwrapped', () => {
  const wrapped = `{"schema":{"type":"struct"},"payload":${goodText}}`;
  expect(decode(recordOf(key, wrapped))).toEqual(decode(good));
});

describe('a blob in a composite partition key', () => {
  const composite = tableOf({ name: 'b', partition: ['k1 blob', 'k2 text'], regular: ['v text'] });
  const decodeKey = (k1: string, k2: string): Decoded => {
    const record = eventRecord({
      table: composite,
      op: 'i',
      after: { k1: cell(JSON.stringify(k1)), k2: cell(JSON.stringify(k2)) },
    });
    return createDebeziumCassandraDecoder(composite).decode(record);
  };

  test('is cut out of the serialised key', () => {
    expect(decodeKey('AAIBAgAAAXgA', 'x')).toMatchObject({ change: { key: { values: ['\\x0102', 'x'] } } });
  });

  test('gives the scale of a decimal beside it, which its own field has lost', () => {
    const table = tableOf({ name: 'b3', partition: ['k1 blob', 'k2 decimal'] });
    const decodeDecimal = (whole: string, k2: string): Decoded =>
      createDebeziumCassandraDecoder(table).decode(
        eventRecord({
          table,
          op: 'i',
          after: {
            k1: cell(JSON.stringify(Buffer.from(whole, 'hex').toString('base64'))),
            k2: cell(JSON.stringify(k2)),
          },
        }),
      );
    // 5E+3 and 5000 are two partitions; both fields say 5000.
    const values = (decoded: Decoded): unknown =>
      decoded.kind === 'change' && 'key' in decoded.change && decoded.change.key.values;
    expect(values(decodeDecimal('000101000005fffffffd0500', '5000'))).toEqual(['\\x01', '5E+3']);
    expect(values(decodeDecimal('0001010000060000000013' + '8800', '5000'))).toEqual(['\\x01', '5000']);
    expect(decodeDecimal('000101000005fffffffd0500', '500')).toMatchObject({ refusal: { code: 'KEY_MISMATCH' } });
    // Only what the wire loses: another scale that it keeps is another key.
    expect(decodeDecimal('000101000005000000013200', '5')).toMatchObject({ refusal: { code: 'KEY_MISMATCH' } });
  });

  test.each([
    ['another component disagrees', 'AAIBAgAAAXgA', 'y', 'KEY_MISMATCH'],
    ['it is the blob alone', 'AQI=', 'x', 'BAD_VALUE'],
    ['it is cut short', 'AAIBAgAAAXg=', 'x', 'BAD_VALUE'],
    ['there is more', 'AAIBAgAAAXgAAA==', 'x', 'BAD_VALUE'],
  ])('and refused where %s', (_, k1, k2, code) => {
    expect(decodeKey(k1, k2)).toMatchObject({ kind: 'refused', refusal: { code, path: 'after.k1.value' } });
  });

  test('two blobs must carry the same key', () => {
    const two = tableOf({ name: 'b2', partition: ['k1 blob', 'k2 blob'] });
    const whole = Buffer.from('000101000002020300', 'hex').toString('base64');
    const other = Buffer.from('000102000002020300', 'hex').toString('base64');
    const decodeTwo = (k2: string): Decoded => {
      const record = eventRecord({
        table: two,
        op: 'i',
        after: { k1: cell(JSON.stringify(whole)), k2: cell(JSON.stringify(k2)) },
      });
      return createDebeziumCassandraDecoder(two).decode(record);
    };
    expect(decodeTwo(whole)).toMatchObject({ change: { key: { values: ['\\x01', '\\x0203'] } } });
    expect(decodeTwo(other)).toMatchObject({ refusal: { code: 'KEY_MISMATCH' } });
  });
});
