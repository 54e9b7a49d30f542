import type { Pool } from 'pg';
import type { ChangeId } from '../../change/change-id.ts';
import { classifyPostgresError } from '../postgres-errors.ts';
import { qualified } from '../sql-text.ts';

/** Packed change IDs, sorted, 16 bytes each, and one outcome byte each (0 processed, 1 filtered, 2 dead-lettered). */
export interface PackedSegment {
  readonly ids: Buffer;
  readonly outcomes: Buffer;
}

const ID_HEX_DIGITS = 32;
/** Segments a round trip: 500 of up to 2,000 IDs are 17 MB at most. */
const PAGE_SEGMENTS = 500;

/** Reads the ledger by change ID: what windows compare a changelog with. */
export class LedgerReader {
  readonly #pool: Pool;
  readonly #ledger: string;
  readonly #tables: string;

  constructor(pool: Pool, controlSchema: string) {
    this.#pool = pool;
    this.#ledger = qualified(controlSchema, '_cdc_ledger');
    this.#tables = qualified(controlSchema, '_cdc_tables');
  }

  /** Segments of the table that may hold IDs of [from, to), a page at a time; they may hold others too. */
  async *segments(table: string, from: ChangeId, to: ChangeId): AsyncIterable<readonly PackedSegment[]> {
    let after: readonly string[] | null = null;
    for (;;) {
      const page: SegmentLine[] = await this.#page(table, from, to, after);
      if (page.length > 0) yield page.map(({ ids, outcomes }) => ({ ids: bytesOf(ids), outcomes: bytesOf(outcomes) }));
      const last = page.at(-1);
      if (last === undefined || page.length < PAGE_SEGMENTS) return;
      after = [last.min_id, last.topic, last.incarnation, last.partition, last.from_offset];
    }
  }

  /** Which of these change IDs of a table the ledger has an outcome for. */
  async having(table: string, ids: readonly ChangeId[]): Promise<ReadonlySet<ChangeId>> {
    const found = new Set<ChangeId>();
    const sorted = [...ids].sort();
    const [first, last] = [sorted[0], sorted.at(-1)];
    if (first === undefined || last === undefined) return found;
    const wanted = new Set(ids);
    const behind = (BigInt(`0x${last}`) + 1n).toString(16).padStart(ID_HEX_DIGITS, '0');
    for await (const page of this.segments(table, first, behind)) {
      for (const segment of page) {
        const text = segment.ids.toString('hex');
        for (let at = 0; at < text.length; at += ID_HEX_DIGITS) {
          const id = text.slice(at, at + ID_HEX_DIGITS);
          if (wanted.has(id)) found.add(id);
        }
      }
    }
    return found;
  }

  async #page(table: string, from: ChangeId, to: ChangeId, after: readonly string[] | null): Promise<SegmentLine[]> {
    const place = '(l.min_id, l.topic, l.incarnation, l.partition, l.from_offset)';
    try {
      const { rows } = await this.#pool.query<SegmentLine>(
        `SELECT l.min_id, l.topic, l.incarnation, l.partition, l.from_offset, l.ids, l.outcomes FROM ${this.#ledger} AS l
         WHERE l.table_id = (SELECT id FROM ${this.#tables} WHERE source = $1) AND l.max_id >= $2 AND l.min_id < $3
           ${after === null ? '' : `AND ${place} > ($4::uuid, $5, $6::integer, $7::integer, $8::bigint)`}
         ORDER BY ${place.slice(1, -1)} LIMIT ${PAGE_SEGMENTS}`,
        [table, from, to, ...(after ?? [])],
      );
      return rows;
    } catch (error) {
      throw classifyPostgresError(error, `reading the ledger of ${table}`);
    }
  }
}

interface SegmentLine {
  readonly min_id: string;
  readonly topic: string;
  readonly incarnation: string;
  readonly partition: string;
  readonly from_offset: string;
  readonly ids: string;
  readonly outcomes: string;
}

/** Sessions print `bytea` as `\x…`. */
function bytesOf(text: string): Buffer {
  return Buffer.from(text.slice(2), 'hex');
}
