/** What a history is made of. */
import type { CqlValue } from './cql-value.ts';
import type { GeneratedTable } from './table.ts';

/** One thing that a statement does, told by keys in their plain form. */
export type Effect =
  | {
      readonly kind: 'write';
      readonly partition: string;
      readonly row: string;
      readonly insert: boolean;
      readonly columns: readonly string[];
      /** Columns of a single cell that get a value; an event shows when those expire. */
      readonly live: readonly string[];
      /** 0 for none. */
      readonly ttlSeconds: number;
      /**
       * Nothing but collections emptied or replaced by nothing: Cassandra keeps of it a tombstone 1 µs before the write's time,
       * so that elements of the same write live, and that is the time of the event.
       */
      readonly empties?: boolean;
    }
  | { readonly kind: 'row-delete'; readonly partition: string; readonly row: string }
  | { readonly kind: 'partition-delete'; readonly partition: string }
  | {
      readonly kind: 'range-delete';
      readonly partition: string;
      /** The condition on the clustering columns. */
      readonly where: string;
    };

/** What a statement does, and when: each part of a batch may have a time of its own. */
export type TimedEffect = Effect & {
  /** Write time in µs; null where the server chooses it (lightweight transactions). */
  readonly timeUs: bigint | null;
};

/** A statement, or a batch of them. */
export interface Statement {
  readonly table: GeneratedTable;
  readonly cql: string;
  /** `?` in the text, each left unset. */
  readonly unset: number;
  /** Write time in µs that goes along with the request; null where the text has it, or the server chooses it. */
  readonly requestTimeUs: bigint | null;
  /** The longest TTL of it in seconds, 0 for none. */
  readonly ttlSeconds: number;
  readonly effects: readonly TimedEffect[];
  /** Written to see whether it is captured: that it is not is no loss. */
  readonly isProbe?: true;
}

/** A key in plain form as one text: partition keys and row keys alike. */
export const keyText = (values: readonly CqlValue[]): string => JSON.stringify(values.map(({ plain }) => plain));
