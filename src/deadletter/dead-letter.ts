/**
 * The form of a dead letter in the DLQ topic (DESIGN §8). Pure.
 *
 * Its own key is the coordinates of the source record, so that exactly one record can be erased and a second copy
 * replaces the first; key, value and headers of the source are kept to the byte. Names beside the source's own headers
 * are Kafka Connect's `__connect.errors.*`, which existing DLQ tools read, and `lockstep.*`.
 */
import type { ShardId } from '../target/batch.ts';
import type { SourceRecord } from '../decode/record.ts';

/** What is known about a record that is given up on. */
export interface DeadLetter {
  readonly shard: ShardId;
  readonly record: SourceRecord;
  /** `keyspace.table`. */
  readonly table: string;
  /** Documented code, docs/error-codes.md. */
  readonly code: string;
  /** What is wrong and what to do. */
  readonly message: string;
  /** Where in the record, or ''. */
  readonly path: string;
  readonly stage: DeadLetterStage;
  /** Tried again by itself for a while, because another row may mend it. */
  readonly isWaiting: boolean;
  readonly changeId: string | null;
  readonly rowKey: string | null;
  /** How often it was tried, this time included. */
  readonly attempts: number;
  readonly firstFailureMs: number;
  readonly lastFailureMs: number;
}

/** Where it failed, in the words of Kafka Connect's `__connect.errors.stage`. */
export type DeadLetterStage = 'VALUE_CONVERTER' | 'TASK_PUT';

/** Who gave up: what Kafka Connect calls connector and task. */
export interface DeadLetterOrigin {
  readonly connectorName: string;
  readonly taskId: string;
}

type HeaderValue = Buffer | string | (Buffer | string)[];

/** A record to produce to the DLQ topic. */
export interface DeadLetterRecord {
  readonly key: string;
  readonly value: Buffer;
  readonly headers: Record<string, HeaderValue>;
}

const CONNECT_PREFIX = '__connect.errors.';
const OWN_PREFIX = 'lockstep.';
const RENAMED_PREFIX = 'lockstep.source.header.';

/** Where the source's key is kept; absent where it was null. */
export const KEY_HEADER = 'lockstep.source.key';
/** Present where the source's value was null: a null value in a compacted topic would delete the letter. */
export const NULL_VALUE_HEADER = 'lockstep.source.value.null';

/** The DLQ key of a record: `topic:incarnation:partition:offset`. */
export function coordinatesOf(shard: ShardId, offset: bigint): string {
  return `${shard.topic}:${shard.incarnation}:${shard.partition}:${offset}`;
}

/** A source header whose name is one of ours (a record that was a dead letter before) is renamed, not overwritten. */
function keptHeaderName(name: string): string {
  return name.startsWith(CONNECT_PREFIX) || name.startsWith(OWN_PREFIX) ? RENAMED_PREFIX + name : name;
}

/** The DLQ record of a dead letter. */
export function deadLetterRecord(letter: DeadLetter, origin: DeadLetterOrigin): DeadLetterRecord {
  const { shard, record } = letter;
  const headers: Record<string, HeaderValue> = {};
  for (const [name, value] of Object.entries(record.headers)) {
    if (value !== undefined) headers[keptHeaderName(name)] = value;
  }
  const own: Record<string, HeaderValue | null> = {
    '__connect.errors.topic': record.topic,
    '__connect.errors.partition': String(record.partition),
    '__connect.errors.offset': String(record.offset),
    '__connect.errors.connector.name': origin.connectorName,
    '__connect.errors.task.id': origin.taskId,
    '__connect.errors.stage': letter.stage,
    '__connect.errors.exception.class.name': letter.code,
    '__connect.errors.exception.message': letter.message,
    'lockstep.code': letter.code,
    'lockstep.path': letter.path,
    'lockstep.table': letter.table,
    'lockstep.row.key': letter.rowKey,
    'lockstep.change.id': letter.changeId,
    'lockstep.incarnation': String(shard.incarnation),
    'lockstep.attempts': String(letter.attempts),
    'lockstep.first.failure.ms': String(letter.firstFailureMs),
    'lockstep.last.failure.ms': String(letter.lastFailureMs),
    'lockstep.source.timestamp.ms': String(record.timestampMs),
    [KEY_HEADER]: record.key,
    [NULL_VALUE_HEADER]: record.value === null ? 'true' : null,
  };
  for (const [name, value] of Object.entries(own)) if (value !== null) headers[name] = value;
  return { key: coordinatesOf(shard, record.offset), value: record.value ?? Buffer.alloc(0), headers };
}

/** Key, value and headers of the source record, to the byte, out of a DLQ record. */
export function originalOf(letter: {
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, HeaderValue | undefined>>;
}): Pick<SourceRecord, 'key' | 'value' | 'headers'> {
  const headers: Record<string, HeaderValue> = {};
  for (const [name, value] of Object.entries(letter.headers)) {
    if (value === undefined) continue;
    if (name.startsWith(RENAMED_PREFIX)) headers[name.slice(RENAMED_PREFIX.length)] = value;
    else if (!name.startsWith(CONNECT_PREFIX) && !name.startsWith(OWN_PREFIX)) headers[name] = value;
  }
  const key = letter.headers[KEY_HEADER];
  const keyValue = Array.isArray(key) ? key[0] : key;
  return {
    key: keyValue === undefined ? null : Buffer.from(keyValue as Buffer),
    value: letter.headers[NULL_VALUE_HEADER] === undefined ? letter.value : null,
    headers,
  };
}
