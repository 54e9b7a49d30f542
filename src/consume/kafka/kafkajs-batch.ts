/**
 * Batches of kafkajs as ours, and one correction of kafkajs 2.2.4 (pinned, unmaintained).
 *
 * kafkajs keeps a fetch that holds only control or aborted records to itself: it steps over it and calls nobody. A
 * position that is compared with `fetchedOffset` would then never meet it again, and discard-and-seek would loop for ever
 * at the end of every transaction. Its events do not carry the offset that was fetched either. So two predicates of its
 * Batch class are replaced: such a batch is handed to `eachBatch` like any other, empty.
 */
import { createRequire } from 'node:module';
import type { Batch, KafkaMessage } from 'kafkajs';
import type { SourceRecord } from '../../decode/record.ts';
import { assert } from '../../shared/assert.ts';
import type { FetchedBatch, Unreadable } from './kafka-port.ts';
import { unreadableOf } from './unreadable-records.ts';

/** What kafkajs's Batch has beyond its published type. */
interface RawBatch extends Batch {
  readonly fetchedOffset: string;
  readonly rawMessages: readonly KafkaMessage[];
  isEmptyDueToFiltering(): boolean;
}

/** Makes kafkajs deliver batches that are empty after filtering. Once per process; refuses a kafkajs it does not know. */
export function deliverFilteredBatches(): void {
  const require = createRequire(import.meta.url);
  const BatchClass = require('kafkajs/src/consumer/batch') as { prototype: RawBatch };
  const { prototype } = BatchClass;
  assert(
    typeof prototype.isEmptyDueToFiltering === 'function' && typeof prototype.isEmpty === 'function',
    'kafkajs has no Batch.isEmptyDueToFiltering: not the version this was written for (2.2.4)',
  );
  prototype.isEmptyDueToFiltering = () => false;
  prototype.isEmpty = function isEmpty(this: RawBatch): boolean {
    return this.rawMessages.length === 0;
  };
}

/** Rough cost of a header's name and frame. */
const HEADER_OVERHEAD_BYTES = 16;

function headerBytes(headers: KafkaMessage['headers']): number {
  let bytes = 0;
  for (const name in headers) {
    const value = headers[name];
    bytes += HEADER_OVERHEAD_BYTES + name.length + (value === undefined || Array.isArray(value) ? 0 : value.length);
  }
  return bytes;
}

/** A batch of kafkajs as the port's: `bigint` offsets, committed records only, cut where it can't be unpacked. */
export function fetchedBatch(batch: Batch): FetchedBatch {
  const { topic, partition, fetchedOffset, messages } = batch as RawBatch;
  const records: SourceRecord[] = [];
  let bytes = 0;
  let next = BigInt(batch.lastOffset()) + 1n;
  let unreadable: Unreadable | null = null;
  for (const message of messages) {
    const { key, value, headers } = message;
    unreadable = unreadableOf(key, value);
    if (unreadable !== null) {
      next = BigInt(message.offset);
      break;
    }
    bytes += (key?.length ?? 0) + (value?.length ?? 0) + headerBytes(headers);
    records.push({
      topic,
      partition,
      offset: BigInt(message.offset),
      timestampMs: Number(message.timestamp),
      key,
      value,
      headers: headers ?? {},
    });
  }
  const logEnd = BigInt(batch.highWatermark);
  return { topic, partition, fetchedOffset: BigInt(fetchedOffset), next, logEnd, records, bytes, unreadable };
}
