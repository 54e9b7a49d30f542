import { rowKey, type Ambiguity, type Cell, type ChangeEvent } from '../../change/change-event.ts';
import { Refused, shown } from './codes.ts';
import { cellOf, microseconds, type ColumnPlan, type TablePlan } from './column-plan.ts';
import { resolveCompositeKey } from './composite-key.ts';
import type { Json, JsonObject } from './json.ts';
import type { KeyCheck } from './record-key.ts';
import type { Reading } from './wire-scalars.ts';

/** The fields of `after`, in step: the fast reading makes no object of them. */
export interface AfterFields {
  readonly names: readonly string[];
  readonly values: readonly Json[];
}

export function fieldsOf(after: JsonObject): AfterFields {
  const names = Object.keys(after);
  return { names, values: names.map((name) => after[name] ?? null) };
}

/** Fields of `after` beside the columns. */
export function isRangeField(name: string): boolean {
  return name === '_range_start' || name === '_range_end';
}

/** Refuses a field that is neither a column nor (null) range field. */
export function checkOtherField(name: string, value: Json): void {
  if (!isRangeField(name)) throw new Refused('UNKNOWN_COLUMN', `after.${name}`, 'the table has no such column');
  if (value !== null) throw new Refused('BAD_BOUND', `after.${name}`, 'bounds in an event that is no range delete');
}

/** The value of a key column; every one must have one. */
export function keyCell(plan: ColumnPlan, value: Json): Json {
  const cell = cellOf(value, plan.path);
  const raw = cell['value'] ?? null;
  if (raw === null || cell['deletion_ts'] !== null) {
    throw new Refused('BAD_CELL', plan.path, `a key column with ${shown(cell)}`);
  }
  return raw;
}

/**
 * What the cells of an insert say of the row marker's expiry, which the envelope does not carry: all live values were
 * written by one statement with one TTL, or not. Collections never show their TTL, so they say nothing.
 */
class MarkerExpiry {
  #expiry: bigint | null | undefined = undefined;
  #mixed = false;

  saw(expiry: bigint | null): void {
    if (this.#expiry === undefined) this.#expiry = expiry;
    else if (this.#expiry !== expiry) this.#mixed = true;
  }

  /** Undefined where it can't be known. */
  known(usesTtl: boolean): bigint | null | undefined {
    if (this.#mixed) return undefined;
    return this.#expiry === undefined ? (usesTtl ? undefined : null) : this.#expiry;
  }
}

/** An empty non-frozen collection does not exist in Cassandra: writing one is the tombstone of the column. */
function isEmptyCollection(value: Json): boolean {
  if (Array.isArray(value)) return value.length === 0;
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}

/**
 * Compiles `i` and `u`. The write time is one per event, the maximum over the whole partition update: a batch that wrote
 * cells at several times can't be told from one that did not (facts).
 */
export function compileRowWrite(
  plan: TablePlan,
  checkKey: KeyCheck,
): (fields: AfterFields, insert: boolean, writeTime: bigint, key: Buffer, reading: Reading) => ChangeEvent {
  const { table, columns, keys } = plan;
  const keyCount = keys.length;
  const width = table.regular.length;

  function regularCell(
    column: ColumnPlan,
    cell: JsonObject,
    insert: boolean,
    writeTime: bigint,
    reading: Reading,
  ): Cell {
    const raw = cell['value'] ?? null;
    const until = cell['deletion_ts'] ?? null;
    if (raw === null) {
      if (until === null) return { writeTime, value: null, expiry: null };
      throw new Refused('BAD_CELL', column.path, 'an expiry without a value');
    }
    if (column.multiCell && insert && isEmptyCollection(raw)) return { writeTime, value: null, expiry: null };
    reading.path = `${column.path}.value`;
    const value = column.decode(raw, reading);
    return {
      writeTime,
      value,
      expiry: until === null ? null : microseconds(until, `${column.path}.deletion_ts`, reading),
    };
  }

  let planned: readonly string[] = [];
  let plans: readonly (ColumnPlan | undefined)[] = [];
  /** The columns of these names; the fast reading names them by the same array each time. */
  const plansOf = (names: readonly string[]): readonly (ColumnPlan | undefined)[] => {
    if (names !== planned) {
      planned = names;
      plans = names.map((name) => columns.get(name));
    }
    return plans;
  };

  return ({ names, values }, insert, writeTime, key, reading) => {
    const plansHere = plansOf(names);
    const cells = new Array<Cell | null>(width).fill(null);
    const texts = new Array<string>(keyCount);
    const raws = new Array<Json>(keyCount);
    const markerExpiry = new MarkerExpiry();
    let keysSeen = 0;
    let ambiguity: Ambiguity | null = null;
    let collectionWritten = false;
    for (let at = 0; at < names.length; at++) {
      const value = values[at] ?? null;
      const column = plansHere[at];
      if (column === undefined) checkOtherField(names[at] ?? '', value);
      else if (column.role === 'regular') {
        if (value === null || (column.floor !== null && writeTime <= column.floor)) continue;
        const cell = regularCell(column, cellOf(value, column.path), insert, writeTime, reading);
        cells[column.index] = cell;
        if (column.multiCell) {
          // The cell only says that the column was written: an update carries a part of the collection.
          if (!insert) ambiguity = 'multi-cell-update';
          else if (cell.value !== null) collectionWritten = true;
        } else if (cell.value !== null) {
          if (column.duration) ambiguity ??= 'duration';
          markerExpiry.saw(cell.expiry);
        }
      } else if (column.role === 'partition' || column.role === 'clustering') {
        const raw = keyCell(column, value);
        reading.path = `${column.path}.value`;
        texts[column.index] = column.decode(raw, reading);
        raws[column.index] = raw;
        keysSeen++;
      }
    }
    if (keysSeen !== keyCount) throw missingKey(keys, names);
    if (plan.blobInCompositeKey) resolveCompositeKey(plan, raws, texts);
    checkKey(key, raws, texts);
    const expiry = insert ? markerExpiry.known(table.usesTtl) : null;
    // Durations and collections are read again by their columns, whatever the ambiguity is called.
    if (expiry === undefined) ambiguity = 'marker-expiry-unknown';
    // Beside cells that expire, a collection probably does too, but its TTL is never shown.
    else if (expiry !== null && collectionWritten) ambiguity ??= 'multi-cell-update';
    return {
      kind: 'write',
      table: table.name,
      writeTime,
      ambiguity,
      key: rowKey(texts),
      marker: insert ? { writeTime, expiry: expiry ?? null } : null,
      cells,
    };
  };
}

export function missingKey(keys: readonly ColumnPlan[], names: readonly string[]): Refused {
  const missing = keys.find(({ name }) => !names.includes(name));
  return new Refused('ENVELOPE_FIELD_MISSING', missing?.path ?? 'after', 'a key column is missing');
}
