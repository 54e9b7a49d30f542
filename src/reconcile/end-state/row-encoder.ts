/**
 * The canonical encoding of rows straight from the bytes and texts that both sides sent, and the digests of it. Nearly every
 * row of a table in step is the same on both sides, whatever the clock says: of those nothing else is needed, and neither
 * write times nor values are read. All others go by what they show at a moment (row-images.ts), in the same encoding.
 */
import { TextMemory } from '../../change/text-memory.ts';
import { valueWriter, type ValueWriter } from '../../change/values/value-writer.ts';
import type { PackedRow } from '../../change/packed-rows.ts';
import { same, type ValueMapping } from '../../catalog/value-mapping.ts';
import { expires, isThere, type ReadColumn } from '../../source/read-cells.ts';
import { scanQuery } from '../../source/scan-queries.ts';
import type { BoundTable } from '../../target/bound-table.ts';
import type { CopiedRows } from '../../target/scan/copied-rows.ts';
import type { StoredLine } from '../../target/scan/token-scan.ts';
import {
  beginPart,
  beginRow,
  columnHead,
  digestOf,
  endPart,
  endRow,
  uint32At,
  writeRow,
  type RowDigest,
  type ShownRow,
} from './row-digest.ts';

/** In front of the key's values stand the encoding's version and their number. */
const HEAD_BYTES = 5;
const LENGTH_BYTES = 4;

/** A row by its encoding, a character a byte: as one text it is compared without a copy, and cut without one. */
export class EncodedRow {
  readonly #text: string;
  readonly #keyEnd: number;
  #digest: RowDigest | null = null;
  /** Everything it shows it shows until somebody writes: two such rows are the same if their encodings are. */
  readonly lasts: boolean;

  constructor(text: string, keyEnd: number, lasts: boolean) {
    this.#text = text;
    this.#keyEnd = keyEnd;
    this.lasts = lasts;
  }

  /** What it is found by on the other side. */
  get key(): string {
    return this.#text.slice(HEAD_BYTES, this.#keyEnd);
  }

  /** What tells its partition: so many values of its key. */
  partition(keyValues: number): string {
    return this.#text.slice(HEAD_BYTES, endOfParts(this.#text, keyValues));
  }

  isSame(other: EncodedRow): boolean {
    return this.#text === other.#text;
  }

  /** Hashed when it is first asked for: of two rows that are the same, one is. */
  get digest(): RowDigest {
    return (this.#digest ??= digestOf(Buffer.from(this.#text, 'latin1')));
  }
}

/** Where the first so many values of the key end. */
function endOfParts(text: string, count: number): number {
  let end = HEAD_BYTES;
  for (let left = count; left > 0; left--) end += LENGTH_BYTES + uint32At(text, end);
  return end;
}

const ENCODERS = new WeakMap<BoundTable, RowEncoder>();

/** One for each binding: a sample is thousands of ranges. */
export function encoderOf(table: BoundTable): RowEncoder {
  let encoder = ENCODERS.get(table);
  if (encoder === undefined) ENCODERS.set(table, (encoder = new RowEncoder(table)));
  return encoder;
}

interface SourceColumn {
  readonly read: ReadColumn | null;
  readonly at: number;
  readonly head: Buffer;
  readonly write: ValueWriter;
  readonly mapping: ValueMapping;
}

/** Its memory is used anew for every row; nobody waits within one. */
export class RowEncoder {
  readonly #table: BoundTable;
  readonly #names: readonly string[];
  readonly #heads: readonly Buffer[];
  readonly #keys: readonly SourceColumn[];
  readonly #columns: readonly SourceColumn[];
  readonly #read: readonly ReadColumn[];
  readonly #memory = new TextMemory();

  constructor(table: BoundTable) {
    this.#table = table;
    const query = scanQuery(table.table);
    this.#read = query.columns;
    this.#names = table.regular.map(({ column }) => column.name);
    this.#heads = this.#names.map((name) => columnHead(name, false));
    this.#keys = table.keys.map(({ column, mapping }, at) => ({
      read: null,
      at,
      head: Buffer.alloc(0),
      write: valueWriter(column.type),
      mapping,
    }));
    this.#columns = table.regular.map(({ column, mapping }, i) => {
      const read = query.columns[i] ?? null;
      const at = read?.at ?? -1;
      return { read, at, head: this.#heads[i] ?? Buffer.alloc(0), write: valueWriter(column.type), mapping };
    });
  }

  /** Null where the row must be looked at by the clock, or by somebody who can say what is wrong with it. */
  source(row: PackedRow): EncodedRow | null {
    if (this.#table.table.ofCounters === true || expires(this.#read, row)) return null;
    const memory = this.#memory;
    memory.end = 0;
    beginRow(memory, this.#keys.length);
    for (const column of this.#keys) if (!this.#writeSource(column, row)) return null;
    const keyEnd = memory.end;
    for (const column of this.#columns) {
      if (column.read === null || !isThere(column.read, row)) continue;
      memory.copy(column.head, 0, column.head.length);
      if (!this.#writeSource(column, row)) return null;
    }
    return this.#lasting(keyEnd);
  }

  #writeSource({ at, write, mapping }: SourceColumn, { rows, index }: PackedRow): boolean {
    const start = rows.start(index, at);
    if (start < 0) return false;
    const memory = this.#memory;
    const begun = beginPart(memory);
    if (!write(rows.bytes, start, rows.sizeAt(start), memory)) return false;
    if (mapping.asStored !== same) {
      const text = memory.from(begun).toString('utf8');
      const stored = mapping.asStored(text);
      if (stored !== text) {
        memory.end = begun;
        memory.text(stored);
      }
    }
    endPart(memory, begun);
    return true;
  }

  /** A row of the target in which nothing expires. */
  target({ rows, index, lasts }: StoredLine): EncodedRow | null {
    if (!lasts) return null;
    const memory = this.#memory;
    const { keys, regular } = this.#table;
    memory.end = 0;
    beginRow(memory, keys.length);
    for (let i = 0; i < keys.length; i++) this.#writeStored(keys[i]?.mapping, rows, index, i);
    const keyEnd = memory.end;
    for (let i = 0; i < regular.length; i++) {
      const at = keys.length + i;
      if (rows.start(index, at) < 0) continue;
      const head = this.#heads[i];
      if (head !== undefined) memory.copy(head, 0, head.length);
      this.#writeStored(regular[i]?.mapping, rows, index, at);
    }
    return this.#lasting(keyEnd);
  }

  #writeStored(mapping: ValueMapping | undefined, rows: CopiedRows, index: number, column: number): void {
    const memory = this.#memory;
    const begun = beginPart(memory);
    if (mapping === undefined || mapping.fromTarget === same) {
      const start = rows.start(index, column);
      if (start >= 0) memory.copy(rows.bytes, start, rows.end(index, column) - start);
    } else memory.text(mapping.fromTarget(rows.text(index, column) ?? ''));
    endPart(memory, begun);
  }

  /** A row by what it shows at a moment. */
  shown(row: ShownRow): EncodedRow {
    const memory = this.#memory;
    memory.end = 0;
    writeRow(memory, this.#names, row);
    const text = memory.key(0, memory.end);
    return new EncodedRow(text, endOfParts(text, row.key.length), false);
  }

  #lasting(keyEnd: number): EncodedRow {
    endRow(this.#memory);
    return new EncodedRow(this.#memory.key(0, this.#memory.end), keyEnd, true);
  }
}
