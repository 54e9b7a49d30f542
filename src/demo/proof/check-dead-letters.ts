/** Whether exactly the records that are no events were set aside, with every byte. */
import type { Kafka } from 'kafkajs';
import type pg from 'pg';
import { logRanges } from '../kafka/kafka.ts';
import { readRecords } from '../kafka/read-records.ts';
import type { Check } from './check-ledger.ts';
import { coordinates, type LogAccount } from './log-account.ts';
import { recordHash } from './record-hash.ts';

/** Headers in which the DLQ keeps the source's key, and that its value was null (documented form of a dead letter). */
const KEY_HEADER = 'lockstep.source.key';
const NULL_VALUE_HEADER = 'lockstep.source.value.null';

interface IndexRow {
  readonly topic: string;
  readonly incarnation: number;
  readonly partition: number;
  readonly offset: string;
  readonly code: string;
  readonly sha256: string;
}

/** What was found. */
export interface DeadLetterFindings {
  readonly checks: readonly Check[];
  /** Rows of the index. */
  readonly indexed: number;
  readonly codes: readonly string[];
}

function headerBytes(value: Buffer | string | (Buffer | string)[] | undefined): Buffer | null {
  const [first] = Array.isArray(value) ? value : [value];
  return first === undefined ? null : Buffer.from(first);
}

/** Hashes of the originals in the DLQ topic, by their key (`topic:incarnation:partition:offset`). */
async function hashesInTopic(kafka: Kafka, dlqTopic: string, signal?: AbortSignal): Promise<Map<string, string>> {
  const hashes = new Map<string, string>();
  await readRecords(
    kafka,
    await logRanges(kafka, [dlqTopic]),
    ({ key, value, headers }) => {
      const original = headers?.[NULL_VALUE_HEADER] === undefined ? value : null;
      hashes.set(key?.toString('utf8') ?? '', recordHash(headerBytes(headers?.[KEY_HEADER]), original));
    },
    signal,
  );
  return hashes;
}

/** Compares three accounts of the poison: the source topic, the index in PostgreSQL, the DLQ topic. */
export async function checkDeadLetters(
  client: pg.Client,
  kafka: Kafka,
  log: LogAccount,
  names: { readonly schema: string; readonly dlqTopic: string; readonly topics: readonly string[] },
  signal?: AbortSignal,
): Promise<DeadLetterFindings> {
  const { rows } = await client.query<IndexRow>(
    `SELECT topic, incarnation, partition, "offset"::text AS "offset", code, encode(sha256, 'hex') AS sha256
     FROM "${names.schema}"._cdc_dead_letters WHERE topic = ANY($1) ORDER BY id`,
    [names.topics],
  );
  const inTopic = await hashesInTopic(kafka, names.dlqTopic, signal);
  const places = new Set(rows.map((row) => coordinates(row.topic, row.partition, row.offset)));
  const unexpected = rows.filter((row) => !log.foreign.has(coordinates(row.topic, row.partition, row.offset)));
  const forgotten = [...log.foreign.keys()].filter((place) => !places.has(place));
  const damaged = rows.filter((row) => {
    const source = log.foreign.get(coordinates(row.topic, row.partition, row.offset));
    const kept = inTopic.get([row.topic, row.incarnation, row.partition, row.offset].join(':'));
    return kept !== row.sha256 || (source !== undefined && source !== row.sha256);
  });
  return {
    indexed: rows.length,
    codes: [...new Set(rows.map(({ code }) => code))],
    checks: [
      {
        name: 'exactly the records that are no events were set aside',
        ok: unexpected.length === 0 && forgotten.length === 0,
        found:
          unexpected.length === 0 && forgotten.length === 0
            ? `${rows.length} of ${log.foreign.size}`
            : [
                ...unexpected.map(
                  (row) => `${coordinates(row.topic, row.partition, row.offset)} was set aside: ${row.code}`,
                ),
                ...forgotten.map((place) => `${place} was not set aside`),
              ]
                .slice(0, 3)
                .join('; '),
      },
      {
        name: 'the DLQ topic holds their bytes, with the SHA-256 of the index',
        ok: damaged.length === 0,
        found: damaged.length === 0 ? `${rows.length} compared` : `${damaged.length} differ or are not there`,
      },
    ],
  };
}
