import { NO_READ, type Cell, type Marker, type RowKey } from '../change/change-event.ts';
import type { RowState } from '../change/row-state.ts';
import { NEVER } from '../change/write-time.ts';
import { MARKER_ORDINAL, type BoundColumn, type BoundTable } from './bound-table.ts';
import { isPlainType, parseBigintArray, quotedElement } from './sql-text.ts';

const NEVER_TEXT = String(NEVER);

/** Bits of half a mask and of a whole one: a table with more slots sends its versions one by one. */
const HALF_SLOTS = 31;
const MAX_MASK_SLOTS = 2 * HALF_SLOTS;

/** All that was written of a row, if it was written at one time: the time and one bit per slot from the lowest. */
interface OneTime {
  readonly writtenAt: string;
  readonly written: string;
}

/**
 * Most rows of a batch come from one change: their versions are one time, sent as that and a mask of the slots it wrote
 * and spread by PostgreSQL. Array literals of repeated times were half of all bytes sent. Null where times differ.
 */
function oneTimeOf(table: BoundTable, state: RowState): OneTime | null {
  if (table.slots > MAX_MASK_SLOTS) return null;
  const { marker, cells } = state;
  let time = marker === null ? null : marker.writeTime;
  // Two halves of 31 bits: numbers, because a BigInt per cell costs more than it saves.
  let low = marker === null ? 0 : 1;
  let high = 0;
  for (let i = 0; i < table.regular.length; i++) {
    const cell = cells[i];
    const column = table.regular[i];
    if (cell == null || column === undefined) continue;
    if (cell.sequence !== undefined && cell.sequence !== NO_READ) return null;
    time ??= cell.writeTime;
    if (cell.writeTime !== time) return null;
    const slot = column.ordinal - MARKER_ORDINAL;
    if (slot < HALF_SLOTS) low |= 1 << slot;
    else high |= 1 << (slot - HALF_SLOTS);
  }
  if (time === null) return null;
  const written = high === 0 ? String(low) : String((BigInt(high) << BigInt(HALF_SLOTS)) | BigInt(low));
  return { writtenAt: String(time), written };
}

/** Versions and expiries of a row as the target keeps them: by ordinal, as array literals. */
export interface Bookkeeping {
  readonly versions: string;
  /** null where nothing in the row expires. */
  readonly expiries: string | null;
}

export function bookkeepingOf(table: BoundTable, state: RowState): Bookkeeping {
  const versions = new Array<string>(table.slots).fill(NEVER_TEXT);
  let expiries: (string | null)[] | null = null;
  const note = (ordinal: number, entry: Cell | Marker, versionText: string): void => {
    versions[ordinal - MARKER_ORDINAL] = versionText;
    if (entry.expiry !== null) {
      expiries ??= new Array<string | null>(table.slots).fill(null);
      expiries[ordinal - MARKER_ORDINAL] = String(entry.expiry);
    }
  };
  // The cells of one event share one write time: its text is made once, not once per cell.
  let lastTime: bigint | null = null;
  let lastText = '';
  const textOf = (time: bigint): string => {
    if (time !== lastTime) {
      lastTime = time;
      lastText = String(time);
    }
    return lastText;
  };
  if (state.marker !== null) note(MARKER_ORDINAL, state.marker, textOf(state.marker.writeTime));
  for (let i = 0; i < table.regular.length; i++) {
    const cell = state.cells[i];
    const column = table.regular[i];
    if (cell == null || column === undefined) continue;
    note(column.ordinal, cell, textOf(cell.writeTime));
    if (column.readOrdinal !== 0 && cell.sequence !== undefined && cell.sequence !== NO_READ) {
      versions[column.readOrdinal - MARKER_ORDINAL] = String(cell.sequence);
    }
  }
  const expiryList = expiries as (string | null)[] | null;
  return {
    versions: `{${versions.join(',')}}`,
    expiries: expiryList === null ? null : `{${expiryList.map((expiry) => expiry ?? 'NULL').join(',')}}`,
  };
}

/** Reads versions and expiries back beside the cells' values. Entries that are missing mean "never written" ⚠. */
export function stateFrom(
  table: BoundTable,
  deletedAt: bigint,
  values: readonly (string | null)[],
  versionsText: string,
  expiriesText: string | null,
): RowState {
  const versions = parseBigintArray(versionsText);
  const expiries = expiriesText === null ? [] : parseBigintArray(expiriesText);
  const at = (ordinal: number): { writeTime: bigint; expiry: bigint | null } | null => {
    const writeTime = versions[ordinal - MARKER_ORDINAL] ?? NEVER;
    return writeTime === NEVER ? null : { writeTime, expiry: expiries[ordinal - MARKER_ORDINAL] ?? null };
  };
  return {
    deletedAt,
    marker: at(MARKER_ORDINAL),
    cells: table.regular.map((column, i) => {
      const entry = at(column.ordinal);
      if (entry === null) return null;
      const stored = values[i] ?? null;
      const cell = { ...entry, value: stored === null ? null : column.mapping.fromTarget(stored) };
      return column.readOrdinal === 0 ? cell : { ...cell, sequence: at(column.readOrdinal)?.writeTime ?? NO_READ };
    }),
  };
}

