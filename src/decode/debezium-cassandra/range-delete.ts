import type { Column } from '../../catalog/table.ts';
import { rowKey, type Bound, type ChangeEvent } from '../../change/change-event.ts';
import { Refused, shown } from './codes.ts';
import type { TablePlan } from './column-plan.ts';
import { resolveCompositeKey } from './composite-key.ts';
import { boundText } from './bound-text.ts';
import { isObject, own, type Json, type JsonObject } from './json.ts';
import type { KeyCheck } from './record-key.ts';
import { isRangeField, keyCell, missingKey } from './row-write.ts';
import type { Reading } from './wire-scalars.ts';

const METHODS: Readonly<Record<string, { readonly side: 'start' | 'end'; readonly inclusive: boolean }>> = {
  INCL_START_BOUND: { side: 'start', inclusive: true },
  EXCL_START_BOUND: { side: 'start', inclusive: false },
  INCL_END_BOUND: { side: 'end', inclusive: true },
  EXCL_END_BOUND: { side: 'end', inclusive: false },
};

/** A column name as CQL writes it: the connector quotes names that need it. */
function unquoted(name: string): string {
  return name.startsWith('"') && name.endsWith('"') && name.length > 1 ? name.slice(1, -1).replaceAll('""', '"') : name;
}

/** Start and end would change places if the table were taken for ascending where it is not. */
function checkDirection(column: Column, type: Json | undefined, place: string): void {
  const reversed = typeof type === 'string' && type.startsWith('org.apache.cassandra.db.marshal.ReversedType(');
  if (typeof type === 'string' && reversed === column.descending) return;
  const expected = column.descending ? 'a reversed type (the table says DESC)' : 'a type that is not reversed';
  throw new Refused('BAD_BOUND', `${place}.type`, `expected ${expected}, found ${shown(type)}`);
}

/** The values of a bound by clustering position; they arrive in the order of a Java hash map. */
function boundValues(plan: TablePlan, values: readonly Json[], path: string): readonly string[] {
  const texts = new Array<string>(values.length);
  for (const [at, entry] of values.entries()) {
    const place = `${path}.values[${at}]`;
    const name = isObject(entry) ? own(entry, 'name') : undefined;
    const value = isObject(entry) ? own(entry, 'value') : undefined;
    if (typeof name !== 'string' || typeof value !== 'string') {
      throw new Refused('BAD_BOUND', place, `expected {name, value, type}, found ${shown(entry)}`);
    }
    const position = plan.table.clustering.findIndex((column) => column.name === unquoted(name));
    const column = plan.table.clustering[position];
    if (column === undefined) throw new Refused('BAD_BOUND', place, `${shown(name)} is no clustering column`);
    checkDirection(column, isObject(entry) ? own(entry, 'type') : undefined, place);
    if (position >= values.length || texts[position] !== undefined) {
      throw new Refused('BAD_BOUND', path, 'the values are no prefix of the clustering key');
    }
    const text = boundText(column.type, value);
    if (text === null) throw new Refused('BAD_BOUND', `${place}.value`, `${shown(value)} is no value of ${name}`);
    texts[position] = text;
  }
  return texts;
}

/**
 * One side of the range. Start and end stand in comparator order already: in a DESC column `ck >= 2 AND ck < 7` comes as
 * start EXCL 7, end INCL 2 (the type then reads ReversedType(…), which the table's `descending` says too).
 */
function bound(plan: TablePlan, after: JsonObject, side: 'start' | 'end'): Bound {
  const path = `after._range_${side}`;
  const range = own(after, `_range_${side}`);
  if (!isObject(range)) throw new Refused('BAD_BOUND', path, range === undefined ? 'missing' : `found ${shown(range)}`);
  const method = own(range, 'method');
  const meaning = typeof method === 'string' && Object.hasOwn(METHODS, method) ? METHODS[method] : undefined;
  if (meaning?.side !== side) throw new Refused('BAD_BOUND', `${path}.method`, `found ${shown(method)}`);
  const values = own(range, 'values');
  if (!Array.isArray(values)) throw new Refused('BAD_BOUND', `${path}.values`, `found ${shown(values)}`);
  return { values: boundValues(plan, values as readonly Json[], path), inclusive: meaning.inclusive };
}

/**
 * Compiles `r` (`t` behind EnvelopeTransformation). Its time is `source.ts_us`, which for range tombstones is the
 * marker's own deletion time (bytecode of 3.4.1.Final), not the maximum of the update.
 */
export function compileRangeDelete(
  plan: TablePlan,
  checkKey: KeyCheck,
): (after: JsonObject, sourceTime: bigint, key: Buffer, reading: Reading) => ChangeEvent {
  const { table, columns, keys, partitionKeys } = plan;
  return (after, sourceTime, key, reading) => {
    const texts = new Array<string | null>(keys.length).fill(null);
    const raws = new Array<Json>(keys.length).fill(null);
    let seen = 0;
    for (const name of Object.keys(after)) {
      const column = columns.get(name);
      const value = after[name] ?? null;
      if (column === undefined) {
        if (!isRangeField(name)) throw new Refused('UNKNOWN_COLUMN', `after.${name}`, 'the table has no such column');
      } else if (column.role === 'partition') {
        const raw = keyCell(column, value);
        reading.path = `${column.path}.value`;
        texts[column.index] = column.decode(raw, reading);
        raws[column.index] = raw;
        seen++;
      } else if (value !== null) throw new Refused('BAD_CELL', column.path, `a range delete with ${shown(value)}`);
    }
    if (seen !== partitionKeys.length) throw missingKey(partitionKeys, Object.keys(after));
    if (plan.blobInCompositeKey) resolveCompositeKey(plan, raws, texts);
    checkKey(key, raws, texts);
    return {
      kind: 'range-delete',
      table: table.name,
      writeTime: sourceTime,
      ambiguity: null,
      partition: rowKey(texts.filter((text) => text !== null)),
      start: bound(plan, after, 'start'),
      end: bound(plan, after, 'end'),
    };
  };
}
