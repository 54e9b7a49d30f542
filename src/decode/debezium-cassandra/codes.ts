/**
 * Every code with which this decoder refuses a record. A refusal is final for the record (the same bytes give the same
 * refusal); it becomes a dead letter with the code, the place and the remedy.
 */
export const DECODE_CODES = {
  RECORD_TOO_LARGE: {
    meaning: 'The value is longer than the decoder accepts.',
    remedy: 'Raise the record limit of the configuration, or lower max.message.bytes of the topic.',
  },
  NOT_UTF8: {
    meaning: 'Key or value is not valid UTF-8, so it was damaged or was not written by a JSON converter.',
    remedy: 'Check which producer writes this topic and that the connector uses JsonConverter.',
  },
  NOT_JSON: {
    meaning: 'Key or value is not JSON text (truncated, or written by another converter such as Avro).',
    remedy: 'Set key.converter and value.converter of the connector to org.apache.kafka.connect.json.JsonConverter.',
  },
  NOT_AN_OBJECT: {
    meaning: 'An object was expected here and something else was found.',
    remedy: 'Check which producer writes this topic; an unwrapping transformation (ExtractNewRecordState) must be off.',
  },
  ENVELOPE_FIELD_MISSING: {
    meaning: 'A field that every Debezium Cassandra event has is missing or of another type.',
    remedy: 'Check which producer writes this topic; an unwrapping transformation (ExtractNewRecordState) must be off.',
  },
  UNKNOWN_OP: {
    meaning: 'The operation is none of i, u, d, r (or c, t as EnvelopeTransformation renames them).',
    remedy: 'Update Lockstep if the connector is newer; otherwise check which producer writes this topic.',
  },
  WRONG_TABLE: {
    meaning: 'The event is of another connector, keyspace or table than the one that this topic is configured for.',
    remedy: 'Correct the topic of the table in the configuration; one topic feeds one table.',
  },
  NULL_KEY: {
    meaning: 'The record has no key. The connector writes one always.',
    remedy: 'Remove transformations that drop the key; without it a row does not stay in one partition.',
  },
  KEY_MISMATCH: {
    meaning: 'The record key names another row than the value.',
    remedy: 'Remove transformations that change the key, or find the producer that wrote this record.',
  },
  UNKNOWN_COLUMN: {
    meaning: 'The event carries a column that the table does not have.',
    remedy: 'The schema of the source changed: reload it (restart, or schema plan and apply), then redrive.',
  },
  BAD_CELL: {
    meaning: 'A cell is not of the form {value, deletion_ts, set}, or its state makes no sense for the operation.',
    remedy: 'An empty (zero-length) value of a type that has none looks like this; set the column in Cassandra again.',
  },
  BAD_VALUE: {
    meaning: 'A value is none of its column type, or is known to have lost digits.',
    remedy: 'Set decimal.handling.mode=string and varint.handling.mode=string; check the column type in the mapping.',
  },
  VALUE_OUT_OF_RANGE: {
    meaning: 'A value lies outside the range of its column type.',
    remedy: 'Check the column type in the mapping against the source.',
  },
  BAD_BOUND: {
    meaning: 'A bound of a range delete is missing, is no prefix of the clustering key, or has an unreadable value.',
    remedy: 'Delete the range in Cassandra again by other bounds, or re-read the partition.',
  },
  DECODER_BUG: {
    meaning: 'The decoder failed on this record in a way that nobody foresaw.',
    remedy: 'Report it with the record; redrive it after an update.',
  },
} as const satisfies Record<string, { readonly meaning: string; readonly remedy: string }>;

export type DecodeCode = keyof typeof DECODE_CODES;

/** Leaves the decoder on a refusal; caught at its one entry. Not an error of ours, and never seen outside. */
export class Refused extends Error {
  readonly code: DecodeCode;
  /** Where in the record: `after.total.value`. */
  readonly path: string;

  constructor(code: DecodeCode, path: string, found: string) {
    super(found);
    this.name = 'Refused';
    this.code = code;
    this.path = path;
  }
}

const MAX_SHOWN_CHARS = 80;
const MAX_SHOWN_DEPTH = 3;
const MAX_SHOWN_PARTS = 5;

function sketch(value: unknown, depth: number): string {
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'string') return JSON.stringify(value.slice(0, MAX_SHOWN_CHARS));
  if (typeof value !== 'object' || value === null) return String(value);
  const [open, close] = Array.isArray(value) ? '[]' : '{}';
  if (depth === MAX_SHOWN_DEPTH) return `${open}…${close}`;
  const entries = Object.entries(value);
  const parts = entries
    .slice(0, MAX_SHOWN_PARTS)
    .map(([name, part]) => (Array.isArray(value) ? '' : `${JSON.stringify(name)}:`) + sketch(part, depth + 1));
  return `${open}${parts.join(',')}${entries.length > MAX_SHOWN_PARTS ? ',…' : ''}${close}`;
}

/** What was found, as JSON shortened for a message: garbage may be nested deep and hold bigints. */
export function shown(value: unknown): string {
  const text = sketch(value, 0);
  return text.length > MAX_SHOWN_CHARS ? `${text.slice(0, MAX_SHOWN_CHARS)}…` : text;
}
