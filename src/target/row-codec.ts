import type { Cell, Marker, RowKey } from '../change/change-event.ts';
import type { RowState } from '../change/row-state.ts';
import { NEVER } from '../change/write-time.ts';
import { MARKER_ORDINAL, type BoundColumn, type BoundTable } from './bound-table.ts';
import { isPlainType, parseBigintArray, quotedElement } from './sql-text.ts';

const NEVER_TEXT = String(NEVER);

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
    if (cell != null && column !== undefined) note(column.ordinal, cell, textOf(cell.writeTime));
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
      return { ...entry, value: stored === null ? null : column.mapping.fromTarget(stored) };
    }),
  };
}

function element(column: BoundColumn, plain: boolean, value: string): string {
  const text = column.mapping.identity ? value : column.mapping.toTarget(value);
  return plain ? text : quotedElement(text);
}

/** Collects rows as one array literal per column: the parameters of `RowStatements`. */
export class RowParameters {
  readonly #table: BoundTable;
  readonly #columns: readonly { readonly column: BoundColumn; readonly plain: boolean }[];
  readonly #texts: string[];
  #versions = '';
  #expiries = '';
  #tokens = '';
  #orders = '';
  #count = 0;

  constructor(table: BoundTable) {
    this.#table = table;
    this.#columns = [...table.keys, ...table.regular].map((column) => ({
      column,
      plain: isPlainType(column.column.targetType),
    }));
    this.#texts = this.#columns.map(() => '');
  }

  get count(): number {
    return this.#count;
  }

  add(key: RowKey, state: RowState): void {
    const separator = this.#count === 0 ? '' : ',';
    const keyCount = this.#table.keys.length;
    for (let i = 0; i < this.#columns.length; i++) {
      const entry = this.#columns[i];
      if (entry === undefined) continue;
      const value = i < keyCount ? (key.values[i] ?? '') : (state.cells[i - keyCount]?.value ?? null);
      this.#texts[i] =
        (this.#texts[i] ?? '') + separator + (value === null ? 'NULL' : element(entry.column, entry.plain, value));
    }
    const { versions, expiries } = bookkeepingOf(this.#table, state);
    this.#versions += `${separator}"${versions}"`;
    this.#expiries += separator + (expiries === null ? 'NULL' : `"${expiries}"`);
    this.#tokens += separator + (this.#table.tokenOf(key.values)?.toString() ?? 'NULL');
    if (this.#table.usesOrderColumn) {
      const clustering = key.values.slice(this.#table.table.partitionKey.length);
      this.#orders += `${separator}"\\\\x${this.#table.orderBytesOf(clustering).toString('hex')}"`;
    }
    this.#count += 1;
  }

  /** Parameters of `upsert` and `replace`. */
  values(): string[] {
    const bookkeeping = [this.#versions, this.#expiries, this.#tokens];
    if (this.#table.usesOrderColumn) bookkeeping.push(this.#orders);
    return [...this.#texts, ...bookkeeping].map((text) => `{${text}}`);
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
