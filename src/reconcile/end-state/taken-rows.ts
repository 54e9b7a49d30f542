/** The rows of both sides of a range as they come: counted, digested, and by the key that the other side has for them. */
import { rowKey, type RowKey } from '../../change/change-event.ts';
import { LockstepError } from '../../shared/errors.ts';
import type { BoundTable } from '../../target/bound-table.ts';
import type { TargetRow } from '../../target/scan/token-scan.ts';
import { RangeDigester } from './row-digest.ts';
import { encoderOf, type EncodedRow, type RowEncoder } from './row-encoder.ts';
import { isPresent, shownBySource, shownByTarget, storedKey } from './row-images.ts';
import type { ScannedRow } from './source-slices.ts';

/** A row of the source with what it shows. */
export interface TakenRow {
  readonly row: ScannedRow;
  readonly encoded: EncodedRow;
  /** Its row of the target was met. */
  met: boolean;
}

export class TakenRows {
  sourceRows = 0;
  targetRows = 0;
  unreadable = 0;
  readonly sourceDigest = new RangeDigester();
  readonly targetDigest = new RangeDigester();
  readonly #unreadableKeys = new Set<string>();
  readonly #table: BoundTable;
  readonly #nowUs: () => bigint;
  /** Keys read back from the target are the source's, character for character. */
  readonly #sameKeys: boolean;
  #encoderOfTable: RowEncoder | null = null;

  constructor(table: BoundTable, nowUs: () => bigint) {
    this.#table = table;
    this.#nowUs = nowUs;
    this.#sameKeys = table.keys.every(({ mapping }) => mapping.identity);
  }

  get #encoder(): RowEncoder {
    return (this.#encoderOfTable ??= encoderOf(this.#table));
  }

  /** A row of the source that could not be read exactly; null where its key could not be either. */
  noteUnreadable(key: RowKey | null): void {
    this.unreadable += 1;
    if (key !== null) this.#unreadableKeys.add(this.#sameKeys ? key.text : this.storedKey(key).text);
  }

  /** @param key As the target stores it. */
  isUnreadable(key: RowKey): boolean {
    return this.#unreadableKeys.has(key.text);
  }

  storedKey(key: RowKey): RowKey {
    return rowKey(storedKey(this.#table, key.values));
  }

  /** Rows by their keys; those that can't be read exactly are noted and left out. */
  source(rows: readonly ScannedRow[]): Map<string, TakenRow> {
    const byKey = new Map<string, TakenRow>();
    for (const row of rows) {
      const encoded = this.#encodedSource(row);
      if (encoded === null) continue;
      this.sourceRows += 1;
      this.sourceDigest.add(encoded.digest);
      byKey.set(encoded.key, { row, encoded, met: false });
    }
    return byKey;
  }

  #encodedSource(row: ScannedRow): EncodedRow | null {
    const encoded = row.packed === undefined ? null : this.#encoder.source(row.packed);
    if (encoded !== null) return encoded;
    let key: RowKey | null = null;
    try {
      ({ key } = row);
      return this.#encoder.shown(shownBySource(this.#table, key.values, row, this.#nowUs()));
    } catch (error) {
      if (!(error instanceof LockstepError) || error.kind !== 'row') throw error;
      this.noteUnreadable(key);
      return null;
    }
  }

  target(row: TargetRow): EncodedRow {
    const encoded = row.line === undefined ? null : this.#encoder.target(row.line);
    return encoded ?? this.#encoder.shown(shownByTarget(this.#table, row.key.values, row, this.#nowUs()));
  }

  /** Counts a row that the target shows, and says whether it does. @param source The row of that key there. */
  countTarget(row: TargetRow, encoded: EncodedRow, source?: TakenRow): boolean {
    if (!encoded.lasts && !isPresent(row, this.#nowUs())) return false;
    this.targetRows += 1;
    const isSame = source?.encoded.isSame(encoded) === true;
    this.targetDigest.add(isSame ? source.encoded.digest : encoded.digest);
    return true;
  }
}
