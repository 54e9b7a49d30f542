import type { ChangeEvent } from '../change/change-event.ts';

/** The Kafka record as it came: bytes and coordinates. */
export interface SourceRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint;
  /** Broker or producer timestamp, ms since the epoch. */
  readonly timestampMs: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, Buffer | string | (Buffer | string)[] | undefined>>;
}

/** Why a record can't become a change: a documented code, what was found and where. Never an exception. */
export interface Refusal {
  readonly code: string;
  /** What is wrong and what to do, one or two sentences. */
  readonly message: string;
  /** Where in the record: `after.total.value`. */
  readonly path: string;
}

export type Decoded =
  /** `contents`: see `identify` of src/change/change-id.ts; null where the decoder has no such text. */
  | { readonly kind: 'change'; readonly change: ChangeEvent; readonly contents: string | null }
  /** `change`: where the record could be read, but what it says may not be applied; it has its change ID. */
  | {
      readonly kind: 'refused';
      readonly refusal: Refusal;
      readonly change?: ChangeEvent;
      readonly contents?: string | null;
    }
  /** Nothing to apply and nothing wrong: a Kafka tombstone. Counted. */
  | { readonly kind: 'skipped'; readonly reason: 'kafka-tombstone' };

/** Turns records of one table into changes. Pure and total: garbage gives a `refused`, never an exception. */
export interface Decoder {
  decode(record: SourceRecord): Decoded;
}