/** Of a row that needs no array literal at all. */
const NOTHING_BUT_TIME: Bookkeeping = { versions: '', expiries: null };

function hasExpiry(state: RowState): boolean {
  return (state.marker?.expiry ?? null) !== null || state.cells.some((cell) => cell !== null && cell.expiry !== null);
}

function element(column: BoundColumn, plain: boolean, value: string): string {
  const text = column.mapping.identity ? value : column.mapping.toTarget(value);
  return plain ? text : quotedElement(text);
}

/**
 * Collects rows as one array literal per column: the parameters of `RowStatements`. Elements are joined once at the end:
 * text that grows element by element is a chain of small objects, a kilobyte of garbage a row.
 */
export class RowParameters {
  readonly #table: BoundTable;
  readonly #columns: readonly { readonly column: BoundColumn; readonly plain: boolean; readonly elements: string[] }[];
  readonly #times: string[] = [];
  readonly #masks: string[] = [];
  readonly #versions: string[] = [];
  readonly #expiries: string[] = [];
  readonly #tokens: string[] = [];
  readonly #orders: string[] = [];

  constructor(table: BoundTable) {
    this.#table = table;
    this.#columns = [...table.keys, ...table.regular].map((column) => ({
      column,
      plain: isPlainType(column.column.targetType),
      elements: [],
    }));
  }

  add(key: RowKey, state: RowState): void {
    const keyCount = this.#table.keys.length;
    for (let i = 0; i < this.#columns.length; i++) {
      const entry = this.#columns[i];
      if (entry === undefined) continue;
      const value = i < keyCount ? (key.values[i] ?? '') : (state.cells[i - keyCount]?.value ?? null);
      entry.elements.push(value === null ? 'NULL' : element(entry.column, entry.plain, value));
    }
    const oneTime = oneTimeOf(this.#table, state);
    const { versions, expiries } =
      oneTime === null || hasExpiry(state) ? bookkeepingOf(this.#table, state) : NOTHING_BUT_TIME;
    this.#times.push(oneTime === null ? 'NULL' : oneTime.writtenAt);
    this.#masks.push(oneTime === null ? 'NULL' : oneTime.written);
    this.#versions.push(oneTime === null ? `"${versions}"` : 'NULL');
    this.#expiries.push(expiries === null ? 'NULL' : `"${expiries}"`);
    this.#tokens.push(this.#table.tokenOf(key.values)?.toString() ?? 'NULL');
    if (this.#table.usesOrderColumn) {
      const clustering = key.values.slice(this.#table.table.partitionKey.length);
      this.#orders.push(`"\\\\x${this.#table.orderBytesOf(clustering).toString('hex')}"`);
    }
  }

  /** Parameters of `upsert` and `replace`. */
  values(): string[] {
    const lists = [
      ...this.#columns.map(({ elements }) => elements),
      this.#times,
      this.#masks,
      this.#versions,
      this.#expiries,
      this.#tokens,
    ];
    if (this.#table.usesOrderColumn) lists.push(this.#orders);
    return lists.map((elements) => `{${elements.join(',')}}`);
  }
}

/** Parameters of `remove` and `lockImages`: keys only. */
export function keyParameters(table: BoundTable, keys: readonly RowKey[]): string[] {
  return table.keys.map((column, i) => {
    const plain = isPlainType(column.column.targetType);
    return `{${keys.map((key) => element(column, plain, key.values[i] ?? '')).join(',')}}`;
  });
}

/** State of one row of `lockImages`: regular columns, versions and expiries from position `at` on. */
export function imageFrom(table: BoundTable, row: readonly (string | null)[], at: number): RowState {
  const end = at + table.regular.length;
  return stateFrom(table, NEVER, row.slice(at, end), row[end] ?? '{}', row[end + 1] ?? null);
}

/** What stands in the regular columns from position `at` on, whether or not the bookkeeping knows of it. */
export function valuesFrom(table: BoundTable, row: readonly (string | null)[], at: number): readonly (string | null)[] {
  return table.regular.map(({ mapping }, i) => {
    const stored = row[at + i] ?? null;
    return stored === null ? null : mapping.fromTarget(stored);
  });
}
