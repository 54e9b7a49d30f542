import type { Table } from '../../catalog/table.ts';
import type { ChangeEvent } from '../../change/change-event.ts';
import { NEVER } from '../../change/write-time.ts';
import { messageOf } from '../../shared/errors.ts';
import type { Decoded, Decoder, SourceRecord } from '../record.ts';
import { DECODE_CODES, Refused, shown, type DecodeCode } from './codes.ts';
import { compileTable, microseconds } from './column-plan.ts';
import { EnvelopeScanner } from './envelope-scanner.ts';
import {
  isObject,
  NEEDS_EXACT_READING,
  objectAt,
  own,
  parseExact,
  parseFast,
  unwrapped,
  utf8Text,
  type JsonObject,
} from './json.ts';
import { compileRangeDelete } from './range-delete.ts';
import { compileKeyCheck } from './record-key.ts';
import { compileRowDelete } from './row-delete.ts';
import { compileRowWrite, fieldsOf } from './row-write.ts';
import { MAX_EXPANSION_CHARS, type Reading } from './wire-scalars.ts';

export { DECODE_CODES } from './codes.ts';

export interface DebeziumCassandraOptions {
  /** Longest value that is read, in bytes; longer ones are refused unread. Default 16 MiB, Kafka's is 1 MB. */
  readonly maxRecordBytes?: number;
}

const DEFAULT_MAX_RECORD_BYTES = 16 * 1024 * 1024;

function refusal(code: DecodeCode, path: string, found: string): Decoded {
  const { meaning, remedy } = DECODE_CODES[code];
  return { kind: 'refused', refusal: { code, path, message: `${meaning} ${found}. ${remedy}` } };
}

function checkedTime(time: bigint): bigint {
  if (time === NEVER) throw new Refused('VALUE_OUT_OF_RANGE', 'source.ts_us', `${time} means "never written"`);
  return time;
}

function sourceTime(source: JsonObject, reading: Reading): bigint {
  const path = 'source.ts_us';
  const value = own(source, 'ts_us');
  if (value === undefined || value === null) throw new Refused('ENVELOPE_FIELD_MISSING', path, 'missing');
  if (typeof value !== 'number' && typeof value !== 'bigint') {
    throw new Refused('ENVELOPE_FIELD_MISSING', path, `found ${shown(value)}`);
  }
  return checkedTime(microseconds(value, path, reading));
}

function checkSource(table: Table, source: JsonObject): void {
  const check = (name: string, expected: string): void => {
    const found = own(source, name);
    if (found !== expected)
      throw new Refused('WRONG_TABLE', `source.${name}`, `found ${shown(found)}, not "${expected}"`);
  };
  check('connector', 'cassandra');
  check('keyspace', table.keyspace);
  check('table', table.sourceTable);
}

/**
 * Decoder for one table's topic in the envelope of Debezium's Cassandra connector (docs: facts of 3.4.1.Final), compiled
 * once. Total: whatever the bytes, the answer is a change, a refusal with a code of DECODE_CODES, or a counted skip.
 * Same bytes, same change; same bytes, same code and place.
 */
export function createDebeziumCassandraDecoder(table: Table, options: DebeziumCassandraOptions = {}): Decoder {
  const maxRecordBytes = options.maxRecordBytes ?? DEFAULT_MAX_RECORD_BYTES;
  const plan = compileTable(table);
  const checkKey = compileKeyCheck(plan);
  const scanner = new EnvelopeScanner(table);
  const rowWrite = compileRowWrite(plan, checkKey);
  const rowDelete = compileRowDelete(plan, checkKey);
  const rangeDelete = compileRangeDelete(plan, checkKey);

  function decodeEnvelope(envelope: JsonObject, key: Buffer, reading: Reading): ChangeEvent {
    const op = own(envelope, 'op');
    if (typeof op !== 'string') throw new Refused('ENVELOPE_FIELD_MISSING', 'op', `found ${shown(op)}`);
    const source = objectAt(envelope, 'source', 'source');
    checkSource(table, source);
    const after = objectAt(envelope, 'after', 'after');
    const time = sourceTime(source, reading);
    switch (op) {
      case 'i':
      case 'c':
      case 'u': {
        const fields = fieldsOf(after);
        scanner.learn(fields.names);
        return rowWrite(fields, op !== 'u', time, key, reading);
      }
      case 'd':
        return rowDelete(after, time, key, reading);
      case 'r':
      case 't':
        return rangeDelete(after, time, key, reading);
      default:
        throw new Refused('UNKNOWN_OP', 'op', `found ${shown(op)}`);
    }
  }

  function readingOf(text: string, exact: boolean): Reading {
    return { exact, escapes: text.includes('\\u'), path: 'value', expansion: MAX_EXPANSION_CHARS };
  }

  function decodeGenerally(text: string, exact: boolean, key: Buffer | null): Decoded {
    const envelope = unwrapped(exact ? parseExact(text, 'value') : parseFast(text, 'value'));
    if (envelope === null && text !== 'null') return { kind: 'skipped', reason: 'kafka-tombstone' };
    if (!isObject(envelope)) throw new Refused('NOT_AN_OBJECT', 'value', `found ${shown(envelope)}`);
    if (key === null) throw new Refused('NULL_KEY', 'key', 'null');
    return { kind: 'change', change: decodeEnvelope(envelope, key, readingOf(text, exact)), contents: null };
  }

  function decodeScanned(text: string, key: Buffer | null): Decoded | null {
    const scanned = key === null ? null : scanner.scan(text);
    if (key === null || scanned === null) return null;
    const reading = readingOf(text, false);
    const time = checkedTime(microseconds(scanned.writeTime, 'source.ts_us', reading));
    // The op stands in the change as the marker; time, table and key in its identity; all else is in this text.
    const contents = text.slice(scanned.afterAt);
    return { kind: 'change', change: rowWrite(scanned, scanned.op !== 'u', time, key, reading), contents };
  }

  function decodeValue(value: Buffer, key: Buffer | null): Decoded {
    if (value.length > maxRecordBytes) {
      return refusal('RECORD_TOO_LARGE', 'value', `${value.length} bytes, the limit is ${maxRecordBytes}`);
    }
    const text = utf8Text(value, 'value');
    try {
      return decodeScanned(text, key) ?? decodeGenerally(text, false, key);
    } catch (error) {
      if (error !== NEEDS_EXACT_READING) throw error;
      return decodeGenerally(text, true, key);
    }
  }

  return {
    decode(record: SourceRecord): Decoded {
      if (record.value === null) return { kind: 'skipped', reason: 'kafka-tombstone' };
      try {
        return decodeValue(record.value, record.key);
      } catch (error) {
        if (error instanceof Refused) return refusal(error.code, error.path, error.message);
        return refusal('DECODER_BUG', 'value', messageOf(error));
      }
    },
  };
}
